"""GitHub's filter patterns, by which workflows choose branches, tags and paths."""

import re
from collections.abc import Sequence
from functools import cache

PART = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)|(?P<all>\*\*)|(?P<some>\*)|(?P<set>\[[^\]]+\])|\\(?P<quoted>.)"
)


def selected(patterns: Sequence[str], name: str) -> bool:
    """Whether the patterns, read in order, take the name in; `!` takes it out again."""
    chosen = False
    for pattern in patterns:
        negative = pattern.startswith("!")
        if chosen is negative and _compiled(pattern.removeprefix("!")).fullmatch(name):
            chosen = not negative
    return chosen


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """`?` and `+` repeat what stands before them, as in a regular expression."""
    made, at = "", 0
    while at < len(pattern):
        found = PART.match(pattern, at)
        made += _meaning(found) if found else _literal(pattern[at], bool(made))
        at = found.end() if found else at + 1
    return re.compile(made, re.DOTALL)


def _literal(sign: str, follows: bool) -> str:
    return sign if sign in "?+" and follows else re.escape(sign)


def _meaning(found: re.Match[str]) -> str:
    if found["quoted"]:
        return re.escape(found["quoted"])
    if found["set"]:
        return found["set"].replace("\\", r"\\").replace("[^", r"[\^")
    return {"folders": "(?:.*/)?", "all": "(?:.*)", "some": "(?:[^/]*)"}[str(found.lastgroup)]
