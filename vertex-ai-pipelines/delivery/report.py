"""The one issue of a flow in an environment: opened where something is wrong, closed when it is well.

Its body's last line is for programs. Every call may be the last one, or be made twice.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import msgspec

from delivery import access, markdown
from delivery.health import Problem
from flows.errors import InputError
from flows.tables import Table, decode_json

LABEL = "retrain"
LINE = re.compile(r"<!-- retrain health (\{.*\}) -->\s*\Z")
MOST = 300  # issues with the label that are looked at, the newest first


class Mark(Table):
    """What an issue is about: its problems by key, and how often each release was started again."""

    schema: Literal[1] = 1
    flow: str
    environment: str
    problems: tuple[str, ...] = ()
    started: dict[str, int] = {}

    def is_of(self, other: "Mark") -> bool:
        """Whether both are about the same flow and environment."""
        return (self.flow, self.environment) == (other.flow, other.environment)

    def line(self) -> str:
        """The body's last line."""
        return f"<!-- retrain health {msgspec.json.encode(self).decode()} -->"


@dataclass(frozen=True)
class Found:
    """The flow's open issues, and its newest closed one."""

    open: Sequence[Any]
    closed: Any | None

    @property
    def mark(self) -> Mark | None:
        """What the open issue says, or else the closed one."""
        return mark_of(self.open[0] if self.open else self.closed)


def find(repository: Any, mark: Mark) -> Found:
    """The issues about that flow and environment, the open ones from the oldest on.

    Only what a workflow or App wrote: anybody may write a mark.
    """
    newest = repository.get_issues(state="all", labels=[LABEL], sort="created", direction="desc")
    ours = [one for one in islice(newest, MOST) if access.by_app(one)]
    own = [one for one in ours if (read := mark_of(one)) and read.is_of(mark)]
    opened = [one for one in reversed(own) if one.state == "open"]
    return Found(opened, next((one for one in own if one.state == "closed"), None))


def mark_of(issue: Any | None) -> Mark | None:
    """What an issue's last line says; None where it has none, or a person has broken it."""
    line = LINE.search((issue.body if issue else None) or "")
    try:
        return decode_json(line[1], Mark, "the issue's last line") if line else None
    except InputError:
        return None


def report(
    repository: Any, found: Found, mark: Mark, problems: Sequence[Problem], well: str
) -> Any | None:
    """Make the flow's one issue say `problems`; without any, close it, saying `well`. The open issue.

    A person who closed it has read it: the same problems do not open another one, and what is counted
    is kept in the closed one. Of two that were opened at once the next call keeps the first.
    """
    mark = msgspec.structs.replace(mark, problems=tuple(one.key for one in problems))
    if not problems:
        for issue in found.open:
            _close(issue, msgspec.structs.replace(mark, started={}), well)
        return None
    if not found.open and (there := _read_by_a_person(found.closed, mark)):
        _keep(found.closed, msgspec.structs.replace(there, started=mark.started))
        return None
    title, body = _title(mark, problems), _body(mark, problems)
    # A list may lag behind what was just made.
    first, *others = found.open or [repository.create_issue(title, body=body, labels=[LABEL])]
    for other in others:
        _close(other, msgspec.structs.replace(mark, problems=()), f"The same as #{first.number}.")
    if (first.title, first.body) != (title, body):
        first.edit(title=title, body=body)
    return first


def _read_by_a_person(closed: Any | None, mark: Mark) -> Mark | None:
    """The mark of an issue that a person closed with all these problems: one that is well has none."""
    there = mark_of(closed)
    return there if there and set(mark.problems) <= set(there.problems) else None


def _keep(issue: Any, mark: Mark) -> None:
    """The issue's last line says `mark`."""
    if mark_of(issue) != mark:
        issue.edit(body=LINE.sub(lambda _: mark.line(), issue.body))


def _close(issue: Any, mark: Mark, words: str) -> None:
    """Say why, once, and close; a mark without problems tells it from one that a person closed."""
    there = mark_of(issue)
    last = f"<!-- retrain closes {' '.join(there.problems) if there else ''} -->"
    there_is = (last in (one.body or "") for one in issue.get_comments() if access.by_app(one))
    if not any(there_is):
        issue.create_comment(f"{words}\n\n{last}")
    issue.edit(state="closed", body=LINE.sub(lambda _: mark.line(), issue.body))


def _title(mark: Mark, problems: Sequence[Problem]) -> str:
    return f"{mark.flow} in {mark.environment}: {'; '.join(one.title for one in problems)}"


def _body(mark: Mark, problems: Sequence[Problem]) -> str:
    parts = [f"### {markdown.text(one.title).capitalize()}\n\n{one.text}" for one in problems]
    kept = (
        "`./scripts/tick` keeps this issue: it is updated as long as something is wrong, and closed when"
        " the flow is well again. Who closes it by hand hears of these problems no more."
    )
    return "\n\n".join([*parts, "---", kept, mark.line()])
