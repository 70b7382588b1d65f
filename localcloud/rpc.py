"""Between REST, gRPC and a handler: one function serves both, and this layer checks what it is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from google.protobuf import json_format

from localcloud import rpc_json
from localcloud.cloud import Cloud
from localcloud.errors import ApiError, bad_request, error_info
from localcloud.http import Request, Response, Route
from localcloud.operations import Locations, Operations
from localcloud.rpc_methods import Method, may_match, methods, missing, template_fields, template_pattern
from localcloud.transport import check_alt, parameter, shaped


class Caller(NamedTuple):
    """Who calls: the Google principal, and the label of the proxy address that it came by."""

    principal: str
    label: str


RpcHandler = Callable[[Any, Caller], Any]
Entry = tuple[Method, RpcHandler | None]
Found = tuple[Method, RpcHandler | None, dict[str, str], str]
REMEMBERED = 4096  # addresses whose method is not looked for again


@dataclass(frozen=True)
class Verbatim:
    """A handler whose REST side reads and writes bodies itself: no message keeps JSON as it is.

    `rest` gets the request, the fields of its path, and who calls.
    """

    rpc: RpcHandler
    rest: Callable[[Request, Mapping[str, str], Caller], Response]

    def __call__(self, message: Any, caller: Caller) -> Any:
        """The call by gRPC."""
        return self.rpc(message, caller)


class RpcService(Protocol):
    """A service of the vendors' libraries: the module of its client, and a handler for each call."""

    @property
    def client(self) -> str:
        """For example "google.cloud.secretmanager_v1.services.secret_manager_service"."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Regular expressions, matched whole."""

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served, by method name."""


class Rpc:
    """Serves RpcServices: over gRPC as a generic handler, over REST as http.Services."""

    def __init__(self, cloud: Cloud, services: list[RpcService]) -> None:
        self._cloud = cloud
        self._methods: dict[str, Entry] = {}
        self.rest: list[RestService] = []
        common = {**Operations(cloud).handlers(), **Locations(cloud).handlers()}
        by_host: dict[tuple[str, ...], list[Entry]] = {}
        for service in services:
            handlers = {**common, **service.handlers()}
            table = [(method, handlers.get(method.name)) for method in methods(service.client)]
            for method, handler in table:
                if handler or method.path not in self._methods:
                    self._methods[method.path] = (method, handler)
            by_host.setdefault(service.hosts, []).extend(table)
        for hosts, entries in by_host.items():
            self.rest.append(RestService(cloud, hosts, entries))

    def find(self, path: str) -> Entry:
        """The method at a gRPC path and its handler. Raises UNIMPLEMENTED, naming the path."""
        if path not in self._methods:
            raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {path}")
        return self._methods[path]

    def call(self, path: str, body: bytes, authorization: str, label: str) -> bytes:
        """One gRPC call, from the request's bytes to the response's. Raises ApiError."""
        method, handler = self.find(path)
        run = _served(method, handler)
        caller = Caller(self._cloud.principal(authorization), label)
        message = _decode(method.request, body)
        check(method, message)
        return _encode(run(message, caller))


def rest_error(error: ApiError) -> Response:
    """A google.rpc.Status as the body, its details with their types."""
    status = json_format.MessageToDict(error.rpc_status())
    details = {"details": status["details"]} if error.details else {}
    body = {"code": error.status, "message": error.message, "status": error.code, **details}
    return Response({"error": body}, status=error.status)


class RestService:
    """The REST side of the services at one host, as an http.Service."""

    def __init__(self, cloud: Cloud, hosts: tuple[str, ...], table: list[Entry]) -> None:
        self._cloud, self.hosts, self.table = cloud, hosts, table
        self._rules = [
            (verb, template, body, (method, handler))
            for method, handler in _once(table)
            for verb, template, body in method.rules
        ]
        self._find = lru_cache(REMEMBERED)(self._look)

    def routes(self) -> list[Route]:
        """Nothing by literal path: the templates of Google's rules are matched one by one."""
        return [Route("*", "{path*}", self._serve)]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """As Google's newer REST services refuse."""
        return rest_error(error)

    def methods(self) -> set[str]:
        """The names of all methods that have a handler."""
        return {method.name for *_, (method, handler) in self._rules if handler}

    def method(self, request: Request) -> str | None:
        """The name of the method that a request calls."""
        found = self._find(request.method, request.path)
        return found[0].name if found else None

    def _look(self, verb: str, path: str) -> Found | None:
        for known, template, body, (method, handler) in self._rules:
            may = verb == known and may_match(template, path)
            if may and (found := template_pattern(template).fullmatch(path)):
                return method, handler, template_fields(template, found), body
        return None

    def _serve(self, request: Request) -> Response:
        found = self._find(request.method, request.path)
        if found is None:
            name = f"{request.method} https://{request.host}{request.path}"
            words = f"The requested URL was not found: {name} (no call of this service)."
            raise ApiError("NOT_FOUND", words)
        method, handler, fields, body = found
        run = _served(method, handler)
        principal = self._cloud.principal(request.headers.get("authorization", ""))
        caller = Caller(principal, request.caller)
        check_alt(request)
        if isinstance(run, Verbatim):
            given = {name: unquote(value) for name, value in fields.items()}
            return _selected(request, run.rest(request, given, caller), method.response)
        message = rpc_json.read(method.request, request, fields, body)
        check(method, message)
        return _answer(request, run(message, caller))


