"""A message's fields by dotted name, and comparing what they hold with the text of a filter."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from localcloud.errors import ApiError

TIME = "google.protobuf.Timestamp"
SIGNS = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}
Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Resolver:
    """Finds fields; `extra` holds names that a service adds to those of its message."""

    extra: Mapping[str, Read] = field(default_factory=dict)

    def reader(self, descriptor: Descriptor, name: str) -> Read | None:
        """A function from a message to the field's value, or None where there is no such field."""
        if name in self.extra:
            return self.extra[name]
        first, _, rest = name.partition(".")
        found = descriptor.fields_by_name.get(first) or descriptor.fields_by_camelcase_name.get(first)
        return _read(found, rest) if found is not None else None


def _read(found: FieldDescriptor, rest: str) -> Read | None:
    kind, name = found.message_type, found.name
    if kind and kind.GetOptions().map_entry:
        return (
            (lambda one: getattr(one, name).get(rest))
            if rest
            else (lambda one: dict(getattr(one, name)))
        )
    if rest:
        below = Resolver().reader(kind, rest) if kind and not found.is_repeated else None
        return (lambda one: below(getattr(one, name))) if below else None
    if found.enum_type:
        names = found.enum_type.values_by_number
        return lambda one: names[getattr(one, name)].name
    if kind and kind.full_name == TIME:
        return lambda one: _moment_of(getattr(one, name)) if one.HasField(name) else None
    return lambda one: getattr(one, name)


def _moment_of(stamp: Any) -> datetime:
    moment: datetime = stamp.ToDatetime(tzinfo=UTC)
    return moment


def text_of(message: Any) -> str:
    """Everything that a message holds, to look for a word in."""
    return str(message)


def contains(text: str, word: str) -> bool:
    """Whether a word is in a text, in whichever case."""
    return word.lower() in text.lower()


def compare(value: Any, sign: str, wanted: str) -> bool:
    """Whether `value SIGN wanted` holds; a value that is not there differs from every other."""
    if sign == ":":
        return _has(value, wanted)
    if sign == "!=":
        return not compare(value, "=", wanted)
    if value is None:
        return False
    if isinstance(value, str) and sign == "=" and "*" in wanted:
        return re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), value, re.DOTALL) is not None
    return bool(SIGNS[sign](value, _like(value, wanted)))


def _has(value: Any, wanted: str) -> bool:
    """The has-operator: present (`*`), in a list, a key of a map, or within a text."""
    if wanted == "*":
        return bool(value)
    if isinstance(value, dict):
        return wanted in value
    if isinstance(value, str):
        return contains(value, wanted)
    if hasattr(value, "__iter__"):
        return any(_has(one, wanted) if isinstance(one, str) else str(one) == wanted for one in value)
    return value is not None and compare(value, "=", wanted)


def _like(value: Any, text: str) -> Any:
    """The filter's text as something that compares with the value. Raises INVALID_ARGUMENT."""
    try:
        if isinstance(value, datetime):
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC)
        if isinstance(value, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(value, str):
            return text
        return type(value)(text)
    except (ValueError, KeyError, TypeError):
        raise ApiError(
            "INVALID_ARGUMENT", f"Invalid filter: '{text}' is not a {_kind(value)}."
        ) from None


def _kind(value: Any) -> str:
    return "time of RFC 3339" if isinstance(value, datetime) else type(value).__name__
