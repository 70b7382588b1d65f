"""`run --all`, apart from the cloud that it needs: several flows at once, each by itself."""

import json
import signal
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from delivery import follow
from delivery.follow import Outcome
from delivery.work import Work, alone
from flows import config
from flows.errors import InputError, RetrainError
from laptop import candidate, packages, provision, release, report, run, samples, together
from laptop.report import Mark
from laptop.run import Started
from laptop.shown import SCREEN, detail, say
from tests.laptop.test_run import JOB, Workflow, ended_job

FLOWS = ["linnerud", "recommender"]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were slept: no other time passes."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + sum(seconds))
    return seconds


def works(name: str, *rests: float) -> Work[None]:
    for rest in rests:
        say("waits", f"{name} {rest}")
        yield rest
    detail("not said", "of several")
    SCREEN.say(f"  {name} ends")


def test_each_has_its_turn_and_says_whose_lines_are(
    slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    together.together(
        {"a": works("a", 3.0), "longer_than_fourteen": works("b", 1.0, 1.0), "c": works("c")}
    )
    assert slept[-3:] == [1.0, 1.0, 1.0]
    assert [line.split() for line in capsys.readouterr().err.splitlines()] == [
        ["a", "waits", "a", "3.0"],
        ["longer_than_fourteen", "waits", "b", "1.0"],
        ["c", "c", "ends"],
        ["longer_than_fourteen", "waits", "b", "1.0"],
        ["longer_than_fourteen", "b", "ends"],
        ["a", "a", "ends"],
    ]


def test_one_alone_has_all_its_lines_and_no_mark(
    slept: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    alone(works("a", 3.0))
    assert slept == [3.0]
    assert capsys.readouterr().err.splitlines() == [
        "waits         a 3.0",
        "not said      of several",
        "  a ends",
    ]


def test_what_fails_with_one_flow_is_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], slept: list[float]
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")

    def came(_: Started, flow: str) -> Work[dict[str, Any]]:
        yield 2.0 if flow == "linnerud" else 1.0
        return candidate.common(flow, JOB) | {"state": "proposed", "pull_request": {"number": 7}}

    def rolled_out(result: dict[str, Any]) -> Work[dict[str, Any]]:
        yield 1.0
        if result["flow"] == "linnerud":
            raise RetrainError("GitHub refuses to merge", "look at it")
        return result | release.NONE | {"state": "released"}

    monkeypatch.setattr(run, "candidate", came)
    monkeypatch.setattr(release, "roll_out", rolled_out)
    jobs: Any = None
    results = run.several(Started("c" * 40, Mark(3, 4), jobs, {}), FLOWS, True, 999.0)
    first, second = (results[flow] for flow in FLOWS)
    assert (first["state"], first["seconds"], first["model"]["version"]) == ("failed", 4.0, "v1")
    assert (second["state"], second["seconds"]) == ("released", 3.0)
    assert first | release.NONE == first
    said = capsys.readouterr().err
    assert said == "linnerud      error: GitHub refuses to merge\n  mend: look at it\n"


def test_ctrl_c_stops_the_jobs_that_have_not_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], slept: list[float]
) -> None:
    def watch(_jobs: Any, name: str, _screen: Any) -> Work[Outcome]:
        yield 1.0 if name.endswith("linnerud-v1") else 2.0
        if name.endswith("recommender-v1"):
            raise KeyboardInterrupt
        return Outcome("SUCCEEDED", [])

    def came(flow: str, _job: Any) -> Work[dict[str, Any]]:
        yield 60.0
        pytest.fail(f"{flow} goes on")

    stopped = list[str]()
    jobs: Any = SimpleNamespace(cancel=stopped.append, find=lambda _: None)
    running = {flow: f"projects/p/locations/r/pipelineJobs/{flow}-v1" for flow in FLOWS}
    started = Started("c" * 40, Mark(3, 4), jobs, running)
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")
    monkeypatch.setattr(run, "readable", lambda: (FLOWS, {}))
    monkeypatch.setattr(run, "enter_cloud", lambda: 0)
    monkeypatch.setattr(run, "watched", nullcontext)
    monkeypatch.setattr(provision, "enter", lambda: None)
    for place in (packages, samples):
        monkeypatch.setattr(place, "needed", lambda _: None)
    monkeypatch.setattr(run, "begin", lambda *_: started)
    monkeypatch.setattr(follow, "watch", watch)
    monkeypatch.setattr(run, "followed", came)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.main(["--all"])
    signal.signal(signal.SIGINT, before)
    assert stopped == ["projects/p/locations/r/pipelineJobs/recommender-v1"]
    assert "cancelled     recommender-v1\n" in capsys.readouterr().err
    assert slept


