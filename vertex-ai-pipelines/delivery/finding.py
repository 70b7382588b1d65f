"""What a check of `doctor` says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from delivery.settings import Environment


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. A note is worth knowing and makes nothing fail today."""

    check: str
    state: Literal["ok", "note", "failed"]
    found: str
    expected: str = ""
    mend: str = ""


Check = Callable[[Environment], Iterator[Finding]]
