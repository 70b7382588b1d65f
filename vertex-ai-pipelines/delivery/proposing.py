"""A candidate whose release pull request is missing: its workflow is started again, a few times."""

from itertools import islice
from typing import Any

import msgspec

from delivery import grants, health, markdown
from delivery.branch import MAIN
from delivery.candidate import Candidate
from delivery.health import Problem
from delivery.report import Mark

WORKFLOW = f"{grants.RELEASE}.yml"
TRIES = 3
LOOKED_AT = 30  # newest runs of the workflow


def again(repository: Any, candidate: Candidate, mark: Mark) -> tuple[Mark, Problem | None]:
    """Start the release workflow for `candidate` where its pull request is missing, at most TRIES times.

    `mark` has how often that was done. As long as any run of that workflow is at work, it waits.
    """
    if health.is_settled(repository, candidate):
        return mark, None
    tried = mark.started.get(candidate.version, 0)
    workflow = repository.get_workflow(WORKFLOW)
    is_busy = any(run.status != "completed" for run in islice(workflow.get_runs(), LOOKED_AT))
    if is_busy and tried == 0:
        return mark, None
    if not is_busy and tried < TRIES:
        fields = {"environment": candidate.environment, "manifest": candidate.manifest}
        workflow.create_dispatch(MAIN, {**fields, "sha256": candidate.sha256}, throw=True)
        tried += 1
    text = (
        f"Version {markdown.code(candidate.version)} has passed the gate, and no pull request"
        f" proposes it. `{WORKFLOW}` was started for it again, {tried} of {TRIES} times: look at"
        f" [its runs]({workflow.html_url})."
    )
    problem = Problem(f"release-{candidate.version}", "its candidate has no pull request", text)
    return msgspec.structs.replace(mark, started={candidate.version: tried}), problem
