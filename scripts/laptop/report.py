"""What came of a candidate: waits for the release workflow, then reads its pull request."""

import os
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

from delivery import releases
from delivery.candidate import candidate_of
from delivery.work import Work
from flows.errors import RetrainError
from flows.github import CLIENT
from laptop.world import ENVIRONMENT

WORKFLOW = "release-pr.yml"
MANIFEST = "manifest.json"
LONGEST = 20 * 60.0  # seconds that the workflow may take; it gives up by itself before
PERIOD = 0.2  # seconds between two looks at the workflow's runs
NEWEST = 20  # of the runs and pull requests: more do not come about during one run


@dataclass(frozen=True)
class Mark:
    """What was there before a job: the release workflow's newest run, the newest pull request.

    Their numbers, not their times: a clock may jump.
    """

    run: int
    pull: int


def mark() -> Mark:
    """What is there now."""
    where = repository()
    runs = _newest(where.get_workflow(WORKFLOW).get_runs())
    pulls = _newest(where.get_pulls(state="all", sort="created", direction="desc"))
    return Mark(
        max((run.id for run in runs), default=0), max((pull.number for pull in pulls), default=0)
    )


def released(flow: str, version: str, before: Mark) -> Work[dict[str, Any]]:
    """`state`, `pull_request` and, where the workflow failed, `run`, of the candidate `version`."""
    where = repository()
    runs = yield from _wait(where, before, f"/{flow}/{version}/{MANIFEST}")
    failed = [run.id for run in runs if run.conclusion != "success"]
    if len(failed) == len(runs):
        # A pull request may be there, half made: without its labels, or with another body.
        return {"state": "failed", "pull_request": None, "run": failed[-1]}
    branch = f"release/{ENVIRONMENT}/{flow}"
    for pull in _pulls(where, branch, "all"):
        state = _state(pull, version)
        if state:
            # Where two runs follow it, the second one has added a commit.
            created = pull.commits == 1 and pull.number > before.pull
            named = {"number": pull.number, "url": pull.html_url, "branch": branch, "created": created}
            return {"state": state, "pull_request": named}
    return {"state": "failed", "pull_request": None, "run": (failed or [None])[-1]}


def standing(flow: str, branch: str = "") -> int | None:
    """The number of the open pull request of a branch, or of the flow's release, if there is one."""
    pulls = _pulls(repository(), branch or f"release/{ENVIRONMENT}/{flow}", "open")
    return next((pull.number for pull in pulls), None)


def _pulls(where: Any, branch: str, state: str) -> Any:
    """The branch's pull requests, the newest first."""
    head = f"{where.owner.login}:{branch}"
    return where.get_pulls(state=state, head=head, sort="created", direction="desc")


def _newest(found: Any) -> list[Any]:
    """The first of a PyGithub list, which cannot be sliced where it is empty."""
    return list(islice(found, NEWEST))


def repository() -> Any:
    """The repository on the local GitHub, as its owner sees it by PyGithub."""
    from github import Auth, Github

    token = Auth.Token(os.environ["GITHUB_TOKEN"])
    return Github(auth=token, **CLIENT).get_repo(os.environ["GITHUB_REPOSITORY"])


def _wait(where: Any, before: Mark, named: str) -> Work[list[Any]]:
    """The workflow's runs since then about the manifest that is `named` so, once all of them have ended.

    Raises RetrainError.
    """
    workflow = where.get_workflow(WORKFLOW)
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        runs = [run for run in _newest(workflow.get_runs()) if run.id > before.run]
        runs = [run for run in runs if _is_about(run, named)]
        if runs and all(run.status == "completed" for run in runs):
            return runs
        yield PERIOD
        for run in runs:  # the list of all of them takes five times as long
            while run.status != "completed" and time.monotonic() < deadline:
                yield PERIOD
                run.update()
    raise RetrainError(
        f"{WORKFLOW} has not ended in {LONGEST / 60:.0f} minutes", "look at ./scripts/localcloud logs"
    )


def _is_about(run: Any, named: str) -> bool:
    """Whether a run's title names that manifest; one that names none may be anybody's."""
    return named in run.display_title or MANIFEST not in run.display_title


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
