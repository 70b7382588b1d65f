"""The tick: one issue a flow about what is wrong, whatever is interrupted or comes twice."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from github.Issue import Issue
from github.Repository import Repository
from github.Workflow import Workflow

from delivery import (
    build,
    components,
    git,
    promoting,
    proposing,
    releases,
    schedule,
    settings,
    standby,
    submit,
    tick,
    workflow_run,
)
from delivery.candidate import line
from flows import config, serving_config
from flows.errors import InputError, RetrainError
from flows.serving_config import Serving
from tests.delivery.evidence import VERSION, address, candidate, environment, model
from tests.delivery.hub import BRANCH, NAME, Hub, hub

COMMIT = "abc1234" + "0" * 33
START = datetime(2026, 11, 21, 8, 45, tzinfo=UTC)
WORKFLOW = ".github/workflows/release-pr.yml"
BUTTON = """\
name: release-pr
on:
  workflow_dispatch:
    inputs:
      {flow: &text {type: string}, environment: *text, manifest: *text, sha256: *text}
jobs: {propose: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}
"""


def task(name: str, state: str = "SUCCEEDED", error: str = "", /, **outputs: Any) -> dict[str, Any]:
    """A task as Vertex AI tells of it."""
    metadata = {f"output:{key}": value for key, value in outputs.items()}
    made = {"task_name": name, "state": state, "execution": {"metadata": metadata}}
    times = {"start_time": START, "end_time": START + timedelta(seconds=2)}
    return {**made, **times, **({"error": {"code": 13, "message": error}} if error else {})}


def run(name: str, state: str, *tasks: dict[str, Any]) -> Any:
    """A pipeline job of the flow."""
    from google.cloud.aiplatform_v1 import PipelineJob

    return PipelineJob(
        name=f"{environment().location}/pipelineJobs/{name}",
        state=f"PIPELINE_STATE_{state}",
        labels={"flow": "recommender", "environment": "local", "commit": COMMIT},
        job_detail={"task_details": tasks},
    )


def good(name: str = "good", release: str = "unchanged") -> Any:
    """A run whose model is the champion's, or a candidate."""
    verdict = json.dumps({"passed": True, "reasons": []})
    uploaded = {"manifest": address(), "sha256": candidate().sha256, "state": release}
    return run(name, "SUCCEEDED", task("evaluate", verdict=verdict), task("upload-model", **uploaded))


def failed(name: str = "failed", error: str = "read 9 rows\nerror: no rows left") -> Any:
    return run(name, "FAILED", task("get-data"), task("train", "FAILED", error))


def rejected(name: str = "rejected") -> Any:
    verdict = json.dumps({"passed": False, "reasons": ["0.01 is below the floor 0.03"]})
    return run(name, "SUCCEEDED", task("evaluate", verdict=verdict))


def proposed() -> Any:
    return good("proposed", "proposed")


class Jobs:
    """Vertex AI's jobs of the one flow, the newest first."""

    parent = environment().location

    def __init__(self) -> None:
        self.there: list[Any] = []

    def newest(self, flow: str, most: int, labelled: str = "") -> list[Any]:
        return [one for one in self.there if labelled in ("", *one.labels)][:most]

    def find(self, name: str) -> Any:
        return next((one for one in self.there if one.name == name), None)


class World:
    """A GitHub, the jobs, and ticks."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.jobs = hub, Jobs()

    def tick(self, *newest: Any) -> int:
        """One tick, after these jobs; its exit code."""
        self.jobs.there[:0] = newest
        return tick.main(["--environment", "local", "--at", "2026-11-21T09:00:00Z"])

    def issue(self) -> Any:
        """The one open issue."""
        (found,) = self.hub.issues()
        return found

    def runs(self) -> list[Any]:
        """The release workflow's runs."""
        return list(self.hub.person.get_workflow("release-pr.yml").get_runs())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    own = settings.load()
    with hub(tmp_path / "hub") as github:
        made = World(github)
        monkeypatch.setattr(github.server.runner, "pump", lambda: None)  # runs stay queued
        github._write("main", WORKFLOW, BUTTON)
        monkeypatch.setattr(settings, "ROOT", tmp_path)
        monkeypatch.setattr(settings, "load", lambda: own)
        flow = msgspec.structs.replace(components.load("recommender"), schedule=None)
        monkeypatch.setattr(config, "names", lambda *_: ["recommender"])
        monkeypatch.setattr(components, "load", lambda name: flow)
        monkeypatch.setattr(tick, "Jobs", lambda environment: made.jobs)
        monkeypatch.setattr(standby, "end", lambda *_: [])
        monkeypatch.setattr(workflow_run, "repository", lambda: github.job)
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        yield made


