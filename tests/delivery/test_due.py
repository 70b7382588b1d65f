"""What a push trains: what `retrain_on` names, against the commit that was trained last."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from delivery import due, git, settings
from delivery.jobs import OVERRIDDEN
from flows import config
from flows.config import FlowConfig
from flows.errors import InputError
from tests.conftest import ROOT
from tests.delivery.evidence import environment

FLOWS = "vertex-ai-pipelines/flows"
OWN = f"{FLOWS}/recommender"
LOCK = """
[[package]]
name = "numpy"
version = "{numpy}"
groups = ["main"]
files = []
[[package]]
name = "pytest"
version = "{pytest}"
groups = ["dev"]
files = []
"""
FILES = {
    **{
        f"{OWN}/{name}": "old" for name in ("flow.py", "flow.toml", "query.sql", "sample.py", "NOTES.md")
    },
    **{f"{FLOWS}/{name}": "old" for name in ("step.py", "linnerud/flow.py", "common/tools.py")},
    "vertex-ai-pipelines/components/train.yaml": "old",
    "vertex-ai-pipelines/delivery/submit.py": "old",
    "releases/local/recommender.toml": "old",
    "tests/delivery/test_due.py": "old",
    "README.md": "old",
    "Dockerfile": "old",
    ".dockerignore": "old",
    "poetry.lock": LOCK.format(numpy="2.3.0", pytest="8.0"),
}


class Clone:
    """A checkout with a history of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, **files: str) -> str:
        """A commit with the files, by path, as they are now; its hash."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message=A change")
        return git.head(self.root)

    def remove(self, name: str) -> str:
        (self.root / name).unlink()
        return self.commit()

    def checkout(self, commit: str) -> None:
        self._git("checkout", "--quiet", "--detach", commit)

    def _git(self, *arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)


class Jobs:
    """The pipeline jobs of the one flow that was ever trained, the newest first, by their labels."""

    def __init__(self, *labels: dict[str, str]) -> None:
        self.labels = labels

    def newest(self, flow: str, most: int) -> list[Any]:
        found = [one for one in self.labels if flow == "recommender"]
        return [type("Job", (), {"labels": one}) for one in found[:most]]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    made = Clone(tmp_path)
    made.commit(**FILES)
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    return made


@pytest.fixture
def retrains(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets `retrain_on` of every flow."""
    real = config.load

    def on(what: str) -> None:
        def load(name: str) -> FlowConfig:
            return msgspec.structs.replace(real(name), retrain_on=what)

        monkeypatch.setattr(config, "load", load)

    return on


def reason(last: str, commit: str) -> str:
    jobs: Any = Jobs({"commit": last})
    return due._reason(jobs, "recommender", commit)


@pytest.mark.parametrize(
    ("file", "own", "everything"),
    [
        (f"{OWN}/flow.py", True, True),
        (f"{OWN}/flow.toml", True, True),
        (f"{OWN}/query.sql", True, True),
        (f"{OWN}/new/part.py", True, True),
        (f"{OWN}/sample.py", False, False),
        (f"{OWN}/NOTES.md", False, False),
        (f"{FLOWS}/linnerud/flow.py", False, False),
        (f"{FLOWS}/step.py", False, True),
        (f"{FLOWS}/common/tools.py", False, True),
        ("vertex-ai-pipelines/components/train.yaml", False, True),
        ("Dockerfile", False, True),
        (".dockerignore", False, True),
        ("vertex-ai-pipelines/delivery/submit.py", False, False),
        ("releases/local/recommender.toml", False, False),
        ("tests/delivery/test_due.py", False, False),
        ("README.md", False, False),
    ],
)
def test_what_has_changed_decides(
    clone: Clone, retrains: Callable[[str], None], file: str, own: bool, everything: bool
) -> None:
    last = git.head(clone.root)
    commit = clone.commit(**{file: "new"})
    for what, expected in (("own", own), ("all", everything), ("never", False)):
        retrains(what)
        assert bool(reason(last, commit)) == expected, what
        assert not expected or file in reason(last, commit)


@pytest.mark.parametrize(("versions", "trains"), [(("2.4.0", "8.0"), True), (("2.3.0", "9.0"), False)])
def test_of_the_lock_the_image_s_packages_count(
    clone: Clone, retrains: Callable[[str], None], versions: tuple[str, str], trains: bool
) -> None:
    retrains("all")
    last = git.head(clone.root)
    numpy, pytest_version = versions
    commit = clone.commit(**{"poetry.lock": LOCK.format(numpy=numpy, pytest=pytest_version)})
    assert bool(reason(last, commit)) == trains


