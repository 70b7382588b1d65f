"""Listing objects: prefixes, pages and globs."""

import base64
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from localcloud.errors import ApiError

PAGE = 1000

Resource = dict[str, Any]


def page(found: list[Resource], query: Mapping[str, str]) -> tuple[list[Resource], list[str], str]:
    """One page of a bucket's objects (given by name): objects, prefixes, and the next page's token."""
    size = min(int(query.get("maxResults") or PAGE), PAGE)
    after = _decoded(query.get("pageToken", ""))
    entries = _entries([one for one in found if _wanted(one["name"], query)], query)
    rest = ((name, one) for name, one in entries.items() if name > after)
    chosen = list(islice(rest, size))
    token = _encoded(chosen[-1][0]) if next(rest, None) else ""
    return [one for _, one in chosen if one], [name for name, one in chosen if not one], token


def _wanted(name: str, query: Mapping[str, str]) -> bool:
    start, end, glob = (query.get(key, "") for key in ("startOffset", "endOffset", "matchGlob"))
    return name >= start and (not end or name < end) and (not glob or bool(_glob(glob).fullmatch(name)))


def _entries(found: list[Resource], query: Mapping[str, str]) -> dict[str, Resource | None]:
    """Objects by name; what lies behind a delimiter is one entry without an object."""
    delimiter, start = query.get("delimiter", ""), len(query.get("prefix", ""))
    entries: dict[str, Resource | None] = {}
    for one in found:
        name = one["name"]
        at = name.find(delimiter, start) if delimiter else -1
        entries.update({_key(one): one} if at < 0 else {name[: at + len(delimiter)]: None})
        if (
            at >= 0
            and query.get("includeTrailingDelimiter", "").lower() == "true"
            and at + len(delimiter) == len(name)
        ):
            entries[_key(one)] = one
    return entries


def _key(one: Resource) -> str:
    """What a list goes by: the name, and among generations of one name the older ones first."""
    return f"{one['name']}\n{one['generation']:0>20}" if "generation" in one else str(one["name"])


def _glob(pattern: str) -> re.Pattern[str]:
    """`*` stays within a folder, `**` does not; `?`, `[…]` and `{a,b}` as usual."""
    table = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    parts = re.findall(r"\*\*/|\*\*|\[[^\]]*\]|.", pattern, re.DOTALL)
    return re.compile("".join(table.get(part) or _literal(part) for part in parts), re.DOTALL)


def _literal(part: str) -> str:
    return part.replace("[!", "[^") if len(part) > 1 else re.escape(part)


def _encoded(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _decoded(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError:
        raise ApiError("INVALID_ARGUMENT", f"Invalid page token: {token}", reason="invalid") from None
