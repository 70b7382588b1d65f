"""What a pull request declares anew must have been seen by release-pr.yml; what main declared, not."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import yaml

from delivery import deploy, releases, vouched, workflow_run
from delivery.releases import Release
from flows.errors import InputError, RetrainError
from tests.clone import ROOT
from tests.delivery import evidence

FILE = "releases/local/recommender.toml"
BOTH = evidence.evidence().proposed  # champion and challenger
CHAMPION = Release(champion=msgspec.structs.replace(BOTH.champion, traffic=100))
OTHERS = Release(champion=msgspec.structs.replace(BOTH.entries[1], traffic=100))
TITLES = [vouched.title("local", one.manifest, one.sha256) for one in BOTH.entries]
Ask = Callable[[], tuple[int, str]]
Ended = Callable[..., Any]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runs of release-pr.yml on main, as GitHub lists them."""
    found: list[Any] = []
    workflow = SimpleNamespace(get_runs=lambda **wanted: found if wanted == MAIN_ALONE else [])
    repository = SimpleNamespace(get_workflow={"release-pr.yml": workflow}.__getitem__)
    monkeypatch.setattr(workflow_run, "repository", lambda: repository)
    return found


MAIN_ALONE = {"branch": "main", "event": "workflow_dispatch"}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose main has declared the champion, then something else, and nothing now.

    A branch has declared the challenger, and taken it back before it was merged.
    """
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, releases.write(CHAMPION))
    commit(tmp_path, "no longer valid")
    (tmp_path / FILE).unlink()
    git(tmp_path, "commit", "--quiet", "--all", "--message=Nothing")
    git(tmp_path, "checkout", "--quiet", "-b", "side")
    commit(tmp_path, releases.write(OTHERS))
    git(tmp_path, "rm", "--quiet", FILE)
    git(tmp_path, "commit", "--quiet", "--message=Taken back")
    git(tmp_path, "checkout", "--quiet", "main")
    git(tmp_path, "merge", "--quiet", "--no-ff", "side", "--message=All of it")
    return tmp_path


def commit(root: Path, text: str) -> None:
    write(root, text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=A release")


def write(root: Path, text: str) -> None:
    (root / FILE).parent.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text(text)


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def ended(clone: Path) -> Ended:
    """A run of main's code (or of `sha`'s)."""
    head = git(clone, "rev-parse", "main~1")

    def made(title: str, conclusion: str | None = "success", sha: str = head) -> Any:
        return SimpleNamespace(display_title=title, conclusion=conclusion, head_sha=sha)

    return made


@pytest.fixture
def ask(clone: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked() -> tuple[int, str]:
        return deploy.main(["--check", "--base=main"]), capsys.readouterr().err

    return asked


@pytest.fixture
def nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise AssertionError("GitHub was asked")

    monkeypatch.setattr(workflow_run, "repository", refused)


@pytest.mark.usefixtures("nobody_asked")
def test_what_main_has_declared_once_needs_no_second_look(clone: Path, ask: Ask) -> None:
    write(clone, releases.write(CHAMPION))
    assert ask() == (0, "")


def test_what_a_run_has_seen_is_good(clone: Path, runs: list[Any], ask: Ask, ended: Ended) -> None:
    write(clone, releases.write(BOTH))
    runs += [ended(TITLES[1], "failure"), ended(TITLES[1])]
    assert ask() == (0, "")


@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "skipped"])
def test_what_no_run_has_seen_is_refused(
    clone: Path, runs: list[Any], ask: Ask, ended: Ended, conclusion: str
) -> None:
    write(clone, releases.write(BOTH))
    runs += [ended(TITLES[0]), ended(TITLES[1] + "0"), ended(TITLES[1], conclusion)]
    code, said = ask()
    assert code == 2
    assert f"error: {FILE}:11: [challenger] no run of release-pr.yml on main has seen" in said
    assert "[champion]" not in said


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (BOTH.champion.sha256, "4" * 64, 7),
        (BOTH.champion.version, evidence.VERSION, 4),
        (BOTH.champion.image, BOTH.champion.image.replace("2" * 64, "3" * 64), 8),
    ],
)
def test_a_declared_model_with_another_fact_is_new(
    clone: Path, runs: list[Any], ask: Ask, old: str, new: str, line: int
) -> None:
    write(clone, releases.write(CHAMPION).replace(old, new))
    code, said = ask()
    assert (code, runs) == (2, [])
    assert f"{FILE}:{line}: [champion] no run of release-pr.yml" in said


def test_what_ran_must_have_been_mains_code(
    clone: Path, runs: list[Any], ask: Ask, ended: Ended
) -> None:
    git(clone, "checkout", "--quiet", "-b", "evil")
    git(clone, "commit", "--quiet", "--allow-empty", "--message=run: true")
    write(clone, releases.write(BOTH))
    runs.append(ended(TITLES[1], sha=git(clone, "rev-parse", "HEAD")))
    assert ask()[0] == 2


def test_a_second_run_at_work_is_not_waited_for(
    clone: Path, runs: list[Any], ask: Ask, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("time.sleep")
    write(clone, releases.write(BOTH))
    runs += [ended(TITLES[1], None), ended(TITLES[1])]
    assert ask() == (0, "")


def test_a_run_at_work_is_waited_for(
    clone: Path, runs: list[Any], ask: Ask, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(clone, releases.write(BOTH))
    runs.append(ended(TITLES[1], None))
    monkeypatch.setattr("time.sleep", lambda _: runs.append(runs.pop() and ended(TITLES[1])))
    assert ask() == (0, "")


def test_a_run_that_never_ends_is_no_answer(
    clone: Path, runs: list[Any], ask: Ask, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(clone, releases.write(BOTH))
    runs.append(ended(TITLES[1], None))
    monkeypatch.setattr(vouched, "WAIT", 0.0)
    assert ask()[0] == 2


def test_a_base_that_is_not_here_is_refused(clone: Path) -> None:
    write(clone, releases.write(BOTH))
    with pytest.raises(RetrainError, match="does not have the commit"):
        deploy.main(["--check", "--base=0000000000000000000000000000000000000000"])


@pytest.mark.usefixtures("clone")
def test_a_base_is_for_the_check_alone() -> None:
    with pytest.raises(InputError, match="--base is for --check"):
        deploy.main(["--base=main"])


def test_the_workflow_names_its_runs_so() -> None:
    text = (ROOT / ".github" / "workflows" / "release-pr.yml").read_text()
    names = [f"${{{{ inputs.{name} }}}}" for name in ("environment", "manifest", "sha256")]
    assert yaml.safe_load(text)["run-name"] == vouched.title(*names)
