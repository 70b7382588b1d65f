"""The one pull request of a release branch: find, open, update, label and comment it. Safe to repeat."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from delivery import access
from delivery.branch import MAIN, RACE, LostRaceError, message_of
from delivery.candidate import Candidate, candidate_of
from flows.errors import InputError

HOLD = "hold"
OPINIONS = ("APPROVED", "CHANGES_REQUESTED", "DISMISSED")  # a mere comment changes none
MOST = 100  # pull requests of one branch that are looked at, the newest first


@dataclass(frozen=True)
class Pulls:
    """The branch's open pull request, and the closed ones by the version that they proposed."""

    open: Any | None = None
    closed: dict[str, Any] = field(default_factory=dict)


def find(repository: Any, branch: str) -> Pulls:
    """The branch's pull requests: the open one, and what the closed ones proposed."""
    pulls = of(repository, branch, "all")
    closed = [(proposed(pull), pull) for pull in reversed(pulls) if pull.state == "closed"]
    return Pulls(
        next((pull for pull in pulls if pull.state == "open"), None),
        {candidate.version: pull for candidate, pull in closed if candidate},
    )


def of(repository: Any, branch: str, state: str) -> list[Any]:
    """The branch's newest pull requests towards main, from this repository and not from forks."""
    owner = repository.full_name.split("/")[0]
    found = repository.get_pulls(
        state=state, sort="created", direction="desc", base=MAIN, head=f"{owner}:{branch}"
    )
    return list(islice(found, MOST))


def merged(repository: Any, branch: str) -> datetime | None:
    """When one of the branch's pull requests was merged last; None where none was."""
    return max(
        (one.merged_at for one in of(repository, branch, "closed") if one.merged_at), default=None
    )


def proposed(pull: Any | None) -> Candidate | None:
    """The candidate that a pull request's body names; None where its line is gone or broken."""
    try:
        return candidate_of(pull.body) if pull else None
    except InputError:
        return None


def under_review(pull: Any) -> str | None:
    """Why the pull request may not change any more; None where it may.

    Of each reviewer the last opinion counts: an approval that was taken back holds nothing.
    """
    if HOLD in {label.name for label in pull.labels}:
        return f"it has the label '{HOLD}'"
    opinions = {_login(one): one.state for one in pull.get_reviews() if one.state in OPINIONS}
    approver = next((login for login, state in opinions.items() if state == "APPROVED"), None)
    return f"{approver} has approved it" if approver else None


def create(repository: Any, branch: str, title: str, body: str) -> Any:
    """A new pull request towards main. Raises LostRaceError where there is one by now."""
    from github import GithubException

    try:
        return repository.create_pull(base=MAIN, head=branch, title=title, body=body)
    except GithubException as error:
        if error.status not in RACE:
            raise
        raise LostRaceError(
            f"{repository.full_name}: no pull request for {branch}: {message_of(error)}",
            "start release-pr.yml again; if it stays so, look at that branch",
        ) from None


def label(pull: Any, names: Sequence[str]) -> None:
    """The pull request has these labels, beside its others."""
    there = {label.name for label in pull.labels}
    missing = [name for name in names if name not in there]
    if missing:
        pull.add_to_labels(*missing)


def announce(pull: Any, candidate: Candidate, reason: str) -> None:
    """A comment, once a version, that `candidate` waits because of `reason`."""
    mark = f"<!-- retrain waiting {candidate.version} -->"
    ours = (one for one in pull.get_issue_comments() if access.by_app(one))
    if any(mark in (comment.body or "") for comment in ours):
        return
    pull.create_issue_comment(
        f"A newer candidate is there, `{candidate.version}`, and waits: {reason}.\n\n"
        "When this pull request may change again (or is closed, or merged), propose it with\n\n"
        "```\n"
        f"gh workflow run release-pr.yml -f flow={candidate.flow} -f environment={candidate.environment}"
        f" -f manifest={candidate.manifest} -f sha256={candidate.sha256}\n"
        f"```\n\n{mark}\n"
    )


def _login(review: Any) -> str:
    return str(review.user.login) if review.user else "somebody"
