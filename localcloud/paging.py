"""Pages and filters of Google's list calls, where a service keeps its answer in one list."""

import re
from collections.abc import Callable
from typing import TypeVar

from localcloud.errors import ApiError

One = TypeVar("One")


def page(found: list[One], size: int, token: str, largest: int) -> tuple[list[One], str]:
    """One page of what was found, and the token of the next one. Raises INVALID_ARGUMENT."""
    if size < 0 or not re.fullmatch(r"\d*", token):
        raise ApiError("INVALID_ARGUMENT", "Invalid page_size or page_token.")
    start, size = int(token or 0), min(size or largest, largest)
    end = start + size
    return found[start:end], str(end) if end < len(found) else ""


def passes(text: str, field: Callable[[str], str]) -> bool:
    """Whether clauses joined by AND hold; `:` is "contains", a word alone is sought in the name."""
    clauses = [clause.strip(" ()") for clause in re.split(r"\s+AND\s+", text) if clause.strip()]
    return all(_holds(clause, field) for clause in clauses)


def _holds(clause: str, field: Callable[[str], str]) -> bool:
    words = clause.removeprefix("NOT ").removeprefix("-")
    found = re.fullmatch(r'(?:([\w.-]+)\s*(!=|=|:)\s*)?"?([^"]*)"?', words)
    if not found:
        raise ApiError("INVALID_ARGUMENT", f"The filter's clause '{clause}' is not one that is served.")
    name, sign, wanted = found[1] or "name", found[2] or ":", found[3].lower()
    value = field(name).lower()
    good = value == wanted if sign != ":" else bool(value) if wanted == "*" else wanted in value
    return good == (sign != "!=") == (words == clause)
