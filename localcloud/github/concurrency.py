"""Concurrency groups: which one a run is in, evaluated as GitHub does."""

from collections.abc import Iterator
from typing import Any

from localcloud.github.calls import Reader
from localcloud.github.expression_values import ExpressionError, truth
from localcloud.github.expressions import Contexts, filled, value
from localcloud.github.workflows import Workflow

Group = dict[str, Any]
LATER = ("Unrecognized named-value: 'needs'", "Unrecognized named-value: 'matrix'")


def group(given: Any, contexts: Contexts) -> Group | None:
    """The group that `concurrency` names: its name, cancel and queue; None: none.

    Raises ExpressionError.
    """
    options = given if isinstance(given, dict) else {"group": given}
    name = filled(str(options.get("group") or ""), contexts)
    cancel = truth(value(options.get("cancel-in-progress"), contexts))
    queue = str(options.get("queue", "single"))
    if cancel and queue == "max":
        raise ExpressionError("concurrency: `queue: max` does not go with `cancel-in-progress: true`")
    return {"group": name, "cancel": cancel, "queue": queue} if name else None


def locks(workflow: Workflow, reader: Reader, contexts: Contexts) -> list[str]:
    """The groups of the jobs and of the workflows that they call, in lower case.

    A run holds them all as long as it lasts, since its jobs are one piece of work here; one whose name
    depends on other jobs is not known yet, and not held.
    """
    found = set[str]()
    for given in _given(workflow, reader, 0):
        try:
            named = group(given, contexts)
        except ExpressionError as error:
            if not str(error).startswith(LATER):
                raise
            named = None
        found |= {named["group"].lower()} if named else set()
    return sorted(found)


def _given(workflow: Workflow, reader: Reader, depth: int) -> Iterator[Any]:
    for _, job in workflow.each_job():
        yield job.get("concurrency")
        callee = reader(str(job["uses"])) if "uses" in job and depth < 10 else None
        if callee:
            yield callee.content.get("concurrency")
            yield from _given(callee, reader, depth + 1)
