"""`run`, apart from the cloud that it needs: triggers, verbs, checkouts, and what it says at the end."""

import json
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from delivery import settings
from flows.errors import InputError
from laptop import run, tree, watch
from laptop.report import Mark

NOON = datetime(2026, 11, 21, 12, 0, 0, 400_000, tzinfo=UTC)


class Clock(datetime):
    """A clock that goes on by sleeping only."""

    moment: datetime = NOON

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return cls.moment


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    def sleep(seconds: float) -> None:
        Clock.moment += timedelta(seconds=seconds)

    monkeypatch.setattr(Clock, "moment", NOON)
    monkeypatch.setattr(run, "datetime", Clock)
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(run, "CLOUD", tmp_path)
    return Clock


def test_a_trigger_is_now_to_the_second(clock: type[Clock]) -> None:
    assert run.next_trigger() == NOON.replace(microsecond=0)


def test_two_runs_in_one_second_are_two_triggers(clock: type[Clock]) -> None:
    found = [run.next_trigger() for _ in range(4)]
    assert found == [NOON.replace(microsecond=0) + timedelta(seconds=n) for n in range(4)]
    assert clock.now() >= found[-1], "no trigger is in the future"


def test_a_later_run_does_not_wait(clock: type[Clock]) -> None:
    run.next_trigger()
    clock.moment += timedelta(minutes=5)
    assert run.next_trigger() == clock.now().replace(microsecond=0)
    assert clock.now() == NOON + timedelta(minutes=5)


def test_a_clock_that_was_put_back_makes_no_older_version(clock: type[Clock]) -> None:
    first = run.next_trigger()
    clock.moment -= timedelta(hours=2)
    found = [run.next_trigger() for _ in range(3)]
    assert found == [first + timedelta(seconds=n) for n in (1, 2, 3)]
    assert clock.now() == NOON - timedelta(hours=2), "nobody waits two hours"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes a checkout whose verb `go` is this shell script, beside a local cloud that runs."""
    local: Any = SimpleNamespace(status=lambda: {"pid": os.getpid()})
    monkeypatch.setattr(run, "client", lambda: local)

    def make(script: str) -> Path:
        file = tmp_path / "scripts" / "go"
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return tmp_path

    return make


def test_a_verb_s_last_line_is_its_answer(
    checkout: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = checkout(
        """echo progress >&2; echo note; echo "{\\"given\\": \\"$*\\", \\"at\\": \\"$PWD\\"}" """
    )
    assert run.verb(folder, "go", "--a", "b") == {"given": "--a b --json", "at": str(folder)}
    assert capfd.readouterr() == ("", "progress\n")


def test_a_verb_that_answers_and_fails_is_heard(checkout: Callable[[str], Path]) -> None:
    assert run.verb(checkout("""echo '{"state": "FAILED"}'; exit 1"""), "go") == {"state": "FAILED"}


@pytest.mark.parametrize(("code", "ends"), [(1, 1), (2, 2), (0, 1)])
def test_a_verb_without_an_answer_ends_the_run_with_its_code(
    checkout: Callable[[str], Path], code: int, ends: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        run.verb(checkout(f"exit {code}"), "go")
    assert ended.value.code == ends


def test_a_verb_reads_nothing_from_the_keyboard(checkout: Callable[[str], Path]) -> None:
    assert run.verb(checkout("""read line || echo '{"read": null}'"""), "go") == {"read": None}


def test_a_local_cloud_that_ends_ends_the_run(
    checkout: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = checkout("echo $$ > part; mv part pid; exec sleep 60")
    (tmp_path / "server.log").write_text("it fell over\n")
    (tmp_path / "state.json").touch()
    monkeypatch.setattr(watch, "CLOUD", tmp_path)
    monkeypatch.setattr(watch, "is_alive", lambda pid: not (tmp_path / "pid").exists())
    with pytest.raises(SystemExit, match="1"), watch.watched(1):
        run.verb(folder, "go")
    assert re.search(r"the local cloud has ended(.|\n)*it fell over(.|\n)*mend", capfd.readouterr().err)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits that were cloned, in order."""
    found: list[str] = []

    def clone(commit: str, folder: Path) -> None:
        found.append(commit)
        (folder / ".git").mkdir()

    monkeypatch.setattr(tree, "Tree", lambda repository, token: SimpleNamespace(clone=clone))
    monkeypatch.setattr(run, "CHECKOUTS", tmp_path / "checkouts")
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")
    monkeypatch.setenv("GITHUB_TOKEN", "token")
    return found


