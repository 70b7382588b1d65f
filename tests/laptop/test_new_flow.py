"""`./scripts/new-flow`: what it writes, what it refuses, and that nothing is lost or left half."""

import importlib.util
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows
from flows.errors import InputError
from laptop import flow_names, new_flow
from tests.clone import ROOT, Clone, Ended, clone

LONG = "a_name_that_is_as_long_as_any_flow_s_may"
FREE = "no_flow_has_this_name"
END = "\x04"  # of what a person types
FOLDER = "vertex-ai-pipelines/flows"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    with clone(tmp_path_factory.mktemp("new")) as made:
        yield made


@pytest.fixture(scope="module")
def written(fresh: Clone) -> Ended:
    """After a call that was killed while it wrote, and a flow of that name that is gone."""
    for left in (".local/new-flow/tree/half", f"{FOLDER}/{LONG}/__pycache__/half"):
        (fresh.folder / left).mkdir(parents=True)
    return fresh.verb("new-flow", LONG, "--kind", "classification")


def test_it_adds_files_and_changes_none(fresh: Clone, written: Ended) -> None:
    assert written.code == 0, written
    made = fresh.git("ls-files", "--others", "--exclude-standard").splitlines()
    names = (
        "__init__.py",
        "algorithms.py",
        "config.py",
        "flow.py",
        "flow.toml",
        "query.sql",
        "sample.py",
    )
    assert made == [
        f"tests/delivery/golden/{LONG}.yaml",
        f"tests/flows/test_{LONG}.py",
        *(f"{FOLDER}/{LONG}/{name}" for name in names),
    ]
    assert fresh.git("diff", "HEAD") == ""
    assert not any("skeleton" in (fresh.folder / name).read_text() for name in made)
    assert f"next          ./scripts/run {LONG}\n" in written.out
    named = re.findall(rf"^(?:then edit)? +({FOLDER}/\S+) · ", written.out, re.M)
    assert len(named) == 4
    assert set(named) < set(made)


def test_what_it_writes_passes_check_and_its_tests(fresh: Clone, written: Ended) -> None:
    assert written.code == 0, written
    python = ".venv/bin/python"
    own = [f"{FOLDER}/{LONG}", f"tests/flows/test_{LONG}.py"]
    for command in (["check"], ["format", "--check"]):
        ended = fresh.command(python, "-m", "ruff", *command, *own, inside=False)
        assert ended.code == 0, ended
    reviewed = "tests/delivery/test_pipeline.py"
    chosen = f"{LONG} or left_over"
    ended = fresh.command(python, "-m", "pytest", "-q", own[1], reviewed, "-k", chosen, inside=False)
    assert ended.code == 0, ended
    assert "7 passed" in ended.out


@pytest.mark.parametrize("kind", new_flow.KINDS)
def test_each_kind_is_a_whole_flow(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "__path__", list(flows.__path__))
    made = new_flow.write(tmp_path, f"some_{kind}", kind)
    assert all((tmp_path / path).exists() for path in made)
    _, folder, test = made
    assert test.name == f"test_some_{kind}.py", "the test, which imports the flow, comes last"
    assert f'"some_{kind}.rows"' in (tmp_path / folder / "flow.toml").read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Demand-2", "a part of ids(.|\n)*for example 'demand_2'"),
        ("2nd", "is no flow's name"),
        ("größe", "is no flow's name"),
        ("a" * 41, "it has 41 characters"),
        ("class", "a word of Python's own"),
        ("linnerud", "there is a flow 'linnerud' already"),
        ("gate", r"what the flows share: flows/gate\.py"),
        ("serving", r"what the flows share: flows/serving/__init__\.py"),
        ("json", "a module of Python's own"),
        ("numpy", "an installed package"),
        ("delivery", "an installed package"),
        ("experiment_b", "a trial of another flow"),
        ("b_experiment", "a trial of another flow"),
    ],
)
def test_a_refused_name_says_why(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        flow_names.free(name)


@pytest.mark.parametrize("name", ["lightgbm", "torch"])
def test_what_a_flow_may_have_installed_later_is_no_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=f"a package of the dependency group '{name}'"):
        flow_names.free(name)


def test_a_released_name_is_not_given_to_another_flow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flow_names.free(FREE) == FREE
    monkeypatch.setattr(flow_names, "ROOT", tmp_path)
    (tmp_path / "releases" / "staging").mkdir(parents=True)
    (tmp_path / "releases" / "staging" / f"{FREE}.toml").touch()
    with pytest.raises(InputError, match=rf"releases/staging/{FREE}\.toml says that a model of another"):
        flow_names.free(FREE)


def test_an_endpoint_is_one_flow_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_names, "endpoint_id", lambda flow, environment: "the-same")
    with pytest.raises(InputError, match="endpoint the-same would be that of flow"):
        flow_names.free(FREE)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was written, and is to be moved to a repository beside."""
    monkeypatch.setattr(new_flow, "ROOT", tmp_path / "repository")
    (tmp_path / "stage" / "flow").mkdir(parents=True)
    (tmp_path / "stage" / "flow" / "flow.py").write_text("whole")
    (tmp_path / "stage" / "test.py").write_text("test")
    return tmp_path / "stage"


MADE = [Path("test.py"), Path("flow")]


@pytest.mark.parametrize("there", ["flow/flow.py", "test.py"])
def test_what_is_there_is_kept(there: str, stage: Path) -> None:
    repository = stage.parent / "repository"
    file = repository / there
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(InputError, match=r"is there already(.|\n)*nothing was changed"):
        new_flow.place(stage, MADE)
    assert [path for path in repository.rglob("*") if path.is_file()] == [file]
    assert file.read_text() == "mine"


def test_an_interrupted_call_is_ended_by_the_next(stage: Path) -> None:
    repository = stage.parent / "repository"
    repository.mkdir()
    (repository / "test.py").write_text("test")
    new_flow.place(stage, MADE)
    assert (repository / "flow" / "flow.py").read_text() == "whole"


def test_it_asks_on_a_terminal() -> None:
    person, terminal = pty.openpty()
    os.write(person, f"linnerud\n{FREE}\ntree\n{END}".encode())
    done = subprocess.run(
        [ROOT / "scripts" / "new-flow"], stdin=terminal, capture_output=True, text=True, check=False
    )
    os.close(person)
    os.close(terminal)
    assert done.returncode == 2
    assert re.fullmatch(
        "name:   there is a flow 'linnerud' already\n  mend: .*\n"
        "name: (kind .*):   there is no kind 'tree'\n  mend: name one of: regression, .*\n"
        r"\1: \nerror: --kind KIND is missing\n  mend: .*\n",
        done.stderr,
    )


def test_it_asks_nobody_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="NAME is missing"):
        new_flow.main([])
    with pytest.raises(InputError, match="--kind KIND is missing"):
        new_flow.main([FREE])
