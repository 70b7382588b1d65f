"""Requests, responses and route tables: a handler is a function from one to the other."""

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, unquote

from localcloud.errors import ApiError

METHODS = {"GET", "PUT", "PATCH", "DELETE", "POST"}
log = logging.getLogger("localcloud")


class Query(dict[str, str]):
    """A query's fields: the last value of each as in a dict, every value with `all`."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = list(pairs)
        super().__init__(self.pairs)

    @classmethod
    def parse(cls, text: str) -> "Query":
        """From what stands behind the question mark."""
        return cls(parse_qsl(text, keep_blank_values=True))

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for key, value in self.pairs if key == name]


@dataclass(frozen=True)
class Request:
    """One call. `path` is raw (still percent-encoded); `headers` has lower-case names.

    `caller` is the label that the client's proxy address carries; `params` holds the route's
    names, decoded.
    """

    method: str
    host: str
    path: str
    query: Query = field(default_factory=Query)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    caller: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON; an empty body is an empty table. Raises ApiError."""
        try:
            return json.loads(self.body or b"{}")
        except (ValueError, RecursionError) as error:
            raise ApiError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None

    def form(self) -> dict[str, str]:
        """The body as a form's fields."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True)
class Response:
    """An answer. `body` may be bytes, or a value for JSON; `pretty` prints it for people."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pretty: bool = False

    def encoded(self) -> bytes:
        """The body's bytes on the wire."""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, indent=2 if self.pretty else None).encode()

    def all_headers(self) -> dict[str, str]:
        """The headers, the content type of JSON filled in."""
        kind = (
            {} if isinstance(self.body, bytes) else {"content-type": "application/json; charset=UTF-8"}
        )
        return {**kind, **{key.lower(): value for key, value in self.headers.items()}}


Handler = Callable[[Request], Response]


class Route(NamedTuple):
    """`path` has `{name}` for one segment and `{name*}` for the rest of the path."""

    method: str
    path: str
    handler: Handler


class Service(Protocol):
    """One host's calls: a visible table of routes, and the shape of its errors."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Regular expressions, matched whole."""

    def routes(self) -> list[Route]: ...

    def refuse(self, request: Request, error: ApiError) -> Response: ...


def pattern(path: str) -> re.Pattern[str]:
    """A route's path as a regular expression over raw paths."""
    parts = re.split(r"(\{\w+\*?\})", path)
    named = [_part(part) for part in parts]
    return re.compile("".join(named))


def _part(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    name = part.strip("{}*")
    return f"(?P<{name}>.+)" if part.endswith("*}") else f"(?P<{name}>[^/]+)"


class Router:
    """Finds the handler of a request by host, method and path; a call that is not there is named."""

    def __init__(self, services: list[Service]) -> None:
        self.services = services
        self._services = [
            ([re.compile(host) for host in service.hosts], service, self._compile(service))
            for service in services
        ]

    @staticmethod
    def _compile(service: Service) -> list[tuple[Route, re.Pattern[str]]]:
        return [(route, pattern(route.path)) for route in service.routes()]

    def serves(self, host: str) -> bool:
        """Whether any service answers at `host`."""
        return any(h.fullmatch(host) for hosts, _, _ in self._services for h in hosts)

    def find(self, request: Request) -> tuple[Service, Route | None]:
        """The service at the request's host, and its route, if there is one. Raises NOT_FOUND."""
        service, route, _ = self._find(request)
        return service, route

    def __call__(self, sent: Request) -> Response:
        request = overridden(sent)
        service, route, params = self._find(request)
        try:
            if route is None:
                name = f"{request.method} https://{request.host}{request.path}"
                log.warning("not served: %s", name)
                raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {name}")
            return route.handler(replace(request, params=params))
        except ApiError as error:
            return service.refuse(request, error)

    def refuse(self, request: Request, error: ApiError) -> Response:
        """The error, in the shape of the service at the request's host."""
        return self._find(request)[0].refuse(request, error)

    def _find(self, request: Request) -> tuple[Service, Route | None, dict[str, str]]:
        for hosts, service, routes in self._services:
            if any(host.fullmatch(request.host) for host in hosts):
                return service, *_match(request, routes)
        raise ApiError("NOT_FOUND", f"no service at {request.host}")


def _match(
    request: Request, routes: list[tuple[Route, re.Pattern[str]]]
) -> tuple[Route | None, dict[str, str]]:
    for route, path in routes:
        found = path.fullmatch(request.path) if route.method in (request.method, "*") else None
        if found:
            return route, {key: unquote(value) for key, value in found.groupdict().items()}
    return None, {}


def overridden(request: Request) -> Request:
    """The call that is meant: a POST to Google may name another verb in X-HTTP-Method-Override."""
    wanted = request.headers.get("x-http-method-override", "").upper()
    if request.method != "POST" or wanted not in METHODS or not request.host.endswith(".googleapis.com"):
        return request
    if wanted == "GET" and "form-urlencoded" in request.headers.get("content-type", ""):
        query = Query.parse(request.body.decode())
        return replace(request, method=wanted, query=query, body=b"")
    return replace(request, method=wanted)


def google_error(_request: Request, error: ApiError) -> Response:
    """The error body of Google's older REST services (Storage, BigQuery): a list of errors in it."""
    reason = error.reason or error.code.lower()
    detail = {"message": error.message, "domain": "global", "reason": reason}
    body = {"code": error.status, "message": error.message, "errors": [detail], "status": error.code}
    return Response({"error": body}, status=error.status)