def test_a_commit_is_checked_out_once_with_this_clone_s_packages(clones: list[str]) -> None:
    folder = run.check_out("c1")
    assert run.check_out("c1") == folder
    assert clones == ["c1"]
    assert (folder / ".venv").readlink() == settings.ROOT / ".venv"


def test_a_checkout_that_was_broken_off_is_made_anew(clones: list[str]) -> None:
    folder = run.check_out("c1")
    (folder / ".git" / "complete").unlink()
    (folder / "half").touch()
    run.check_out("c1")
    assert clones == ["c1", "c1"]
    assert not (folder / "half").exists()


def test_only_the_last_checkouts_are_kept(clones: list[str], tmp_path: Path) -> None:
    for n, commit in enumerate(("c1", "c2", "c3", "c1", "c4")):
        os.utime(run.check_out(commit), (n, n))
    run.check_out("c4")
    assert sorted(p.name for p in (tmp_path / "checkouts").iterdir()) == ["c1", "c3", "c4"]
    assert clones == ["c1", "c2", "c3", "c4"], "the one that was used again is not the oldest"


# What became of a job.

STEP = {
    "name": "train",
    "state": "SUCCEEDED",
    "seconds": 0.4,
    "cached": False,
    "summary": "svd",
    "error": "",
}
JOB = {
    "commit": "c" * 40,
    "image": "i@sha256:1",
    "pipeline_job": "projects/p/locations/r/pipelineJobs/recommender-v1",
    "version": "v1",
    "before": Mark(3, 4),
    "state": "SUCCEEDED",
    "steps": [STEP],
    "metrics": {"ndcg@10": 0.05},
    "verdict": {"passed": True, "reasons": ["good"], "champion": None},
    "release": "proposed",
    "manifest": "s3://b/models/recommender/v1/manifest.json",
    "sha256": "ab",
    "error": "",
}
PULL = {
    "number": 7,
    "url": "https://github.com/acme/models/pull/7",
    "branch": "release",
    "created": True,
}
NO_MODEL: dict[str, Any] = {"release": None, "manifest": None, "sha256": None}


