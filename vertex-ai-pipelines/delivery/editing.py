"""An edit, brought into its flow's one pull request for such. Every call may be the last one."""

import difflib
from typing import Any

from delivery import branch, edit_body, pull, releases
from delivery.branch import Branches, LostRaceError
from delivery.edit import Change, Edit, mark_of
from delivery.proposal import Outcome
from flows.errors import RetrainError

TRIES = 5
LABEL = "rollout"


def preview(repository: Any, edit: Edit) -> str:
    """The edit of main's present file as a diff; empty where it changes nothing."""
    seen = branch.look(repository, edit.branch, edit.path)
    change = _change(edit, seen)
    old, new = seen.main_text or "", releases.write(change.becomes)
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"a/{edit.path}", f"b/{edit.path}", lineterm=""
    )
    return "" if change.current == change.becomes else "\n".join(lines)


def bring(repository: Any, edit: Edit) -> Outcome:
    """Open or update the pull request at main's present head, or say why nothing is to be done.

    Where somebody else was faster, everything is looked at again, at most TRIES times. Raises
    RetrainError where the open one proposes something else and may not change any more.
    """
    for _ in range(TRIES):
        try:
            return _once(repository, edit)
        except LostRaceError as error:
            lost = error
    raise RetrainError(lost.what, edit.again)


def _once(repository: Any, edit: Edit) -> Outcome:
    seen = branch.look(repository, edit.branch, edit.path)
    change = _change(edit, seen)
    request = pull.find(repository, edit.branch).open
    if change.current == change.becomes:
        also = (
            f"; pull request #{request.number} is open, and proposes something else" if request else ""
        )
        return Outcome("unchanged", f"main says so already{also}", request, edit.branch)
    title = edit_body.title(change)
    is_moved = _advance(repository, seen, releases.write(change.becomes), title, request)
    if request is None:
        created, why = pull.create(repository, edit.branch, title, edit.tell(change)), "opened"
    elif is_moved or mark_of(request) != change.mark:
        request.edit(title=title, body=edit.tell(change))
        created, why = request, "updated"
    else:
        created, why = request, "proposes this already"
    pull.label(created, [LABEL, edit.flow])
    why = f"pull request #{created.number} {why}: {title}"
    return Outcome("proposed", why, created, edit.branch, created=request is None)


def _change(edit: Edit, seen: Branches) -> Change:
    current = releases.parse(seen.main_text, f"{branch.MAIN}:{edit.path}")
    return Change(edit.flow, edit.environment, current, edit.change(current))


def _advance(repository: Any, seen: Branches, text: str, title: str, request: Any | None) -> bool:
    """The branch holds `text`, at main's head; whether it was moved for that."""
    if branch.up_to_date(repository, seen, text):
        return False
    if request and (reason := pull.under_review(request)):
        raise RetrainError(
            f"pull request #{request.number} proposes something else, and {reason}",
            "merge or close it first",
        )
    branch.advance(repository, seen, text, title)
    return True
