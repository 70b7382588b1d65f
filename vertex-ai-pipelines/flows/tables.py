"""Strict tables: how every TOML and JSON contract is read, refused and named in errors."""

import difflib
import re
import threading
import tomllib
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from flows.errors import InputError

T = TypeVar("T")

# msgspec describes a type at its first use, and crashes where another thread uses it half described.
_DESCRIBING = threading.RLock()
UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]+)`(?: - at `\$(?P<path>[^`]*)`)?")


class _KeywordOnly(msgspec.StructMeta):
    """Passes `kw_only` on to subclasses, which msgspec does not: defaults may stand first."""

    def __new__(cls, name: str, bases: tuple[type, ...], fields: dict[str, Any], **options: Any) -> Any:
        return super().__new__(cls, name, bases, fields, **{"kw_only": True, **options})


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
class Table(msgspec.Struct, metaclass=_KeywordOnly, frozen=True, forbid_unknown_fields=True):
    """A frozen record that refuses unknown keys and wrong types."""


def load_toml(path: Path) -> dict[str, Any]:
    """The file's raw tables. Raises InputError where it is absent or is not TOML."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file", "is it misspelt, or not checked out?"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}", "mend that line") from None


def convert(value: object, kind: type[T], where: str, strict: bool = True) -> T:
    """`value` (tables, lists, scalars) as a `kind`. Raises InputError, with `where` in front.

    `strict=False` lets 32.0 stand for 32: integers that crossed a pipeline arrive so.
    """
    try:
        with _DESCRIBING:
            return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_explain(str(error), kind)}") from None


def decode_json(text: str | bytes, kind: type[T], where: str, strict: bool = True) -> T:
    """`text` as a `kind`, as `convert` does. Raises InputError, with `where` in front."""
    try:
        return convert(msgspec.json.decode(text), kind, where, strict)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: not valid JSON: {error}") from None


def hint(name: str, known: Iterable[str], kind: str) -> str:
    """What may have been meant by `name`, for an error: "nearest known key: days", or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"nearest known {kind}: {near[0]}" if near else f"known {kind}s: {', '.join(names)}"


def _explain(message: str, kind: type) -> str:
    found = UNKNOWN.search(message)
    if not found:
        return message.replace("`$.", "`").replace("Object", "the table")
    path = [part for part in (found["path"] or "").split(".") if part]
    table = f"[{'.'.join(path)}]" if path else "the top level"
    known = _fields(kind, path)
    return f"unknown key '{found['key']}' at {table}; {hint(found['key'], known, 'key')}"


def _fields(kind: Any, path: list[str]) -> list[str]:
    """The key names of the table that `path` leads to inside `kind`."""
    for part in path:
        kind = _member(kind, part)
    return [field.encode_name for field in msgspec.structs.fields(_struct(kind))]


def _member(kind: Any, part: str) -> Any:
    kind = _struct(kind)
    if typing.get_origin(kind) is dict:
        return typing.get_args(kind)[1]
    return next(f.type for f in msgspec.structs.fields(kind) if f.encode_name == part)


def _struct(kind: Any) -> Any:
    options = [k for k in typing.get_args(kind) if isinstance(k, type) and issubclass(k, Table)]
    return options[0] if options and typing.get_origin(kind) is not dict else kind