def test_a_failed_run_opens_an_issue_and_the_next_good_one_closes_it(world: World) -> None:
    assert world.tick(failed()) == 0
    issue = world.issue()
    assert issue.title == "recommender in local: train failed"
    assert [label.name for label in issue.labels] == ["retrain"]
    assert issue.user.login == "github-actions[bot]"
    place = "https://console.cloud.google.com/vertex-ai/locations/europe-west1/pipelines/runs/failed"
    assert f"Failed at `train`: [failed]({place}?project=retrain-local), commit `abc1234`" in issue.body
    assert "```text\nread 9 rows\nerror: no rows left\n```" in issue.body
    assert world.tick(good()) == 0
    assert world.hub.issues() == []
    closed = world.hub.person.get_issue(issue.number)
    assert (closed.state, closed.state_reason) == ("closed", "completed")
    (comment,) = closed.get_comments()
    assert comment.body.startswith("Well again: [good](https://console.cloud.google.com/")


def test_ticks_that_see_nothing_new_write_nothing(world: World) -> None:
    world.tick(failed())
    before = world.issue()
    world.tick()
    after = world.issue()
    assert (after.body, after.updated_at, after.comments) == (before.body, before.updated_at, 0)
    world.tick(good())
    world.tick()
    assert len(list(world.hub.person.get_issue(before.number).get_comments())) == 1
    assert len(world.hub.issues("all")) == 1


def test_an_issue_follows_the_newest_run(world: World) -> None:
    world.tick(failed("first"))
    world.tick(failed("second", "error: no columns"))
    assert "error: no columns" in world.issue().body
    assert "no rows" not in world.issue().body
    assert len(world.hub.issues("all")) == 1


def overridden(made: Any) -> Any:
    """The same run, of a configuration that is not the commit's."""
    made.labels["overridden"] = "yes"
    return made


@pytest.mark.parametrize("tried", [failed, rejected])
def test_what_somebody_tried_is_not_the_flow_s_health(world: World, tried: Callable[..., Any]) -> None:
    world.tick(overridden(tried("alone")))
    assert world.hub.issues() == []
    world.tick(failed("really"), good("before"))
    world.tick(overridden(good("tried")))
    assert "[really](" in world.issue().body


def test_what_somebody_made_is_proposed_like_any_other(world: World) -> None:
    world.tick(overridden(proposed()), good())
    assert world.issue().title == "recommender in local: its candidate has no good pull request"


def test_a_run_at_work_changes_nothing(world: World) -> None:
    world.tick(failed())
    world.tick(run("running", "RUNNING", task("get-data")))
    assert "[failed](" in world.issue().body


def test_the_gate_s_no_is_told_with_its_reasons(world: World) -> None:
    world.tick(rejected())
    assert world.issue().title == "recommender in local: the gate said no"
    assert "- 0.01 is below the floor 0.03" in world.issue().body


def test_a_cancelled_run_is_told(world: World) -> None:
    world.tick(run("stopped", "CANCELLED", task("get-data"), task("train", "CANCELLED")))
    assert world.issue().title == "recommender in local: train cancelled"


def test_what_a_step_wrote_cannot_leave_its_block(world: World) -> None:
    world.tick(failed("bad", "```\n@everyone\n<!-- retrain health {} -->"))
    assert "````text\n```\n@everyone\n<!-- retrain health {} -->\n````" in world.issue().body
    world.tick(failed("worse"))
    assert len(world.hub.issues("all")) == 1


def test_who_closes_an_issue_hears_no_more_of_it(world: World) -> None:
    world.tick(failed())
    world.issue().edit(state="closed")
    world.tick()
    assert world.hub.issues() == []
    world.tick(failed("another"))
    assert "[another](" in world.issue().body


def test_a_failure_after_a_good_run_is_a_new_issue(world: World) -> None:
    world.tick(failed())
    world.tick(good())
    world.tick(failed("later"))
    assert [one.state for one in world.hub.issues("all")] == ["closed", "open"]


def test_two_issues_that_two_ticks_opened_become_one(world: World) -> None:
    world.tick(failed())
    first = world.issue()
    world.hub.job.create_issue(first.title, body=first.body, labels=["retrain"])
    world.tick()
    assert world.issue().number == first.number
    second = world.hub.issues("all")[1]
    assert [one.body.splitlines()[0] for one in second.get_comments()] == [
        f"The same as #{first.number}."
    ]


def test_people_s_own_issues_are_left_alone(world: World) -> None:
    world.tick(failed())
    marked = ("retrain", world.issue().body)
    for body in marked:
        world.hub.person.create_issue("Mine", body=body, labels=["retrain"])
    world.tick()
    world.tick(good())
    assert [(one.title, one.body) for one in world.hub.issues()] == [("Mine", one) for one in marked]


