"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PERIOD = 0.01  # seconds


def eventually(condition: Callable[[], T], seconds: float = 120) -> T:
    """What `condition()` gives as soon as it is true. Raises AssertionError where it stays false."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(PERIOD)
    return found
