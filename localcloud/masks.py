"""Masks: which fields of a resource a call changes or reads, checked against its message."""

import re
from typing import Any

from google.protobuf.descriptor import Descriptor

from localcloud.errors import bad_request
from localcloud.rpc_methods import marked

STRUCT = "google.protobuf.Struct"


def updated(stored: Any, patch: Any, mask: Any) -> tuple[Any, list[str]]:
    """A copy of `stored` with the fields that `mask` names taken from `patch`, and their names.

    Both are proto-plus messages of one kind, `mask` a FieldMask. Without a mask: what the patch holds;
    `*`: everything. What the service alone sets is left; what can never change is refused, and so is
    a path that does not exist. Raises INVALID_ARGUMENT.
    """
    kind = type(stored)
    made, source = kind.pb(kind(stored)), kind.pb(patch)
    fixed = marked(kind, "Output only") | {"name"}
    paths = _paths(mask, source)
    for path in paths:
        _check(kind, path)
    changed = [path for path in paths if path.partition(".")[0] not in fixed]
    for path in changed:
        _copy(path, source, made)
    return kind.wrap(made), changed


def selected(item: Any, mask: Any) -> Any:
    """The fields of a message that a read mask names; the message itself where it names none.

    Raises INVALID_ARGUMENT.
    """
    paths = list(mask.paths) if mask else []
    if not paths or paths == ["*"]:
        return item
    made = type(item)()
    for path in paths:
        if not _exists(item.DESCRIPTOR, path):
            words = f"Invalid read_mask: '{path}' is no field of {item.DESCRIPTOR.name}."
            raise bad_request([("read_mask", words)])
        _copy(path, item, made)
    return made


def _paths(mask: Any, source: Any) -> list[str]:
    paths = list(mask.paths) if mask else []
    if paths == ["*"]:
        return [field.name for field in source.DESCRIPTOR.fields]
    return paths or [field.name for field, _ in source.ListFields()]


def _check(kind: Any, path: str) -> None:
    if not _exists(kind.pb()().DESCRIPTOR, path):
        words = f"Invalid update_mask: '{path}' is no field of {kind.__name__}."
        raise bad_request([("update_mask", words)])
    if path.partition(".")[0] in marked(kind, "Immutable"):
        raise bad_request([("update_mask", f"Invalid update_mask: '{path}' cannot be changed.")])


def _exists(descriptor: Descriptor, path: str) -> bool:
    first, _, rest = path.partition(".")
    field = descriptor.fields_by_name.get(first)
    below = field.message_type if field is not None else None
    if not rest or below is None:
        return field is not None and not rest
    return bool(below.GetOptions().map_entry) or below.full_name == STRUCT or _exists(below, rest)


def _copy(path: str, source: Any, target: Any) -> None:
    """Replace one field, or clear it where the source does not have it."""
    first, _, rest = path.partition(".")
    field = source.DESCRIPTOR.fields_by_name[first]
    if field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry and rest:
        _copy_key(getattr(source, first), getattr(target, first), rest)
    elif rest and field.message_type and field.message_type.full_name == STRUCT:
        _copy_value(getattr(source, first), getattr(target, first), rest)
    elif rest and field.message_type and not field.is_repeated:
        _copy(rest, getattr(source, first), getattr(target, first))
    else:
        part = type(source)()
        part.CopyFrom(source)
        for other in source.DESCRIPTOR.fields:
            if other.name != first:
                part.ClearField(other.name)
        target.ClearField(first)
        target.MergeFrom(part)


def _copy_value(source: Any, target: Any, key: str) -> None:
    """A table of JSON has its keys in camel case, whatever the mask is written in."""
    camel = re.sub("_(.)", lambda found: found[1].upper(), key)
    for name in (key, camel):
        if name in source:
            target.fields[name].CopyFrom(source.fields[name])


def _copy_key(source: Any, target: Any, key: str) -> None:
    target.pop(key, None)
    if key in source:
        target[key] = source[key]
