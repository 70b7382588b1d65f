"""What a job's log, summary and outputs never show."""

from collections.abc import Iterable

MASK = "***"


class Hidden:
    """The values that one job hides: those of its run, and what its own steps add."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = set[str]()
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Hide it from now on, whole and each of its lines."""
        self._values |= {text for text in (value, *value.splitlines()) if text.strip()}

    def hide(self, text: str) -> str:
        """The text without them; the longest first, as one may hold another."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text
