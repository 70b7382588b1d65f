"""`run`, apart from the cloud that it needs: the workflow that it watches, and what it says."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from delivery import settings
from delivery.work import Work, alone
from flows.errors import InputError
from laptop import button, candidate, run, shown, watch
from laptop.report import Mark


def test_a_local_cloud_that_ends_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.log").write_text("it fell over\n")
    (tmp_path / "state.json").touch()
    process = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(watch, "CLOUD", tmp_path)
    threading.Timer(0.1, process.kill).start()
    with process, pytest.raises(SystemExit, match="1"), watch.watched(process.pid):
        threading.Event().wait(600)
    assert re.search(r"the local cloud has ended(.|\n)*it fell over(.|\n)*mend", capfd.readouterr().err)


def test_a_local_cloud_that_was_stopped_is_no_failure_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CLOUD", tmp_path)
    assert watch.reason() == "the local cloud was stopped"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--all --overrides data.days=60", "--overrides is for one flow"),
        ("recommender --overrides gate.floor=0", r"so nobody changes \[gate\]"),
        ("recommender --overrides train.factor=9", "unknown key 'factor'"),
    ],
)
def test_overrides_that_no_run_can_have_are_refused(line: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run.wanted(run.parser().parse_args(line.split()))


class Workflow:
    """A workflow run as PyGithub shows it: at each look, the next of `looks`."""

    def __init__(self, *looks: tuple[str, list[Any]]) -> None:
        self._looks, self.cancelled = list(looks), False
        self.id, self.path, self.status, self.conclusion = (
            9,
            ".github/workflows/train.yml",
            "",
            "success",
        )

    def update(self) -> None:
        self.status, self._jobs = self._looks.pop(0)

    def jobs(self) -> list[Any]:
        return self._jobs

    def cancel(self) -> None:
        self.cancelled = True


def ended_job(number: int, name: str = "image", conclusion: str = "success", *failed: str) -> Any:
    """A job that has ended; one of its steps is `failed`."""
    steps = [SimpleNamespace(name=one, conclusion="failure") for one in failed]
    found = {"id": number, "name": name, "status": "completed", "conclusion": conclusion}
    return SimpleNamespace(**found, steps=steps, url="https://api.github.com/jobs/1")


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(button, "PERIOD", 0)


def test_each_job_of_a_workflow_is_seen_once_as_it_ends(unhurried: None) -> None:
    waits = SimpleNamespace(id=2, status="in_progress")
    looks = [
        ("queued", []),
        ("in_progress", [ended_job(1), waits]),
        ("completed", [ended_job(1), ended_job(2)]),
    ]
    assert [job.id for job in button.ended_jobs(Workflow(*looks))] == [1, 2]


def test_ctrl_c_cancels_the_workflow_and_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    workflow, ended = Workflow(("queued", []), ("completed", [])), list[str]()
    jobs: Any = SimpleNamespace(of_run=lambda number: {"linnerud": f"jobs/{number}", "other": "jobs/10"})
    jobs.cancel = ended.append
    monkeypatch.setattr(run, "Jobs", lambda _: jobs)
    monkeypatch.setattr(time, "sleep", interrupt)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.submitted(workflow, ["linnerud", "other"])
    signal.signal(signal.SIGINT, before)
    assert workflow.cancelled
    assert ended == ["jobs/9", "jobs/10"]


def test_a_failed_step_of_a_workflow_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"line {n}" for n in range(30)]
    monkeypatch.setattr(shown, "log", lambda _: lines)
    shown.show_failed(Workflow(), ended_job(1, "submit linnerud", "failure", "Submit"))
    said = capsys.readouterr().err
    assert said.startswith("failed        train.yml · submit linnerud · Submit\n")
    assert "line 29\n" in said
    assert "line 1\n" not in said


@pytest.mark.parametrize(
    ("conclusion", "told"),
    [("startup_failure", "startup_failure"), ("success", "started no pipeline job")],
)
def test_a_workflow_that_started_nothing_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], conclusion: str, told: str
) -> None:
    workflow = Workflow(("completed", []))
    workflow.conclusion = conclusion
    jobs: Any = SimpleNamespace(of_run=lambda _: {})
    monkeypatch.setattr(run, "Jobs", lambda _: jobs)
    assert run.submitted(workflow, ["linnerud"]) == (jobs, {})
    assert f"train.yml: {told} · ./scripts/localcloud logs run-9\n" in capsys.readouterr().err


def test_a_run_without_a_pipeline_job_has_the_contracts_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")
    found = candidate.failed("recommender", "c" * 40)
    assert (found["state"], found["pipeline_job"], found["steps"]) == ("failed", None, [])
    assert found["verdict"] == {"passed": False, "reasons": []}


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
        def told(*given: Any) -> Work[Any]:
            assert released, "the release workflow was asked for nothing"
            assert given == ("recommender", "v1", Mark(3, 4))
            yield 0.0
            return dict(released)

        monkeypatch.setattr(candidate, "released", told)
        return alone(candidate.followed("recommender", {**JOB, **changed}))

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
    monkeypatch.setattr(candidate, "standing", {"recommender": None}.__getitem__)
    candidate.finish(ended(state, pull))
    said = capsys.readouterr()
    assert said.err.splitlines() == ([line] if line else [])
    assert said.out == ""


@pytest.mark.parametrize("state", ["rejected", "unchanged"])
def test_an_open_pull_request_that_stays_is_named(
    state: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate, "standing", {"recommender": 3}.__getitem__)
    candidate.finish(ended(state, None))
    line = "release       pull request #3 stays as it is · ./scripts/localcloud pr 3"
    assert capsys.readouterr().err.splitlines()[1:] == [line]


def ended(state: str, pull: Any) -> dict[str, Any]:
    verdict = {"passed": False, "reasons": ["worse", "too few"]}
    common = {"flow": "recommender", "state": state, "pull_request": pull}
    return common | {"verdict": verdict}


def test_every_state_that_has_a_pull_request_has_words() -> None:
    assert set(candidate.WORDS) == {"proposed", "held", "superseded"}


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
