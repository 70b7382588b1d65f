"""Bring a checked candidate into its release pull request. Every call may be the last one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from delivery import branch, pr_body, pull, releases
from delivery.branch import Branches, LostRaceError
from delivery.candidate import Candidate
from delivery.pr_body import Evidence
from delivery.pull import Pulls
from delivery.releases import Model, Release
from flows.errors import InputError, RetrainError

TRIES = 5
State = Literal["proposed", "unchanged", "held", "superseded"]
Gather = Callable[[Release | None, Release], Evidence]


@dataclass(frozen=True)
class Outcome:
    """What came of it: the state, why in one line for people, and the pull request if there is one."""

    state: State
    why: str
    pull: Any = None
    branch: str = ""
    created: bool = False

    def as_json(self) -> dict[str, Any]:
        """The outcome as `--json` prints it."""
        found = self.pull
        request = found and {
            "number": found.number,
            "url": found.html_url,
            "branch": self.branch,
            "created": self.created,
        }
        return {"state": self.state, "pull_request": request}


@dataclass(frozen=True)
class Proposal:
    """A candidate, the model entry that it would be, its first share, and who gathers its evidence.

    `gather` gets what main says now and what it would say, and gives what the body tells.
    """

    candidate: Candidate
    model: Model
    first_share: int
    gather: Gather

    @property
    def path(self) -> str:
        """The one file that the pull request changes."""
        return releases.path(self.candidate.environment, self.candidate.flow)


def bring(repository: Any, proposal: Proposal) -> Outcome:
    """Open or update the release pull request, or say why it stays as it is.

    Where somebody else was faster, everything is looked at again, at most TRIES times. Raises
    RetrainError where a released or proposed version has the same name and another hash.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return _once(repository, proposal)
        except LostRaceError:
            if attempt == TRIES:
                raise
    raise AssertionError


def _once(repository: Any, proposal: Proposal) -> Outcome:
    candidate = proposal.candidate
    seen = branch.look(repository, candidate.branch, proposal.path)
    pulls = pull.find(repository, candidate.branch)
    current = releases.parse(seen.main_text, f"{branch.MAIN}:{proposal.path}")
    stopped = (
        _released(candidate, current)
        or _closed(candidate, pulls)
        or (_open(proposal, seen, pulls) if pulls.open else _half_made(proposal, seen, pulls))
    )
    return stopped or _make_it_so(repository, proposal, seen, pulls)


def _released(candidate: Candidate, current: Release | None) -> Outcome | None:
    """The end where main has the candidate already, or a newer one."""
    if current is None:
        return None
    if there := current.entry(candidate.version):
        _same_hash(candidate, there.sha256, "released")
        return Outcome("unchanged", f"{candidate.version} is released already")
    if releases.age(current.newest.version) >= releases.age(candidate.version):
        return Outcome(
            "superseded", f"{current.newest.version} is released and newer than {candidate.version}"
        )
    return None


def _open(proposal: Proposal, seen: Branches, pulls: Pulls) -> Outcome | None:
    """The end where the open pull request has a newer candidate, or may not change any more."""
    candidate, request = proposal.candidate, pulls.open
    if request is None:
        return None
    waiting = _waiting(proposal, seen) or pull.proposed(request)
    if waiting and _is_newer(candidate, waiting):
        why = (
            f"pull request #{request.number} proposes {waiting.version}, newer than {candidate.version}"
        )
        return Outcome("superseded", why, request, candidate.branch)
    reason = pull.under_review(request)
    is_half_done = (
        waiting and waiting.version == candidate.version and pull.proposed(request) != candidate
    )
    if reason is None or is_half_done:
        return None
    if waiting and waiting.version == candidate.version:
        why = f"pull request #{request.number} proposes {candidate.version} already"
        return Outcome("proposed", why, request, candidate.branch)
    pull.announce(request, candidate, reason)
    why = f"{candidate.version} waits for pull request #{request.number}: {reason}"
    return Outcome("held", why, request, candidate.branch)


def _closed(candidate: Candidate, pulls: Pulls) -> Outcome | None:
    """The end where people have decided on this very version; an older or newer one is another."""
    request, there = pulls.closed.get(candidate.version), pull.proposed(pulls.open)
    if request is None or (there and there.version == candidate.version):
        return None
    done = "merged, and taken back since" if request.merged_at else "closed without merging"
    why = f"{candidate.version} is not proposed again: pull request #{request.number} was {done}"
    return Outcome("held", why, request, candidate.branch)


def _half_made(proposal: Proposal, seen: Branches, pulls: Pulls) -> Outcome | None:
    """The end where the branch has a newer candidate, whose pull request is just being made."""
    candidate, waiting = proposal.candidate, _waiting(proposal, seen)
    if not waiting or waiting.version in pulls.closed or not _is_newer(candidate, waiting):
        return None
    why = f"branch {candidate.branch} has {waiting.version}, newer than {candidate.version}"
    return Outcome("superseded", why)


def _make_it_so(repository: Any, proposal: Proposal, seen: Branches, pulls: Pulls) -> Outcome:
    """File, pull request, title, body and labels, each only where it is not so yet."""
    candidate = proposal.candidate
    current = releases.parse(seen.main_text, proposal.path)
    becomes = releases.propose(current, proposal.model, proposal.first_share)
    text, title = releases.write(becomes), pr_body.title(candidate)
    is_moved = not branch.up_to_date(repository, seen, text)
    if is_moved:
        branch.advance(repository, seen, text, title)
    request, why = pulls.open, "proposes"
    if request is None:
        body = pr_body.body(proposal.gather(current, becomes))
        request, why = pull.create(repository, candidate.branch, title, body), "opened for"
    elif is_moved or pull.proposed(request) != candidate:
        request.edit(title=title, body=pr_body.body(proposal.gather(current, becomes)))
        why = "updated to"
    pull.label(request, ["release", candidate.flow])
    why = f"pull request #{request.number} {why} {candidate.version}"
    return Outcome("proposed", why, request, candidate.branch, created=pulls.open is None)


def _waiting(proposal: Proposal, seen: Branches) -> Model | None:
    """The version that the branch's file adds to main's; None where it adds none, or is broken."""
    try:
        current = releases.parse(seen.main_text, proposal.path)
        own = releases.parse(seen.branch_text, proposal.path)
    except InputError:
        return None
    if own is None:
        return None
    added = [entry for entry in own.entries if not (current and current.entry(entry.version))]
    return max(added, key=lambda entry: releases.age(entry.version), default=None)


def _is_newer(candidate: Candidate, there: Model | Candidate) -> bool:
    """Whether `there` is newer than `candidate`; two of one moment: the first one stays."""
    if there.version == candidate.version:
        _same_hash(candidate, there.sha256, "proposed")
        return False
    return releases.age(there.version) >= releases.age(candidate.version)


def _same_hash(candidate: Candidate, sha256: str, state: str) -> None:
    if sha256 != candidate.sha256:
        raise RetrainError(
            f"{candidate.version} is {state} with another manifest: {sha256}, not {candidate.sha256}",
            "a version is never made twice: find out who wrote the second one",
        )