@pytest.fixture
def came(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Follows a job, with some of what it says changed, to what the release workflow says."""
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")

    def follow(released: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
        def told(*given: Any) -> Any:
            assert released, "the release workflow was asked for nothing"
            assert given == ("recommender", "v1", Mark(3, 4))
            return dict(released)

        monkeypatch.setattr(run, "released", told)
        return run.follow_release("recommender", {**JOB, **changed})

    return follow


Came = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("state", ["proposed", "held", "superseded"])
def test_a_candidate_s_pull_request_is_told_whole(came: Came, state: str) -> None:
    result = came({"state": state, "pull_request": PULL})
    assert result == {
        "repository": "acme/models",
        "flow": "recommender",
        "environment": "local",
        "commit": "c" * 40,
        "image": "i@sha256:1",
        "pipeline_job": JOB["pipeline_job"],
        "state": state,
        "steps": [{"name": "train", "state": "SUCCEEDED", "seconds": 0.4, "cached": False}],
        "metrics": {"ndcg@10": 0.05},
        "verdict": {"passed": True, "reasons": ["good"], "champion": None},
        "model": {"version": "v1", "uri": JOB["manifest"], "sha256": "ab"},
        "pull_request": PULL,
    }
    json.dumps(result)


def test_a_no_of_the_gate_waits_for_no_release(came: Came) -> None:
    result = came(verdict={"passed": False, "reasons": ["worse"]}, **NO_MODEL)
    assert (result["state"], result["model"], result["pull_request"]) == ("rejected", None, None)


def test_the_champion_s_bytes_wait_for_no_release(came: Came) -> None:
    assert came(release="unchanged")["state"] == "unchanged"


def test_a_failed_step_is_told_with_its_log(came: Came, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [STEP, {**STEP, "name": "upload_model", "state": "FAILED"}]
    result = came(state="FAILED", steps=steps, verdict={}, **NO_MODEL)
    assert result["state"] == "failed"
    assert result["verdict"] == {"passed": False, "reasons": []}
    logs = "./scripts/localcloud logs recommender-v1/upload-model"
    assert capsys.readouterr().err == f"failed        upload_model · {logs}\n"


def test_a_job_that_ended_without_a_failed_step_is_told(
    came: Came, capsys: pytest.CaptureFixture[str]
) -> None:
    came(state="CANCELLED", steps=[], verdict={}, error="the job was cancelled", **NO_MODEL)
    assert capsys.readouterr().err == "failed        the job was cancelled\n"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (12, "release-pr · ./scripts/localcloud logs run-12"),
        (None, "release-pr ended well, but no pull request names v1"),
    ],
)
def test_a_failed_release_workflow_is_told(
    came: Came, capsys: pytest.CaptureFixture[str], number: int | None, said: str
) -> None:
    result = came({"state": "failed", "pull_request": None, "run": number})
    assert (result["state"], "run" in result) == ("failed", False)
    assert capsys.readouterr().err == f"failed        {said}\n"


@pytest.mark.parametrize(
    ("state", "pull", "line"),
    [
        ("proposed", PULL, "release       pull request #7, open · ./scripts/localcloud pr 7"),
        (
            "held",
            PULL,
            "release       pull request #7, waits, since its review has begun or it was closed"
            " · ./scripts/localcloud pr 7",
        ),
        (
            "superseded",
            PULL,
            "release       pull request #7, has a newer candidate already · ./scripts/localcloud pr 7",
        ),
        ("rejected", None, "gate          no: worse; too few"),
        ("unchanged", None, "release       none: these are the champion's very bytes"),
        ("failed", None, None),
    ],
)
def test_the_last_lines_say_what_came_of_it(
    state: str,
    pull: Any,
    line: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "standing", {"recommender": None}.__getitem__)
    run.finish(ended(state, pull))
    said = capsys.readouterr()
    assert said.err.splitlines() == [*([line] if line else []), "total         14.2 s"]
    assert said.out == ""


@pytest.mark.parametrize("state", ["rejected", "unchanged"])
def test_an_open_pull_request_that_stays_is_named(
    state: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "standing", {"recommender": 3}.__getitem__)
    run.finish(ended(state, None))
    line = "release       pull request #3 stays as it is · ./scripts/localcloud pr 3"
    assert capsys.readouterr().err.splitlines()[1:] == [line, "total         14.2 s"]


def ended(state: str, pull: Any) -> dict[str, Any]:
    verdict = {"passed": False, "reasons": ["worse", "too few"]}
    common = {"flow": "recommender", "state": state, "pull_request": pull}
    return common | {"verdict": verdict, "seconds": 14.23}


def test_every_state_that_has_a_pull_request_has_words() -> None:
    assert set(run.WORDS) == {"proposed", "held", "superseded"}


# Which flow is meant.


def test_the_flow_that_settings_name_is_meant() -> None:
    own = settings.load()
    assert own.flow_by_default(["recommender", "vision"]) == "recommender"


def test_an_only_flow_needs_no_name() -> None:
    own = msgspec.structs.replace(settings.load(), default_flow=None)
    assert own.flow_by_default(["vision"]) == "vision"


@pytest.mark.parametrize("flows", [["recommender", "vision"], []])
def test_a_flow_that_could_be_any_has_to_be_named(flows: list[str]) -> None:
    own = msgspec.structs.replace(settings.load(), default_flow=None)
    with pytest.raises(InputError, match=r"name a flow(.|\n)*default_flow in settings.toml"):
        own.flow_by_default(flows)


def test_an_unknown_flow_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "enter_cloud", lambda: pytest.fail("it started the local cloud"))
    with pytest.raises(InputError, match=r"no flow 'recomender'(.|\n)*recommender"):
        run.main(["recomender"])
