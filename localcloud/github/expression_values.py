"""The values of GitHub's expressions: how they turn into each other, compare, and its functions."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

PLACE = re.compile(r"\{\{|\}\}|\{(\d+)\}")


class ExpressionError(Exception):
    """An expression that GitHub refuses; the message says why."""


def truth(value: Any) -> bool:
    """Whether `if` takes the value for true: not null, false, 0, NaN or an empty text."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, Mapping | list) or bool(value)


def number(value: Any) -> float:
    """The value as a number; what is none is NaN."""
    if isinstance(value, str):
        return _parsed(value.strip())
    if value is None or isinstance(value, bool | int | float):
        return float(value or 0)
    return math.nan


def _parsed(given: str) -> float:
    try:
        return float(int(given, 16) if given.lower().startswith("0x") else given or 0)
    except ValueError:
        return math.nan


def text(value: Any) -> str:
    """The value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _shown(float(value))
    if isinstance(value, Mapping | list):
        return "Object" if isinstance(value, Mapping) else "Array"
    return "" if value is None else str(value)


def _shown(value: float) -> str:
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value.is_integer() else f"{value:.15g}"


def equal(one: Any, two: Any) -> bool:
    """GitHub's loose equality: text without regard to case, unlike kinds as numbers."""
    if isinstance(one, str) and isinstance(two, str):
        return one.lower() == two.lower()
    if isinstance(one, Mapping | list) or isinstance(two, Mapping | list):
        return one is two
    if one is None and two is None:
        return True
    return number(one) == number(two)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(equal(one, what) for one in where)
    return text(what).lower() in text(where).lower()


def _starts(whole: Any, part: Any) -> bool:
    return text(whole).lower().startswith(text(part).lower())


def _ends(whole: Any, part: Any) -> bool:
    return text(whole).lower().endswith(text(part).lower())


def _format(form: Any, *values: Any) -> str:
    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        if int(found[1]) >= len(values):
            raise ExpressionError(f"format has no argument {found[1]}: {form}")
        return text(values[int(found[1])])

    return PLACE.sub(put, text(form))


def _join(values: Any, between: Any = ",") -> str:
    parts = values if isinstance(values, list) else [values]
    return text(between).join(text(one) for one in parts)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": _starts,
    "endswith": _ends,
    "format": _format,
    "join": _join,
    "tojson": lambda value: json.dumps(value, indent=2),
    "fromjson": lambda value: json.loads(text(value)),
}
