"""Work that waits for others says for how long, so that one process can do several at once."""

import time
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Work = Generator[float, None, T]  # yields the seconds that it waits; returns its result


def alone(work: Work[T]) -> T:
    """Do one work to its end; its result, or what it raises."""
    while True:
        try:
            seconds = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        time.sleep(seconds)
