"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FIRST, LONGEST, GROWTH = 0.01, 0.1, 1.2  # seconds between two looks: each may be a call that costs time


def eventually(condition: Callable[[], T], seconds: float = 120) -> T:
    """What `condition()` gives as soon as it is true. Raises AssertionError where it stays false."""
    deadline, period = time.monotonic() + seconds, FIRST
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(period)
        period = min(period * GROWTH, LONGEST)
    return found
