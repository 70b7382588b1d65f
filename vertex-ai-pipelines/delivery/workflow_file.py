"""A workflow or a composite action as its file has it: every value with its line, and comments."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from flows.errors import InputError

GITHUB = ".github"
PLACES = ("workflows/*.y*ml", "actions/*/action.y*ml")  # below GITHUB


@dataclass(frozen=True)
class Node:
    """A scalar as it is written, a list or a table; `line` is its key's where it has one, from 1."""

    line: int
    value: "str | list[Node] | dict[str, Node]"

    @property
    def text(self) -> str:
        """A scalar; empty for what is none."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def items(self) -> "list[Node]":
        """A list's items; a scalar is the list of itself."""
        if isinstance(self.value, list):
            return self.value
        return [self] if self.text else []

    @property
    def table(self) -> "dict[str, Node]":
        """A table's values by key; empty for what is none."""
        return self.value if isinstance(self.value, dict) else {}

    def at(self, *keys: str) -> "Node | None":
        """The value below `keys`; None where there is none."""
        found: Node | None = self
        for key in keys:
            found = found.table.get(key) if found else None
        return found

    def say(self, *keys: str) -> str:
        """The scalar below `keys`; empty where there is none."""
        found = self.at(*keys)
        return found.text if found else ""

    def scalars(self) -> "Iterator[Node]":
        """Every scalar in it."""
        if isinstance(self.value, str):
            yield self
        for inner in [*self.table.values(), *(self.items if isinstance(self.value, list) else [])]:
            yield from inner.scalars()


@dataclass(frozen=True)
class WorkflowFile:
    """One file below .github; `path` is inside the repository."""

    path: str
    lines: tuple[str, ...]
    root: Node

    @property
    def stem(self) -> str:
        """A workflow's short name: train of train.yml."""
        return PurePosixPath(self.path).stem

    @property
    def is_workflow(self) -> bool:
        """Whether it is a workflow, not an action."""
        return self.root.at("runs") is None

    @property
    def triggers(self) -> set[str]:
        """The events that start a workflow."""
        found = self.root.at("on")
        return {*found.table, *(item.text for item in found.items)} if found else set()

    @property
    def jobs(self) -> dict[str, Node]:
        """A workflow's jobs."""
        found = self.root.at("jobs")
        return found.table if found else {}

    def steps(self) -> Iterator[Node]:
        """The steps of every job, or of the action."""
        for owner in [*self.jobs.values(), *filter(None, [self.root.at("runs")])]:
            found = owner.at("steps")
            yield from found.items if found else []

    def comment(self, line: int) -> str:
        """What stands behind " # " in a line."""
        return self.lines[line - 1].partition(" # ")[2].strip()


def files(root: Path) -> list[Path]:
    """The workflows and actions of the repository at `root`."""
    return sorted(path for place in PLACES for path in (root / GITHUB).glob(place))


def read(root: Path, path: Path) -> WorkflowFile:
    """The file at `path`. Raises InputError with the line where it is no YAML table."""
    name, text = path.relative_to(root).as_posix(), path.read_text()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{name}:{line}: not YAML: {error.problem}") from None
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{name}:1: it is not a table")
    return WorkflowFile(name, tuple(text.splitlines()), _node(node, 1))


def _node(node: yaml.Node, line: int) -> Node:
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key.start_mark.line + 1, value) for key, value in node.value]
        return Node(line, {key: _node(value, at) for key, at, value in pairs})
    if isinstance(node, yaml.SequenceNode):
        return Node(line, [_node(item, item.start_mark.line + 1) for item in node.value])
    return Node(line, str(node.value))
