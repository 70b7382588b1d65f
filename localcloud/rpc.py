"""Between REST, gRPC and a handler: one function serves both, as the vendors' own descriptors say."""

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route, google_error


class Caller(NamedTuple):
    """Who calls: the Google principal, and the label of the proxy address that it came by."""

    principal: str
    label: str


RpcHandler = Callable[[Any, Caller], Any]


@dataclass(frozen=True)
class Method:
    """One API method: its gRPC path, its messages, and its REST rules (verb, template, body)."""

    name: str
    path: str
    request: Any
    response: Any
    rules: tuple[tuple[str, str, str], ...]


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


class _Recorder(grpc.Channel):  # type: ignore[misc]
    """A channel that notes what a client's transport would call, and with which messages."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[Any, Any]] = {}

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any) -> Any:
        request = _message(request_serializer) or _described(method)
        self.calls[method] = (request, _message(response_deserializer))
        return lambda *_: None

    def _other(self, *_: Any, **__: Any) -> Any:
        return lambda *_: None

    unary_stream = stream_unary = stream_stream = subscribe = unsubscribe = _other

    def close(self) -> None:
        """Nothing is open."""


def _message(function: Any) -> Any:
    """The message class that a (de)serialiser is bound to, if it is bound."""
    return getattr(function, "__self__", None)


def _described(path: str) -> type[Message] | None:
    """The request message that the descriptors name for a gRPC path (operations, IAM, locations)."""
    name = path.strip("/").replace("/", ".")
    if name.endswith(("IamPolicy", "TestIamPermissions")):
        # The services' own names for the one IAM service have no descriptor here.
        name = f"google.iam.v1.IAMPolicy.{name.rsplit('.', 1)[1]}"
    try:
        method = descriptor_pool.Default().FindMethodByName(name)
    except KeyError:
        return None
    kind: type[Message] = message_factory.GetMessageClass(method.input_type)
    return kind


def methods(client: str) -> list[Method]:
    """Every unary method of a client's transport, with its REST rules."""
    grpc_module = importlib.import_module(f"{client}.transports.grpc")
    rest_module = importlib.import_module(f"{client}.transports.rest_base")
    transport = _own(grpc_module, "GrpcTransport")
    rest = _own(rest_module, "RestTransport")
    channel = _Recorder()
    instance = transport(channel=channel, host="localhost")
    # The interceptor in between would call the channel too late.
    instance._logged_channel, instance._stubs = channel, {}
    _touch_all(instance, transport)
    return [
        Method(path.rsplit("/", 1)[1], path, request, response, _rules(rest, path.rsplit("/", 1)[1]))
        for path, (request, response) in channel.calls.items()
    ]


def _own(module: Any, ending: str) -> Any:
    """The transport class that a module defines (it also imports its base)."""
    own = (v for v in vars(module).values() if getattr(v, "__module__", "") == module.__name__)
    return next(kind for kind in own if getattr(kind, "__name__", "").endswith(ending))


def _touch_all(instance: Any, transport: type) -> None:
    for name, member in vars(transport).items():
        if isinstance(member, property):
            getattr(instance, name)


def _rules(rest: type, name: str) -> tuple[tuple[str, str, str], ...]:
    base = getattr(rest, f"_Base{name}", None)
    options = base._get_http_options() if base else []
    return tuple((o["method"].upper(), o["uri"], o.get("body", "")) for o in options)


class Rpc:
    """Serves RpcServices: over gRPC as a generic handler, over REST as http.Services."""

    def __init__(self, cloud: Cloud, services: list[RpcService]) -> None:
        self._cloud = cloud
        self._methods: dict[str, tuple[Method, RpcHandler | None]] = {}
        self.rest: list[RestService] = []
        for service in services:
            handlers = service.handlers()
            table = [(method, handlers.get(method.name)) for method in methods(service.client)]
            for method, handler in table:
                if handler or method.path not in self._methods:
                    self._methods[method.path] = (method, handler)
            self.rest.append(RestService(cloud, service.hosts, table))

    def find(self, path: str) -> tuple[Method, RpcHandler | None]:
        """The method at a gRPC path and its handler. Raises UNIMPLEMENTED, naming the path."""
        if path not in self._methods:
            raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {path}")
        return self._methods[path]

    def call(self, path: str, body: bytes, authorization: str, label: str) -> bytes:
        """One gRPC call, from the request's bytes to the response's. Raises ApiError."""
        method, handler = self.find(path)
        run = _served(method, handler)
        caller = Caller(self._cloud.principal(authorization), label)
        return _encode(run(_decode(method.request, body), caller))


class RestService:
    """The REST side of one service, as an http.Service."""

    def __init__(
        self, cloud: Cloud, hosts: tuple[str, ...], table: list[tuple[Method, RpcHandler | None]]
    ) -> None:
        self._cloud, self.hosts = cloud, hosts
        self._rules = [
            (verb, template_pattern(template), template, body, method, handler)
            for method, handler in table
            for verb, template, body in method.rules
        ]

    def routes(self) -> list[Route]:
        """Nothing by literal path: the templates of Google's rules are matched by `match`."""
        return [Route("*", "{path*}", self._serve)]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Google's error body."""
        return google_error(request, error)

    def _serve(self, request: Request) -> Response:
        for verb, pattern, template, body, method, handler in self._rules:
            found = pattern.fullmatch(request.path) if verb == request.method else None
            if found:
                run = _served(method, handler)
                message = _from_rest(method, request, _fields(template, found), body)
                return Response(_to_json(run(message, self._caller(request))))
        name = f"{request.method} https://{request.host}{request.path}"
        raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {name}", status=404)

    def _caller(self, request: Request) -> Caller:
        return Caller(self._cloud.principal(request.headers.get("authorization", "")), request.caller)


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


def _to_json(message: Any) -> Any:
    return json.loads(json_format.MessageToJson(_raw(message)))


def template_pattern(template: str) -> re.Pattern[str]:
    """A google.api.http template as a regular expression; fields become groups f0, f1, …"""
    parts = re.split(r"(\{[^}]+\})", template)
    return re.compile("".join(_segment(part, n // 2) for n, part in enumerate(parts)))


def _segment(part: str, number: int) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    wildcard = part.strip("{}").partition("=")[2] or "*"
    inner = re.escape(wildcard).replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")
    return f"(?P<f{number}>{inner})"


def _fields(template: str, found: re.Match[str]) -> dict[str, str]:
    names = [field.partition("=")[0] for field in re.findall(r"\{([^}]+)\}", template)]
    return dict(zip(names, map(unquote, found.groups()), strict=True))


def _from_rest(method: Method, request: Request, path: dict[str, str], body: str) -> Any:
    """The request message of a REST call: path, query and body put together."""
    tree: dict[str, Any] = request.json() if body == "*" else {}
    if body not in ("", "*"):
        _put(tree, body, request.json())
    for name, value in [*_query(request.query), *path.items()]:
        _put(tree, name, value)
    message = method.request() if not hasattr(method.request, "pb") else method.request.pb()()
    try:
        json_format.ParseDict(tree, message)
    except json_format.ParseError as error:
        raise ApiError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from None
    return method.request.wrap(message) if hasattr(method.request, "wrap") else message


def _query(query: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """A query's fields; `$alt`, `alt` and their like belong to the transport."""
    for name, value in query.items():
        if not name.startswith("$") and name not in ("alt", "prettyPrint", "key", "fields"):
            yield name, {"true": True, "false": False}.get(value, value)


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value
