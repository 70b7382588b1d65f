"""Google's REST-only services (Storage, BigQuery): each call checked by its discovery document."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from localcloud.described import Description, Operation, Problem, normal
from localcloud.errors import ApiError
from localcloud.http import Handler, Query, Request, Response, Route, pattern
from localcloud.transport import check_alt, own_fields, shaped

INVALID = "Invalid JSON payload received."
RAW = ("/upload/", "/batch/")  # paths whose bodies are not, or not only, JSON

OLDER = ("storage.", "bigquery.")  # services whose front end knows fields by the document's names alone
# What Google's own clients send and no document names; the services ignore it.
IGNORED = {"projection"}


def routes(api: Description, table: list[Route], areas: tuple[str, ...]) -> list[Route]:
    """The table with each call that the description knows checked by it, and its answer shaped.

    What else is called below `areas` (path prefixes) is refused by name.
    """
    inside = [route for route in table if route.path.startswith(areas)]
    outside = [route for route in table if not route.path.startswith(areas)]
    others = [Route("*", f"{area}{{rest*}}", partial(_unserved, api)) for area in areas]
    return [*_hidden(api, inside), *(_described(api, route) for route in inside), *others, *outside]


def _hidden(api: Description, table: list[Route]) -> Iterator[Route]:
    """Refusals of the calls that are not served, but that a route with an open end would take."""
    open_ended = [(route.method, pattern(route.path)) for route in table if "*}" in route.path]
    served = {(route.method, normal(route.path)) for route in table}
    for operation in api.operations.values():
        for path in operation.paths:
            at = (operation.verb, normal(path))
            taken = any(verb == at[0] and one.fullmatch(at[1]) for verb, one in open_ended)
            if taken and at not in served:
                yield Route(operation.verb, path, partial(_unserved, api))


def _unserved(api: Description, request: Request) -> Response:
    """Refuses: 501 for a call that the vendor has and the local cloud does not, else 404."""
    name = f"{request.method} https://{request.host}{request.path}"
    operation = api.named(request.method, request.path)
    if operation:
        raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {operation.name}: {name}")
    raise ApiError("NOT_FOUND", f"Not Found: {name} is no call of this service.", reason="notFound")


def check_body(api: Description, operation: Operation, body: Any) -> None:
    """Raises INVALID_ARGUMENT where a body holds what the call does not know."""
    words = [_words(one) for one in api.problems(operation.body, body) if _counts(api, one)]
    if words:
        raise ApiError("INVALID_ARGUMENT", "\n".join(words), reason="invalid")


def _described(api: Description, route: Route) -> Route:
    operation = api.find(route.method, route.path)
    if operation is None:
        return route
    return route._replace(handler=partial(_checked, api, operation, route.handler))


def _checked(api: Description, operation: Operation, handler: Handler, request: Request) -> Response:
    check_alt(request, ("json", "media"))
    request = request if api.source.startswith(OLDER) else _camel(operation, request)
    words = list(_query_words(operation, request))
    if words:
        raise ApiError("INVALID_ARGUMENT", "\n".join(words), reason="invalid")
    for name in operation.needs:
        if not request.query.get(name):
            raise ApiError("INVALID_ARGUMENT", f"Required parameter: {name}", reason="required")
    if operation.body and request.body and not request.path.startswith(RAW):
        check_body(api, operation, request.json())
    return shaped(request, handler(request), operation.answers["200"], api.child)


def _camel(operation: Operation, request: Request) -> Request:
    """The same with the query's fields as the document has them: a message's own names count, too."""
    names = {name: re.sub("_([a-z])", lambda found: found[1].upper(), name) for name in request.query}
    known = {name: other for name, other in names.items() if other in operation.query}
    pairs = [(known.get(name, name), value) for name, value in request.query.pairs]
    return replace(request, query=Query(pairs))


def _query_words(operation: Operation, request: Request) -> Iterator[str]:
    for name in own_fields(request):
        if name not in operation.query and name not in IGNORED:
            rest = f"Cannot bind query parameter. Field '{name}' could not be found in request message."
            yield f'{INVALID} Unknown name "{name}": {rest}'


def _counts(api: Description, problem: Problem) -> bool:
    """Google reads numbers and switches from texts, too, and null as what is not there."""
    wanted = api.follow(problem.schema).get("type")
    if problem.kind in ("type", "unknown") and problem.value is None:
        return False
    return (
        problem.kind != "type" or wanted in ("object", "array") or isinstance(problem.value, dict | list)
    )


def _words(problem: Problem) -> str:
    if problem.kind == "type":
        return f"Invalid value at '{f'{problem.at}.{problem.name}'.strip('.')}': {problem.value!r}"
    place = f" at '{problem.at}'" if problem.at else ""
    return f'{INVALID} Unknown name "{problem.name}"{place}: Cannot find field.'
