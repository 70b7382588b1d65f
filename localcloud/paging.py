"""What every list call does with what was found: filter, order, and pages with tokens of their own."""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from localcloud.errors import ApiError
from localcloud.filters import matcher
from localcloud.masks import selected
from localcloud.values import Read, Resolver

PAGING = ("page_size", "page_token")


def answer(
    request: Any, response: Any, found: list[Any], largest: int, extra: Mapping[str, Read] | None = None
) -> Any:
    """A list call's response of type `response`: the page of `found` that `request` asks for.

    Both are proto-plus messages; `found` is in the service's own order. `extra` are fields that its
    filter knows beside the message's own. Raises INVALID_ARGUMENT.
    """
    raw, made = type(request).pb(request), response.pb()()
    field = next(one for one in made.DESCRIPTOR.fields if one.is_repeated and one.message_type)
    resolver = Resolver(extra or {})
    passes = matcher(getattr(raw, "filter", ""), field.message_type, resolver)
    items = [one for one in map(_raw, found) if passes(one)]
    items = ordered(items, getattr(raw, "order_by", ""), field.message_type, resolver)
    some, token = page(items, raw.page_size, raw.page_token, (largest, _fingerprint(raw)))
    getattr(made, field.name).extend(selected(one, getattr(raw, "read_mask", None)) for one in some)
    made.next_page_token = token
    if "total_size" in made.DESCRIPTOR.fields_by_name:
        made.total_size = len(items)
    return response.wrap(made)


def ordered(items: list[Any], order: str, descriptor: Any, resolver: Resolver) -> list[Any]:
    """By the fields that `order` names, each ascending unless `desc`. Raises INVALID_ARGUMENT."""
    for part in reversed([one for one in order.split(",") if one.strip()]):
        name, _, direction = part.strip().partition(" ")
        read = resolver.reader(descriptor, name)
        if read is None or direction.strip() not in ("", "asc", "desc"):
            raise ApiError("INVALID_ARGUMENT", f"Invalid order_by: '{part.strip()}'.")
        filled = [one for one in items if read(one) is not None]
        empty = [one for one in items if read(one) is None]
        items = empty + sorted(filled, key=read)
        if direction.strip() == "desc":
            items = sorted(filled, key=read, reverse=True) + empty
    return items


def page(found: list[Any], size: int, token: str, bounds: tuple[int, str]) -> tuple[list[Any], str]:
    """One page of named messages and the next one's token; `bounds`: the most, and the call's mark.

    A token holds the name that comes next, so that what goes meanwhile shifts nothing.
    """
    largest, mark = bounds
    if size < 0:
        raise ApiError("INVALID_ARGUMENT", f"Invalid page_size: {size} is negative.")
    start = _start(found, token, mark)
    end = start + min(size or largest, largest)
    following = {"next": found[end].name, "at": end, "of": mark} if end < len(found) else {}
    return found[start:end], _encoded(following) if following else ""


def _start(found: list[Any], token: str, mark: str) -> int:
    if not token:
        return 0
    known = _decoded(token)
    if known.get("of") != mark:
        raise ApiError(
            "INVALID_ARGUMENT", "Invalid page_token: it is not of a call with these parameters."
        )
    names = [one.name for one in found]
    return names.index(known["next"]) if known["next"] in names else min(int(known["at"]), len(found))


def _raw(message: Any) -> Any:
    return type(message).pb(message) if hasattr(type(message), "pb") else message


def _fingerprint(raw: Any) -> str:
    """What a token is bound to: the request without its paging."""
    copy = type(raw)()
    copy.CopyFrom(raw)
    for name in PAGING:
        copy.ClearField(name)
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()[:16]


def _encoded(known: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(known).encode()).decode()


def _decoded(token: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError("INVALID_ARGUMENT", "Invalid page_token.")
    return found