def test_a_file_that_is_gone_is_a_change(clone: Clone) -> None:
    last = git.head(clone.root)
    assert f"{OWN}/query.sql has changed" in reason(last, clone.remove(f"{OWN}/query.sql"))


def test_a_change_that_was_taken_back_is_none(clone: Clone) -> None:
    last = git.head(clone.root)
    clone.commit(**{f"{OWN}/flow.py": "new"})
    assert reason(last, clone.commit(**{f"{OWN}/flow.py": "old"})) == ""


def test_an_older_commit_than_the_trained_one_trains_nothing(clone: Clone) -> None:
    older = git.head(clone.root)
    last = clone.commit(**{f"{OWN}/flow.py": "new"})
    clone.checkout(older)
    assert reason(last, older) == ""


def test_an_unknown_commit_trains_and_says_what_is_needed(clone: Clone) -> None:
    assert "fetch-depth: 0" in reason("f" * 40, git.head(clone.root))


def test_a_flow_without_a_job_is_due(clone: Clone) -> None:
    jobs: Any = Jobs()
    assert "never trained" in due._reason(jobs, "recommender", git.head(clone.root))


def test_a_job_with_overrides_trained_something_else(clone: Clone) -> None:
    last = git.head(clone.root)
    commit = clone.commit(**{f"{OWN}/flow.py": "new"})
    jobs: Any = Jobs({"commit": commit, OVERRIDDEN: "yes"}, {"commit": last})
    assert "flow.py has changed" in due._reason(jobs, "recommender", commit)


def test_a_flow_that_cannot_be_read_fails_alone(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = config.load

    def load(name: str) -> FlowConfig:
        if name == "linnerud":
            raise InputError("flow.toml: not valid TOML")
        return real(name)

    monkeypatch.setattr(config, "load", load)
    monkeypatch.setattr(config, "names", lambda *_: ["linnerud", "recommender"])
    monkeypatch.setattr(due, "Jobs", lambda environment: Jobs({"commit": git.head(clone.root)}))
    assert due.due(environment()) == ["linnerud"]
    said = capsys.readouterr().err
    assert "linnerud: yes, so that its submit fails: flow.toml: not valid TOML" in said
    assert "recommender: no" in said


@pytest.mark.parametrize("changed", [{"train": False}, {"ends_at": "evaluate"}])
def test_only_environments_that_train_by_themselves_have_flows_due(changed: dict[str, Any]) -> None:
    assert due.due(msgspec.structs.replace(environment(), **changed)) == []


def test_a_flow_that_was_asked_for_is_checked() -> None:
    assert due.asked("linnerud", environment()) == ["linnerud"]
    assert due.asked("recommender, linnerud linnerud", environment()) == ["recommender", "linnerud"]
    for wrong in ("nothing", "linnerud,nothing"):
        with pytest.raises(InputError, match="there is no flow 'nothing'"):
            due.asked(wrong, environment())
    with pytest.raises(InputError, match="does not train"):
        due.asked("linnerud", msgspec.structs.replace(environment(), train=False))


def test_all_are_asked_for_by_a_star_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert due.asked("*", environment()) == config.names()
    for wrong in ("* linnerud", " ", ","):
        with pytest.raises(InputError, match=re.escape(f"'{wrong}' names no flows")):
            due.asked(wrong, environment())
    monkeypatch.setattr(config, "load", lambda _: pytest.fail("one that is broken stops others"))
    assert due.asked("*", environment()) == config.names()


def test_the_answer_is_the_last_line_and_the_step_s_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert due.main(["--flow", "linnerud", "--environment", "", "--github-output"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == ["linnerud"]
    expected = 'flows=["linnerud"]\nimages=["linnerud"]\nenvironment=local\n'
    assert (tmp_path / "output").read_text() == expected


@pytest.mark.parametrize("flows", [[], ["linnerud"]])
def test_where_images_are_attested_train_builds_those_of_all_flows(flows: list[str]) -> None:
    """Nobody else may, and the schedule's tick needs them after a push that trains nothing."""
    attested = msgspec.structs.replace(environment(), attest="kms")
    assert due.built_for(flows, attested) == config.names()
    assert due.built_for(flows, environment()) == flows
    assert due.built_for(flows, msgspec.structs.replace(attested, train=False)) == flows


def test_train_builds_what_due_says() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/train.yml").read_text())
    [build, tag] = [
        one for one in workflow["jobs"]["image"]["steps"] if "./scripts/build" in one.get("run", "")
    ]
    assert build["env"]["FLOWS"] == "${{ steps.due.outputs.images }}"
    assert build["if"] == "steps.due.outputs.images != '[]'"
    assert tag["env"].items() >= build["env"].items()
