"""Whether a workflow's `on` takes an event in: its type, branch, tag and paths."""

from typing import Any

from localcloud.github.events import TAG, Event
from localcloud.github.patterns import selected
from localcloud.github.workflows import Workflow

TYPES = {"pull_request": ("opened", "synchronize", "reopened")}  # where `types` is not given

Options = dict[str, Any]


def fires(workflow: Workflow, event: Event) -> bool:
    """Whether the event starts the workflow."""
    if event.name not in workflow.triggers:
        return False
    given = workflow.triggers[event.name]
    options: Options = given if isinstance(given, dict) else {}
    if event.activity and event.activity not in _list(options.get("types")) | _usual(options, event):
        return False
    if event.ref.startswith(TAG) and event.name == "push":
        return _named(options, ("tags", "branches"), event.ref.removeprefix(TAG))
    return _named(options, ("branches", "tags"), event.base) and _paths(options, event)


def _list(given: Any) -> dict[str, None]:
    values = given if isinstance(given, list) else [] if given is None else [given]
    return dict.fromkeys(map(str, values))


def _usual(options: Options, event: Event) -> dict[str, None]:
    return {} if "types" in options else dict.fromkeys(TYPES.get(event.name, (event.activity,)))


def _named(options: Options, kinds: tuple[str, str], name: str) -> bool:
    """Filters of the other kind of ref alone leave out every ref of this kind."""
    own, other = kinds
    if own in options:
        return selected(list(_list(options[own])), name)
    if f"{own}-ignore" in options:
        return not selected(list(_list(options[f"{own}-ignore"])), name)
    return other not in options and f"{other}-ignore" not in options


def _paths(options: Options, event: Event) -> bool:
    if "paths" in options:
        return any(selected(list(_list(options["paths"])), path) for path in event.files())
    if "paths-ignore" in options:
        ignored = list(_list(options["paths-ignore"]))
        return any(not selected(ignored, path) for path in event.files())
    return True