def _once(table: list[Entry]) -> list[Entry]:
    """Each address once: those that have a handler before the same ones that have none."""
    found: dict[tuple[str, Any], Entry] = {}
    for method, handler in table:
        known = found.get((method.name, method.rules))
        if known is None or known[1] is None:
            found[method.name, method.rules] = (method, handler)
    return list(found.values())


def check(method: Method, message: Any) -> None:
    """Refuse a request without its required fields, or with a name that is not of the right form."""
    absent = sorted(missing(message))
    if absent:
        raise bad_request([(name, f"Required field '{name}' is not set.") for name in absent])
    for field, patterns in method.names.items():
        value = _value(message, field)
        if not any(pattern.fullmatch(value) for pattern in patterns):
            service, _, name = method.path.strip("/").partition("/")
            info = error_info("RESOURCE_PROJECT_INVALID", "googleapis.com", method=f"{service}.{name}")
            words = f"Invalid resource field value in the request: {field} is '{value}'."
            raise ApiError("INVALID_ARGUMENT", words, details=[info])


def _value(message: Any, path: str) -> str:
    for name in path.split("."):
        message = getattr(message, name)
    return str(message)


def _selected(request: Request, response: Response, kind: Any) -> Response:
    """A verbatim answer with the fields that were asked for."""
    if not parameter(request, "fields"):
        return response
    return shaped(request, response, _descriptor(kind), rpc_json.child)


def _descriptor(kind: Any) -> Any:
    return (kind.pb() if hasattr(kind, "pb") else kind).DESCRIPTOR


def _answer(request: Request, message: Any) -> Response:
    descriptor = _raw(message).DESCRIPTOR
    return shaped(request, Response(rpc_json.write(message, request)), descriptor, rpc_json.child)


def _served(method: Method, handler: RpcHandler | None) -> RpcHandler:
    if handler is None:
        raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {method.path}")
    return handler


def _decode(kind: Any, data: bytes) -> Any:
    return kind.deserialize(data) if hasattr(kind, "deserialize") else kind.FromString(data)


def _encode(message: Any) -> bytes:
    kind = type(message)
    data = kind.serialize(message) if hasattr(kind, "serialize") else message.SerializeToString()
    return bytes(data)


def _raw(message: Any) -> Any:
    return type(message).pb(message) if hasattr(type(message), "pb") else message