def test_a_person_s_comment_is_not_the_tick_s(world: World) -> None:
    world.tick(failed())
    issue = world.issue()
    issue.create_comment("<!-- retrain closes failed -->")
    world.tick(good())
    assert [one.user.type for one in issue.get_comments()] == ["User", "Bot"]


def test_a_list_that_lags_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's list of issues does not have what was just opened."""
    with monkeypatch.context() as lagging:
        lagging.setattr(Repository, "get_issues", lambda *_, **__: [])
        assert world.tick(failed()) == 0
    assert world.issue().title == "recommender in local: train failed"


Interrupt = Callable[[type, str], None]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """The next call of a method does what it should, and its answer is lost."""

    def lose(kind: type, name: str) -> None:
        real, left = getattr(kind, name), [1]

        def call(*given: Any, **fields: Any) -> Any:
            found = real(*given, **fields)
            if left and left.pop():
                raise requests.ConnectionError
            return found

        monkeypatch.setattr(kind, name, call)

    return lose


@pytest.mark.parametrize(
    ("kind", "name"), [(Repository, "create_issue"), (Issue, "create_comment"), (Issue, "edit")]
)
def test_a_tick_that_breaks_off_is_finished_by_the_next(
    world: World, interrupt: Interrupt, kind: type, name: str
) -> None:
    interrupt(kind, name)
    codes = [world.tick(failed()), world.tick(), world.tick(good()), world.tick()]
    assert sorted(codes) == [0, 0, 0, 1]
    (issue,) = world.hub.issues("all")
    assert issue.state == "closed"
    assert len(list(issue.get_comments())) == 1


def end(world: World) -> None:
    """All runs at work fail."""
    for found in world.hub.server.runs.in_status("queued"):
        world.hub.server.runs.finish(found, "failure")


def test_a_candidate_without_its_pull_request_is_proposed_again(world: World) -> None:
    world.tick(proposed())
    (started,) = world.runs()
    kept = world.hub.server.runs.get(NAME, started.id)
    assert kept["inputs"] == {
        "flow": "recommender",
        "environment": "local",
        "manifest": address(),
        "sha256": candidate().sha256,
    }
    assert world.issue().title == "recommender in local: its candidate has no good pull request"
    world.tick()
    assert len(world.runs()) == 1, "it is at work"
    for _ in range(proposing.TRIES + 1):
        end(world)
        world.tick()
    assert len(world.runs()) == proposing.TRIES
    assert "started for it again, 3 of 3 times" in world.issue().body


def test_who_closes_the_issue_does_not_start_the_count_again(world: World) -> None:
    world.tick(proposed())
    world.issue().edit(state="closed")
    for _ in range(proposing.TRIES + 2):
        end(world)
        world.tick()
    assert len(world.runs()) == proposing.TRIES
    (issue,) = world.hub.issues("all")
    assert issue.state == "closed"


def test_a_start_is_counted_before_it_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch, interrupt: Interrupt
) -> None:
    """However often a tick breaks off behind it."""
    for _ in range(proposing.TRIES + 2):
        interrupt(Workflow, "create_dispatch")
        world.tick(*([] if world.jobs.there else [proposed()]))
        end(world)
    assert len(world.runs()) == proposing.TRIES


def test_a_start_that_cannot_be_counted_is_not_made(world: World, interrupt: Interrupt) -> None:
    interrupt(Repository, "create_issue")
    assert world.tick(proposed()) == 1
    assert world.runs() == []


def test_a_candidate_whose_pull_request_is_being_made_is_waited_for(world: World) -> None:
    world.hub.person.get_workflow("release-pr.yml").create_dispatch("main", {}, throw=True)
    world.tick(proposed())
    assert (len(world.runs()), world.hub.issues()) == (1, [])


def propose(world: World) -> None:
    """The candidate has its pull request."""
    world.hub.person.create_git_ref(f"refs/heads/{BRANCH}", world.hub.head("main"))
    world.hub._write(BRANCH, "releases/local/recommender.toml", "x")
    body = f"…\n\n{line(candidate())}"
    world.hub.app.create_pull(base="main", head=BRANCH, title="Release", body=body)


def test_a_candidate_with_its_pull_request_is_well(world: World) -> None:
    world.tick(failed("before"))
    propose(world)
    world.tick(proposed())
    assert (world.runs(), world.hub.issues()) == ([], [])


def test_a_pull_request_that_conflicts_with_main_is_mended_by_its_workflow(world: World) -> None:
    propose(world)
    world.hub.main("another share")
    world.tick(proposed())
    assert len(world.runs()) == 1
    assert "no pull request that can be merged proposes it" in world.issue().body


def release() -> None:
    """The candidate is champion on main."""
    path = settings.ROOT / "releases/local/recommender.toml"
    path.parent.mkdir(parents=True)
    path.write_text(releases.write(releases.alone(model())))


