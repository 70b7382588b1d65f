"""What a vendor's client library says of its service: methods, messages, REST rules, required fields."""

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

# How the libraries' own documentation marks a field; their descriptors hold no such options.
FIELD = re.compile(
    r"^ +(\w+) \(.*\):\n +((?:(?:Required|Optional|Immutable|Output only)\. ?)+)", re.MULTILINE
)
TEXTS = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_ENUM)


@dataclass(frozen=True)
class Method:
    """One API method: its gRPC path, its messages, and its REST rules (verb, template, body)."""

    name: str
    path: str
    request: Any
    response: Any
    rules: tuple[tuple[str, str, str], ...]

    @cached_property
    def names(self) -> dict[str, list[re.Pattern[str]]]:
        """The patterns that a field with a resource's name must match, as the REST rules tell."""
        found: dict[str, list[re.Pattern[str]]] = {}
        for _, template, _ in self.rules:
            for field in re.findall(r"\{([^}]+)\}", template):
                name, _, wildcard = field.partition("=")
                found.setdefault(name, []).append(template_pattern(wildcard or "*"))
        return found


@cache
def template_pattern(template: str) -> re.Pattern[str]:
    """A google.api.http template as a regular expression; fields become groups f0, f1, …"""
    parts = re.split(r"(\{[^}]+\})", template)
    return re.compile("".join(_segment(part, n // 2) for n, part in enumerate(parts)))


def may_match(template: str, path: str) -> bool:
    """Whether the pattern of a template is worth its compilation: a start knows hundreds of them."""
    tail = template.rpartition("}")[2]
    has_tail = "*" in tail or path.endswith(tail)
    return has_tail and ("**" in template or template.count("/") == path.count("/"))


def _segment(part: str, number: int) -> str:
    if not part.startswith("{"):
        return _wildcard(part)
    return f"(?P<f{number}>{_wildcard(part.strip('{}').partition('=')[2] or '*')})"


def _wildcard(text: str) -> str:
    return re.escape(text).replace(r"\*\*", ".+").replace(r"\*", "[^/:]+")


def template_fields(template: str, found: re.Match[str]) -> dict[str, str]:
    """The fields of a template in a path that its pattern matched, still percent-encoded."""
    names = [field.partition("=")[0] for field in re.findall(r"\{([^}]+)\}", template)]
    return dict(zip(names, found.groups(), strict=True))


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


_MARKED: dict[tuple[Any, str], frozenset[str]] = {}


def marked(kind: Any, mark: str) -> frozenset[str]:
    """The fields of a message that its library marks so: "Required", "Output only", "Immutable"."""
    if (kind, mark) not in _MARKED:
        text = inspect.getdoc(kind) if hasattr(kind, "pb") else ""
        found = FIELD.findall((text or "").partition("Attributes:\n")[2])
        _MARKED[kind, mark] = frozenset(name for name, marks in found if f"{mark}." in marks)
    return _MARKED[kind, mark]


def missing(message: Any, at: str = "") -> Iterator[str]:
    """The paths of required fields that are empty, in the message and in those inside it."""
    if not hasattr(type(message), "pb"):
        return
    raw, required = type(message).pb(message), marked(type(message), "Required")
    for field in raw.DESCRIPTOR.fields:
        # A number's or a switch's zero cannot be told from its absence.
        counts = field.is_repeated or field.type in (*TEXTS, field.TYPE_MESSAGE)
        empty = _empty(raw, field)
        if field.name in required and counts and empty:
            yield f"{at}{field.name}"
        elif _inside(field) and not empty and "update_mask" not in raw.DESCRIPTOR.fields_by_name:
            yield from missing(getattr(message, _safe(message, field.name)), f"{at}{field.name}.")


def _empty(raw: Any, field: Any) -> bool:
    if not _single(field) or field.message_type.full_name == "google.protobuf.FieldMask":
        value = getattr(raw, field.name)
        return not (value.paths if _single(field) else value)
    return not raw.HasField(field.name)


def _single(field: Any) -> bool:
    return bool(field.message_type) and not field.is_repeated


def _inside(field: Any) -> bool:
    """Whether a field holds one message of the service's own."""
    return _single(field) and not field.message_type.full_name.startswith("google.protobuf.")


def _safe(message: Any, name: str) -> str:
    """proto-plus adds an underscore to names that Python keeps for itself."""
    return name if name in type(message).meta.fields else f"{name}_"
