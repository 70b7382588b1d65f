"""Concurrency groups: which runs wait, which take another's place, and which run side by side."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.github import runner
from localcloud.github.job import Job
from localcloud.github.runs import Run
from tests.eventually import eventually
from tests.localcloud.github_harness import OWNER, Site

HOLD = "sleep 60"
GROUPS = {
    "single": "concurrency: Deploy",
    "other": "concurrency: {group: deploy, cancel-in-progress: false}",
    "queue": "concurrency: {group: 'queue-${{ inputs.of }}', queue: max}",
    "newest": "concurrency: {group: newest, cancel-in-progress: \"${{ inputs.of == 'now' }}\"}",
    "ref": "concurrency: '${{ github.workflow }}-${{ github.ref_name }}'",
    "free": "",
}
ON = "on: {workflow_dispatch: {inputs: {of: {type: string}}}}"
JOB = f"runs-on: ubuntu-24.04, steps: [{{run: {HOLD}}}]"
WORKFLOWS = {
    name: f"name: {name}\n{ON}\n{group}\njobs: {{one: {{{JOB}}}}}\n" for name, group in GROUPS.items()
}
WORKFLOWS["locked"] = f"name: locked\n{ON}\njobs: {{one: {{{JOB}, concurrency: {{group: deploy}}}}}}\n"
FILES = {
    path: text
    for name, workflow in WORKFLOWS.items()
    for path, text in (
        (f".github/workflows/{name}.yml", workflow),
        (f"scripts/{name}", f"#!/bin/sh\nexec {HOLD}\n"),
    )
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "cloud")
    made.commit(FILES)
    yield made
    made.close()


class Queue:
    """Runs of a site, by their number."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def press(self, name: str, of: str = "", ref: str = "main") -> int:
        path = f".github/workflows/{name}.yml"
        given = (ref, {"of": of})
        return int(self.site.hub.triggers.dispatch(self.site.repository, path, given, OWNER)["id"])

    def run(self, number: int) -> Run:
        return self.site.hub.runs.get("acme/models", number)

    def states(self, *numbers: int) -> list[str]:
        return [str(self.run(number)["conclusion"] or self.run(number)["status"]) for number in numbers]

    def become(self, *expected: tuple[int, str]) -> None:
        """Wait until the runs are in those states."""
        eventually(lambda: all(self.states(number) == [state] for number, state in expected))

    def end(self, number: int) -> None:
        assert self.site.hub.runner.cancel(self.run(number))
        eventually(lambda: self.run(number)["status"] == "completed")


@pytest.fixture
def queue(site: Site) -> Queue:
    return Queue(site)


def test_one_runs_one_waits_and_a_third_takes_its_place(queue: Queue) -> None:
    first, second = queue.press("single"), queue.press("other")
    assert queue.states(first, second) == ["in_progress", "pending"]
    third = queue.press("single")
    assert queue.states(first, second, third) == ["in_progress", "cancelled", "pending"]
    queue.end(first)
    queue.become((third, "in_progress"))


def test_queue_max_keeps_all_in_order(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [queue.press("queue", "a") for _ in range(3)]
    beside = queue.press("queue", "b")
    assert queue.states(*numbers, beside) == ["in_progress", "pending", "pending", "in_progress"]
    queue.end(numbers[0])
    queue.become((numbers[1], "in_progress"), (numbers[2], "pending"))
    queue.end(numbers[1])
    queue.become((numbers[2], "in_progress"))
    monkeypatch.setattr(runner, "PENDING", 1)
    assert queue.states(queue.press("queue", "a"), queue.press("queue", "a")) == ["pending", "cancelled"]


def test_cancel_in_progress_where_its_expression_says_so(queue: Queue) -> None:
    first, second = queue.press("newest"), queue.press("newest", "later")
    assert queue.states(first, second) == ["in_progress", "pending"]
    third = queue.press("newest", "now")
    queue.become((first, "cancelled"), (second, "cancelled"), (third, "in_progress"))


def test_groups_by_branch_run_side_by_side(site: Site, queue: Queue) -> None:
    site.commit({"a.txt": "x"}, "Feature")
    site.repository.raw("update-ref", "refs/heads/feature", str(site.repository.branch("Feature")))
    first, second = queue.press("ref"), queue.press("ref", ref="Feature")
    third = queue.press("ref", ref="feature")
    assert queue.states(first, second, third) == ["in_progress", "in_progress", "pending"]


def test_without_a_group_as_many_as_the_machine_bears(site: Site, queue: Queue) -> None:
    site.hub.runner.room = 2
    numbers = [queue.press("free") for _ in range(4)]
    assert queue.states(*numbers) == ["in_progress", "in_progress", "queued", "queued"]
    queue.end(numbers[0])
    queue.become((numbers[1], "in_progress"), (numbers[2], "in_progress"), (numbers[3], "queued"))


def test_a_job_s_group_holds_the_whole_run_and_cancels_none(queue: Queue) -> None:
    first, second, third = queue.press("locked"), queue.press("locked"), queue.press("locked")
    assert queue.states(first, second, third) == ["in_progress", "pending", "pending"]
    fourth = queue.press("single")
    assert queue.states(third, fourth) == ["pending", "pending"]
    queue.end(first)
    queue.become((second, "in_progress"), (third, "pending"), (fourth, "pending"))


def test_a_repeated_run_enters_its_group_again(site: Site, queue: Queue) -> None:
    first = queue.press("single")
    queue.end(first)
    second, third = queue.press("single"), queue.press("single")
    site.hub.runner.again(queue.run(first), "ann")
    queue.become((second, "in_progress"), (third, "cancelled"), (first, "pending"))
    again = site.client().get_repo("acme/models").get_workflow_run(first)
    assert (again.run_attempt, again.actor.login) == (2, OWNER)
    assert again.triggering_actor.login == "ann"


def test_what_waits_outlives_the_local_cloud(tmp_path: Path) -> None:
    old = Site(tmp_path / "cloud")
    old.commit(FILES)
    queue = Queue(old)
    first, second = queue.press("single"), queue.press("single")
    assert queue.states(first, second) == ["in_progress", "pending"]
    old.close()
    new = Site(tmp_path / "cloud")
    assert Queue(new).states(first, second) == ["failure", "in_progress"]
    new.close()


def full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_full_disk_fails_a_run_and_the_next_one_has_its_turn(
    site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Job, "work", full)
        queue.become((queue.press("single"), "failure"))
    first, second = queue.press("single"), queue.press("other")
    queue.become((first, "in_progress"), (second, "pending"))
    queue.end(first)
    queue.become((second, "in_progress"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_end_that_cannot_be_written_down_holds_up_nothing(
    site: Site, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queue.press("single"), queue.press("other")
    with monkeypatch.context() as patch:
        patch.setattr(site.hub.runs, "finish", full)
        assert site.hub.runner.cancel(queue.run(first))
        queue.become((second, "in_progress"))
        assert site.hub.runner.cancel(queue.run(second))
        eventually(lambda: not site.hub.busy())
    assert queue.states(first, second) == ["in_progress", "in_progress"]
    queue.end(first)
    assert queue.states(first) == ["cancelled"]
