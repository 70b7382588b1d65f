"""The check of every call's body: GitHub's description of its interface says what may be in it."""

import json
from collections.abc import Callable
from typing import Any

from localcloud.described import Description, Operation, Problem
from localcloud.github.call import Call
from localcloud.github.errors import GitHubError, missing
from localcloud.http import Response

NAMES = {"object": "an object", "array": "an array", "integer": "an integer"}

# Calls that also take their one list by itself, as older clients (PyGithub) send it.
BARE = {"issues/add-labels": "labels", "issues/set-labels": "labels"}


def answered(
    api: Description, operation: Operation | None, to: Callable[[Call], Response], call: Call
) -> Response:
    """The method's answer, if the body is one that GitHub describes. Raises GitHubError (422)."""
    if operation and operation.body and call.request.body:
        body = call.body
        if isinstance(body, list) and operation.name in BARE:
            body = {BARE[operation.name]: body}
        for problem in api.problems(operation.body, body):
            raise _refusal(problem)
    return to(call)


def _refusal(problem: Problem) -> GitHubError:
    if problem.kind == "missing":
        return missing(problem.name)
    if problem.kind == "unknown":
        return GitHubError(422, f'Invalid request.\n\n"{problem.name}" is not a permitted key.')
    place = "/".join(one for one in (problem.at, problem.name) if one)
    kind = _kind(problem.schema or {})
    return GitHubError(
        422, f"Invalid request.\n\nFor 'properties/{place}', {_shown(problem.value)} is not {kind}."
    )


def _shown(value: Any) -> str:
    return "nil" if value is None else json.dumps(value)[:80]


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "")
    first = kind[0] if isinstance(kind, list) else kind
    return NAMES.get(first, f"a {first}")
