"""A candidate whose release pull request is missing: its workflow is started again, a few times."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from delivery import grants, health, markdown
from delivery.branch import MAIN
from delivery.candidate import Candidate
from delivery.health import Problem
from delivery.report import Mark

WORKFLOW = f"{grants.RELEASE}.yml"
TRIES = 3
LOOKED_AT = 30  # newest runs of the workflow


@dataclass(frozen=True)
class Missing:
    """A candidate's missing pull request: what is told of it, and whether its workflow is to be started.

    `started` counts that start already: told before it is done, it is never done without being told.
    """

    problem: Problem
    started: int
    is_due: bool


def missing(repository: Any, candidate: Candidate, mark: Mark) -> Missing | None:
    """What to do about `candidate`'s pull request; None where there is one, or it is being made.

    Its workflow is started at most TRIES times, of which `mark` tells, and never while one is at work.
    """
    if health.is_settled(repository, candidate):
        return None
    tried = mark.started.get(candidate.version, 0)
    workflow = repository.get_workflow(WORKFLOW)
    is_busy = any(run.status != "completed" for run in islice(workflow.get_runs(), LOOKED_AT))
    if is_busy and tried == 0:
        return None
    is_due = not is_busy and tried < TRIES
    tried += is_due
    text = (
        f"Version {markdown.code(candidate.version)} has passed the gate, and no pull request"
        f" that can be merged proposes it. `{WORKFLOW}` was started for it again, {tried} of {TRIES}"
        f" times: look at [its runs]({workflow.html_url})."
    )
    problem = Problem(f"release-{candidate.version}", "its candidate has no good pull request", text)
    return Missing(problem, tried, is_due)


def start(repository: Any, candidate: Candidate) -> None:
    """Start the release workflow for `candidate`."""
    fields = ("flow", "environment", "manifest", "sha256")
    inputs = {field: getattr(candidate, field) for field in fields}
    repository.get_workflow(WORKFLOW).create_dispatch(MAIN, inputs, throw=True)
