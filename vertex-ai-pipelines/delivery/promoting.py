"""`promote = "auto"`: the next rung's pull request, where the evidence is good; people merge it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from delivery import editing, proof, pull, releases, settings
from delivery.edit import Change, Edit, mark_of
from delivery.edit_verb import Asked
from delivery.proof import Proof
from delivery.releases import Release
from flows.errors import RetrainError

Opened = Callable[[], Any]  # the repository as the release App, whose key is fetched for that alone


class _GoneError(RetrainError):
    """What was to have a larger share has been taken out of main meanwhile."""


def propose(asked: Asked, repository: Any, app: Opened, present: datetime) -> str:
    """Open the pull request where it is due; what came of it in one line, "" where nothing is asked.

    Nothing is done where one is open already, or people have closed this very one.
    """
    current = releases.read(settings.ROOT / releases.path(asked.environment.name, asked.flow))
    if asked.serving.promote != "auto" or current is None or current.challenger is None:
        return ""
    becomes = releases.promote(current, asked.serving.ladder)
    wanted = Change(asked.flow, asked.environment.name, current, becomes)
    if why := _decided(repository, asked, wanted):
        return why
    found = asked.proof(repository, wanted, present)
    assert found
    if reasons := proof.lacks(found, current, asked.serving):
        return f"no larger share yet: {'; '.join(reasons)}"
    try:
        return editing.bring(app(), _edit(asked, repository, wanted, found)).why
    except _GoneError as error:
        return error.what


def _decided(repository: Any, asked: Asked, wanted: Change) -> str:
    """Why the next rung is not to be proposed: somebody is at it, or has said no."""
    branch = Edit.branch_of(asked.environment.name, asked.flow)
    found = pull.find(repository, branch)
    if found.open:
        return f"pull request #{found.open.number} is open"
    closed = pull.of(repository, branch, "closed")
    last = next((one for one in closed if mark_of(one) == wanted.mark), None)
    if last and not last.merged_at:
        return f"pull request #{last.number} proposed the next rung, and was closed"
    return ""


def _edit(asked: Asked, repository: Any, wanted: Change, found: Proof) -> Edit:
    def change(current: Release | None) -> Release:
        if current is None:
            raise _GoneError("main declares no release any more")
        if current == wanted.current:
            return wanted.becomes
        return current  # main has moved on: the evidence is not of what it says now

    told = asked.told(repository, wanted, found, f"promote {asked.flow}")
    return asked.edit(change, lambda _: told, f"promote {asked.flow}")
