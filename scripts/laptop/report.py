"""What came of a candidate: waits for the release workflow, then reads its pull request."""

import os
import time
from datetime import datetime, timedelta
from typing import Any

from delivery import releases
from delivery.candidate import candidate_of
from flows.errors import RetrainError
from laptop.world import ENVIRONMENT

WORKFLOW = "release-pr.yml"
LONGEST = 20 * 60.0  # seconds that the workflow may take; it gives up by itself before
PERIOD = 0.2  # seconds between two looks at the workflow's runs
SECOND = timedelta(seconds=1)  # GitHub's times have no smaller part


def released(flow: str, version: str, trigger: datetime) -> dict[str, Any]:
    """`state`, `pull_request` and, where the workflow failed, `run`, of the candidate `version`."""
    repository = _repository()
    runs = _wait(repository, trigger - SECOND)
    branch = f"release/{ENVIRONMENT}/{flow}"
    head = f"{repository.owner.login}:{branch}"
    for pull in repository.get_pulls(state="all", head=head, sort="created", direction="desc"):
        state = _state(pull, version)
        if state:
            # An update adds a commit; times alone cannot tell two runs within a second.
            created = pull.commits == 1 and pull.created_at >= trigger - SECOND
            named = {"number": pull.number, "url": pull.html_url, "branch": branch, "created": created}
            return {"state": state, "pull_request": named}
    failed = [run.id for run in runs if run.conclusion != "success"]
    return {"state": "failed", "pull_request": None, "run": (failed or [None])[-1]}


def _repository() -> Any:
    from github import Auth, Github

    token = Auth.Token(os.environ["GITHUB_TOKEN"])
    # The waits between calls are for the real service's limits.
    client = Github(auth=token, seconds_between_requests=0, seconds_between_writes=0, retry=None)
    return client.get_repo(os.environ["GITHUB_REPOSITORY"])


def _wait(repository: Any, since: datetime) -> list[Any]:
    """The workflow's runs since a moment, once all of them have ended. Raises RetrainError."""
    workflow = repository.get_workflow(WORKFLOW)
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        runs = [run for run in workflow.get_runs()[:20] if run.created_at >= since]
        if runs and all(run.status == "completed" for run in runs):
            return runs
        time.sleep(PERIOD)
    raise RetrainError(
        f"{WORKFLOW} has not ended in {LONGEST / 60:.0f} minutes", "look at ./scripts/localcloud logs"
    )


def _state(pull: Any, version: str) -> str | None:
    """What a pull request says of `version`; None where it says nothing of it."""
    candidate = candidate_of(pull.body)
    if candidate is None:
        return None
    if candidate.version == version:
        return "proposed" if pull.state == "open" else "held"
    if pull.state == "closed":
        return None
    newer = releases.age(candidate.version) > releases.age(version)
    return "superseded" if newer else ("held" if _names(pull, version) else None)


def _names(pull: Any, version: str) -> bool:
    """Whether a comment says that `version` waits."""
    return any(version in comment.body for comment in pull.get_issue_comments())
