"""An edit of a release that somebody asks for, and what it changes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from delivery import releases
from delivery.releases import Release
from flows.errors import InputError
from flows.tables import Table, decode_json

LINE = re.compile(r"<!-- retrain rollout (\{.*\}) -->\s*\Z")


class Mark(Table):
    """What a pull request does, for programs: the shares by version, before and after."""

    schema: Literal[1] = 1
    flow: str
    environment: str
    was: dict[str, int]
    becomes: dict[str, int]

    def line(self) -> str:
        """The body's last line."""
        return f"<!-- retrain rollout {msgspec.json.encode(self).decode()} -->"


@dataclass(frozen=True)
class Change:
    """What main says of a flow in an environment, and what it would say."""

    flow: str
    environment: str
    current: Release | None
    becomes: Release

    @property
    def mark(self) -> Mark:
        """The change for programs."""
        was = self.current.shares if self.current else {}
        return Mark(flow=self.flow, environment=self.environment, was=was, becomes=self.becomes.shares)

    @property
    def is_more(self) -> bool:
        """Whether the present challenger gets a larger share."""
        rival = self.current.challenger if self.current else None
        return rival is not None and self.becomes.shares.get(rival.version, 0) > rival.traffic


@dataclass(frozen=True)
class Edit:
    """What is wanted: `change` makes it of what main says, `tell` gives the pull request's body.

    `change` raises InputError where there is nothing to be changed so; `again` is what to do where
    GitHub refused.
    """

    flow: str
    environment: str
    change: Callable[[Release | None], Release]
    tell: Callable[[Change], str]
    again: str

    @property
    def branch(self) -> str:
        """The branch of the flow's and environment's one such pull request."""
        return self.branch_of(self.environment, self.flow)

    @staticmethod
    def branch_of(environment: str, flow: str) -> str:
        """The same, where there is no edit yet."""
        return f"rollout/{environment}/{flow}"

    @property
    def path(self) -> str:
        """The one file that the pull request changes."""
        return releases.path(self.environment, self.flow)


def mark_of(request: Any) -> Mark | None:
    """What a pull request's last line says; None where it has none, or a person has broken it."""
    line = LINE.search(request.body or "")
    try:
        return decode_json(line[1], Mark, "the pull request's last line") if line else None
    except InputError:
        return None