def test_a_flow_whose_submit_failed_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "show_failed", lambda *_: None)
    legs = [ended_job(1, "submit linnerud", "failure", "Submit"), ended_job(2, "submit recommender")]
    workflow = Workflow(("completed", legs))
    workflow.conclusion = "failure"
    names = {flow: f"projects/p/locations/r/pipelineJobs/{flow}-v1" for flow in FLOWS}
    jobs: Any = SimpleNamespace(of_run=lambda _: names)
    monkeypatch.setattr(run, "Jobs", lambda _: jobs)
    assert run.submitted(workflow, FLOWS) == (jobs, {"recommender": names["recommender"]})
    assert capsys.readouterr().err.splitlines() == [
        "pipeline      recommender-v1",
        "failed        train.yml: failure · ./scripts/localcloud logs run-9",
    ]


def test_a_release_workflow_is_its_flows() -> None:
    """All flows of a run have the same version."""

    def told(title: str) -> bool:
        return report._is_about(SimpleNamespace(display_title=title), "/linnerud/v1/manifest.json")

    assert told("release-pr local s3://models/models/linnerud/v1/manifest.json ab")
    assert not told("release-pr local s3://models/models/recommender/v1/manifest.json ab")
    assert told("release-pr"), "one that was broken before it had its title"


def broken(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = config.load

    def load(name: str) -> Any:
        if name in names:
            raise InputError(f"{name}/flow.toml: not valid TOML")
        return real(name)

    monkeypatch.setattr(config, "load", load)


def test_a_flow_that_cannot_be_read_is_said_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")
    broken(monkeypatch, "linnerud")
    others = [name for name in config.names() if name != "linnerud"]
    jobs: Any = None
    monkeypatch.setattr(run, "enter_cloud", lambda: 0)
    monkeypatch.setattr(run, "watched", nullcontext)
    monkeypatch.setattr(provision, "enter", lambda: None)
    for place in (packages, samples):
        monkeypatch.setattr(place, "needed", lambda _: None)
    monkeypatch.setattr(run, "begin", lambda *_: Started("c" * 40, Mark(3, 4), jobs, {}))
    done = {name: {"state": "proposed", "flow": name} for name in others}
    monkeypatch.setattr(run, "several", lambda _started, flows, *_: {name: done[name] for name in flows})
    assert run.main(["--all", "--json", "--release"]) == 2
    said = capsys.readouterr()
    assert "error: linnerud/flow.toml: not valid TOML" in said.err
    assert "linnerud failed" in said.err.splitlines()[-1]
    answer = json.loads(said.out)
    assert answer["states"] == {"linnerud": "failed"} | dict.fromkeys(others, "proposed")
    assert [one["flow"] for one in answer["flows"]] == config.names()
    (refused,) = (one for one in answer["flows"] if one["flow"] == "linnerud")
    assert refused | release.NONE == refused


def test_nothing_starts_where_no_flow_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, *config.names())
    monkeypatch.setattr(run, "enter_cloud", lambda: pytest.fail("it started the local cloud"))
    with pytest.raises(InputError, match="no flow that can be trained"):
        run.main(["--all"])


def test_all_and_one_are_not_asked_for_together(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run.main(["linnerud", "--all"])
    assert "not allowed with" in capsys.readouterr().err