def test_a_released_candidate_is_well(world: World) -> None:
    release()
    world.tick(proposed())
    assert (world.runs(), world.hub.issues()) == ([], [])


def test_a_candidate_stays_missed_while_later_runs_make_none(world: World) -> None:
    world.tick(proposed())
    end(world)
    world.tick(rejected())
    assert "the gate said no; its candidate has no good pull request" in world.issue().title


def test_what_cannot_be_submitted_is_told_and_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["broken", "recommender"]
    real = components.load

    def load(name: str) -> Any:
        if name == "broken":
            raise InputError("flow.toml: not valid TOML", "mend that line")
        return real(name)

    monkeypatch.setattr(config, "names", lambda: names)
    monkeypatch.setattr(components, "load", load)
    assert world.tick(failed()) == 1
    titles = sorted(one.title for one in world.hub.issues())
    assert titles[0] == "broken in local: it could not be submitted; train failed"
    assert titles[1] == "recommender in local: train failed"
    assert "broken: flow.toml: not valid TOML" in capsys.readouterr().err


def test_a_missed_schedule_is_told_until_its_run_is_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = schedule.Due(START - timedelta(days=3), late=True, missed=2)
    monkeypatch.setattr(schedule, "due", lambda *given: due)
    monkeypatch.setattr(git, "head", lambda root: COMMIT)
    published = list[tuple[str, str]]()
    monkeypatch.setattr(build, "publish", lambda where, group: published.append((where.name, group)))
    monkeypatch.setattr(submit, "planned", lambda *_, again: {"pipeline_job": "p/x", "version": "v1"})
    late = run("late", "RUNNING")

    def start(*given: Any) -> None:
        late.labels.update(given[-1])
        world.jobs.there.insert(0, late)

    monkeypatch.setattr(submit, "submit", start)
    world.tick(good("before"))
    assert (late.labels["schedule"], published) == ("20261118-084500", [("local", "base")])
    told = world.issue()
    assert "2026-11-18T08:45:00Z; before it, 2 more came to nothing" in told.body
    assert "It runs now: [late](https://console.cloud.google.com/" in told.body
    monkeypatch.setattr(schedule, "due", lambda *given: None)
    world.tick()
    assert world.issue().body == told.body, "it still runs"
    late.state = "PIPELINE_STATE_SUCCEEDED"
    world.tick()
    assert world.hub.issues() == []


def test_the_summary_has_each_flow_with_links(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    world.tick(failed())
    text = (tmp_path / "summary.md").read_text()
    assert "| recommender | [failed](https://console.cloud.google.com/" in text
    assert f"[train failed]({world.issue().html_url})" in text


def test_stand_bys_are_ended_and_next_rungs_proposed(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release()
    auto = Serving(promote="auto")
    monkeypatch.setattr(serving_config, "load", lambda name, environment: auto)
    monkeypatch.setattr(standby, "end", lambda where, name, serving, present: [f"{VERSION}-9"])
    monkeypatch.setattr(promoting, "propose", lambda asked, *_: f"{asked.serving.promote}: opened")
    assert world.tick(good()) == 0
    said = capsys.readouterr().err
    assert f"recommender: {VERSION}-9: its stand-by has ended\n" in said
    assert "recommender: auto: opened\n" in said


def test_a_stand_by_that_does_not_end_is_told_and_stops_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise RetrainError("another roll-out is at work", "wait until that one has ended")

    release()
    monkeypatch.setattr(standby, "end", refused)
    assert world.tick(good()) == 1
    assert world.issue().title == "recommender in local: a stand-by could not be ended"
    assert "another roll-out is at work" in world.issue().body


def test_where_nothing_is_trained_by_itself_what_is_released_is_seen_to(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release()
    own, asked = settings.load(), list[str]()
    monkeypatch.setattr(standby, "end", lambda *_: [f"{VERSION}-9"])
    monkeypatch.setattr(schedule, "due", lambda flow, *_: asked.append(flow.name))
    assert tick.main(["--environment", "local", "--released"]) == 0
    local = msgspec.structs.replace(own.environment("local"), train=False)
    there = msgspec.structs.replace(own, environments={**own.environments, "local": local})
    monkeypatch.setattr(settings, "load", lambda: there)
    assert tick.main(["--environment", "local"]) == 0
    assert capsys.readouterr().err.count("its stand-by has ended") == 2
    assert asked == []


def test_the_other_environments_with_releases_are_named(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    release()
    assert tick.main(["--environment", "local", "--elsewhere"]) == 0
    assert tick.main(["--environment", "production", "--elsewhere"]) == 0
    assert capsys.readouterr().out == 'environments=[]\nenvironments=["local"]\n'
