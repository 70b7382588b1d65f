"""The events that a workflow's `on` may name, and what may stand below each."""

from collections.abc import Iterator
from typing import Any

from localcloud.github.schedule import crons, wrong
from localcloud.github.workflows import Workflow

BRANCHES = ("branches", "branches-ignore")
PATHS = ("paths", "paths-ignore")
TAGS = ("tags", "tags-ignore")
PULL = ("types", *BRANCHES, *PATHS)
OPTIONS = {
    "push": (*BRANCHES, *TAGS, *PATHS),
    "pull_request": PULL,
    "pull_request_target": PULL,
    "merge_group": ("types", *BRANCHES),
    "workflow_run": ("types", "workflows", *BRANCHES),
    "workflow_dispatch": ("inputs",),
    "workflow_call": ("inputs", "secrets", "outputs"),
}
OTHERS = (  # accepted; nothing in the local GitHub fires them
    "branch_protection_rule check_run check_suite create delete deployment deployment_status discussion"
    " discussion_comment fork gollum image_version issue_comment issues label milestone page_build"
    " project project_card project_column public pull_request_comment pull_request_review"
    " pull_request_review_comment registry_package release repository_dispatch schedule status watch"
)
TYPES = {
    "workflow_dispatch": ("string", "boolean", "number", "choice", "environment"),
    "workflow_call": ("string", "boolean", "number"),
}


def faults(workflow: Workflow) -> Iterator[str]:
    """What GitHub does not take below `on`."""
    if not workflow.triggers:
        yield "No event triggers defined in `on`"
    for name, options in workflow.triggers.items():
        if name not in OPTIONS and name not in OTHERS.split():
            yield f"Unexpected value '{name}' in on"
        elif name == "schedule":
            yield from _schedule(workflow)
        elif name in OPTIONS and options is not None:
            yield from (f"on.{name}: {fault}" for fault in _options(name, options))


def _schedule(workflow: Workflow) -> Iterator[str]:
    found = crons(workflow)
    if not found:
        yield "on.schedule: no cron"
    yield from (f"on.schedule: {fault}" for cron in found if (fault := wrong(cron)))


def _options(name: str, options: Any) -> Iterator[str]:
    if not isinstance(options, dict):
        yield "Expected a mapping"
        return
    yield from (f"Unexpected value '{key}'" for key in options if key not in OPTIONS[name])
    for one, other in (BRANCHES, PATHS, TAGS):
        if one in options and other in options:
            yield f"you may only define one of `{one}` and `{other}` for a single event"
    wrong = [key for key in ("inputs", "secrets", "outputs") if not _tables(options.get(key))]
    yield from (f"Expected a mapping of mappings for {key}" for key in wrong)
    if name in TYPES and not wrong:
        yield from _inputs(options.get("inputs") or {}, TYPES[name], name == "workflow_call")


def _tables(given: Any) -> bool:
    if given is None:
        return True
    return isinstance(given, dict) and all(
        one is None or isinstance(one, dict) for one in given.values()
    )


def _inputs(inputs: dict[str, Any], types: tuple[str, ...], typed: bool) -> Iterator[str]:
    for name, options in inputs.items():
        kind = (options or {}).get("type", "" if typed else "string")
        if kind not in types:
            yield f"input '{name}': its type is one of {', '.join(types)}"
        elif kind == "choice" and not options.get("options"):
            yield f"input '{name}': Required property is missing: options"
