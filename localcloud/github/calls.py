"""Reusable workflows: whether a call fits what it calls, in inputs, secrets and permissions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.github import startup
from localcloud.github.permissions import Grants, excess, granted
from localcloud.github.workflows import Workflow

DEEPEST = 10  # workflows that may call each other, the first among them
KINDS: Mapping[str, tuple[type, ...]] = {"boolean": (bool,), "number": (int, float)}

Reader = Callable[[str], Workflow | None]  # what `uses` names, as read at the caller's commit


def faults(workflow: Workflow, reader: Reader) -> list[str]:
    """Why GitHub would refuse the workflow's calls; none: it would not."""
    return list(_Calls(reader).within(workflow, granted(workflow.content.get("permissions")), 1))


class _Calls:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def within(self, workflow: Workflow, allowed: Grants, depth: int) -> Iterator[str]:
        for name, job in workflow.each_job():
            if "uses" not in job:
                continue
            grants = granted(job.get("permissions"), allowed)
            for fault in self._call(job, grants, depth):
                yield f"job '{name}': Error calling workflow '{job['uses']}': {fault}"

    def _call(self, job: dict[str, Any], allowed: Grants, depth: int) -> Iterator[str]:
        callee = self.reader(str(job["uses"])) if depth < DEEPEST else None
        if callee is None:
            yield "workflow was not found" if depth < DEEPEST else f"more than {DEEPEST} levels"
        elif found := startup.faults(callee):
            yield from found
        elif "workflow_call" not in callee.triggers:
            yield "it is missing an `on.workflow_call` trigger"
        else:
            takes = callee.triggers["workflow_call"] or {}
            yield from _inputs(takes.get("inputs") or {}, job.get("with") or {})
            yield from _secrets(takes.get("secrets") or {}, job.get("secrets") or {})
            yield from _permissions(callee, allowed)
            inner = granted(callee.content.get("permissions"), allowed)
            yield from self.within(callee, inner, depth + 1)


def _inputs(declared: dict[str, Any], given: dict[str, Any]) -> Iterator[str]:
    for name in given:
        if name not in declared:
            yield f"Invalid input, {name} is not defined in the referenced workflow."
    for name, options in declared.items():
        if name not in given and options.get("required") and options.get("default") is None:
            yield f"Input {name} is required, but not provided while calling."
        elif name in given and not _fits(options.get("type", "string"), given[name]):
            yield f"Input {name} is no {options['type']}: {given[name]}"


def _fits(kind: str, value: Any) -> bool:
    if kind == "string" or (isinstance(value, str) and "${{" in value):
        return True
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _secrets(declared: dict[str, Any], given: Any) -> Iterator[str]:
    if given == "inherit":
        return
    for name in given:
        if name not in declared:
            yield f"Invalid secret, {name} is not defined in the referenced workflow."
    for name, options in declared.items():
        if name not in given and (options or {}).get("required"):
            yield f"Secret {name} is required, but not provided while calling."


def _permissions(callee: Workflow, allowed: Grants) -> Iterator[str]:
    if wrong := excess(granted(callee.content.get("permissions"), allowed), allowed):
        yield f"The workflow is {wrong}."
    for name, job in callee.each_job():
        if "permissions" in job and (wrong := excess(granted(job["permissions"]), allowed)):
            yield f"The nested job '{name}' is {wrong}."
