"""REST's JSON and queries to and from protobuf messages, with the refusals of Google's front end."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from localcloud.errors import ApiError, bad_request
from localcloud.http import Request
from localcloud.transport import own_fields, wants_numbers

MASK, CAPITAL = "google.protobuf.FieldMask", re.compile("[A-Z]")
INVALID = "Invalid JSON payload received."
Problem = tuple[str, str]


def read(kind: Any, request: Request, path: dict[str, str], body: str) -> Any:
    """The request message of a REST call: path, query and body put together. Raises INVALID_ARGUMENT."""
    message = kind.pb()() if hasattr(kind, "pb") else kind()
    sent = request.json() if body else {}
    if not isinstance(sent, dict):
        raise ApiError("INVALID_ARGUMENT", f'{INVALID} Unknown name "": Root element must be a message.')
    descriptor = message.DESCRIPTOR
    tree: dict[str, Any] = sent if body == "*" else {}
    inside = descriptor.fields_by_name[body].message_type if body not in ("", "*") else descriptor
    problems = [*unknown(inside, sent, body.strip("*")), *_unknown_query(descriptor, request)]
    if problems:
        raise bad_request(problems)
    if body not in ("", "*") and request.body:
        tree[body] = sent
    _put_query(descriptor, tree, request)
    for name, value in path.items():
        _put(tree, name, unquote(value))
    _parse(tree, message)
    return kind.wrap(message) if hasattr(kind, "wrap") else message


def write(message: Any, request: Request) -> Any:
    """A response message as JSON; enums as numbers where the caller asked for them so."""
    raw = type(message).pb(message) if hasattr(type(message), "pb") else message
    return json_format.MessageToDict(raw, use_integers_for_enums=wants_numbers(request))


def unknown(descriptor: Descriptor, tree: Any, at: str = "") -> Iterator[Problem]:
    """Each name in a JSON table that the message has no field for, with the front end's words."""
    if not isinstance(tree, dict) or descriptor.full_name.startswith("google.protobuf."):
        return
    for name, value in tree.items():
        field = _field(descriptor, name)
        if field is None:
            place = f" at '{at}'" if at else ""
            yield at, f'{INVALID} Unknown name "{name}"{place}: Cannot find field.'
        elif field.message_type:
            yield from _inside(field, value, f"{at}.{field.name}".strip("."))


def _inside(field: FieldDescriptor, value: Any, at: str) -> Iterator[Problem]:
    kind = field.message_type
    if kind.GetOptions().map_entry:
        held = kind.fields_by_name["value"].message_type
        items = value.items() if held and isinstance(value, dict) else ()
        for key, one in items:
            yield from unknown(held, one, f"{at}[{key}]")
    elif field.is_repeated:
        for number, one in enumerate(value if isinstance(value, list) else []):
            yield from unknown(kind, one, f"{at}[{number}]")
    else:
        yield from unknown(kind, value, at)


def child(node: Any, name: str) -> Any:
    """What stands below a message's field, for a mask: its message, or something with nothing below."""
    if not isinstance(node, Descriptor) or node.full_name.startswith("google.protobuf."):
        return node if isinstance(node, Descriptor) else None
    if node.GetOptions().map_entry:
        value = node.fields_by_name["value"]
        return value.message_type or value
    field = _field(node, name)
    return field.message_type or field if field is not None else None


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """A field by its JSON name or its own."""
    by_name: FieldDescriptor | None = descriptor.fields_by_name.get(name)
    return by_name or descriptor.fields_by_camelcase_name.get(name)


def _unknown_query(descriptor: Descriptor, request: Request) -> Iterator[Problem]:
    for name in own_fields(request):
        if _leaf(descriptor, name) is None:
            rest = f"Cannot bind query parameter. Field '{name}' could not be found in request message."
            yield "", f'{INVALID} Unknown name "{name}": {rest}'


def _leaf(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """The field that a dotted name leads to."""
    first, _, rest = name.partition(".")
    field = _field(descriptor, first)
    if field is None or not rest:
        return field
    if field.message_type and field.message_type.GetOptions().map_entry:
        return field
    return _leaf(field.message_type, rest) if field.message_type else None


def _put_query(descriptor: Descriptor, tree: dict[str, Any], request: Request) -> None:
    for name, values in own_fields(request).items():
        field = _leaf(descriptor, name)
        switch = field is not None and field.type == field.TYPE_BOOL
        read = [{"true": True, "false": False}.get(v, v) if switch else v for v in values]
        _put(tree, name, read if field is not None and field.is_repeated else read[-1])


def _is_mask(descriptor: Descriptor, name: str, value: Any) -> bool:
    field = _field(descriptor, name)
    kind = field.message_type if field is not None else None
    return isinstance(value, str) and kind is not None and kind.full_name == MASK


def _path(text: str) -> str:
    """A mask's path as messages name their fields; both spellings are taken, and any key of a map."""
    parts = text.strip().split(".")
    return ".".join(one if "_" in one else CAPITAL.sub(r"_\g<0>", one).lower() for one in parts)


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value


def _parse(tree: dict[str, Any], message: Any) -> None:
    masks = {name: text for name, text in tree.items() if _is_mask(message.DESCRIPTOR, name, text)}
    rest = {name: value for name, value in tree.items() if name not in masks}
    for name, text in masks.items():
        field: Any = _field(message.DESCRIPTOR, name)
        getattr(message, field.name).paths.extend(map(_path, filter(None, text.split(","))))
    try:
        json_format.ParseDict(rest, message)
    except json_format.ParseError as error:
        raise bad_request([("", f"{INVALID} {error}")]) from None
