"""Several flows at work at the same time, in this one process."""

import time
from collections.abc import Mapping
from contextvars import copy_context

from delivery.work import Work
from laptop.shown import MARK

WIDTH = 14  # of the flow's name before a line, at least


def together(works: Mapping[str, Work[None]]) -> None:
    """Do all of them, each in its turn while the others wait; what one says is marked with its name."""
    width = max([WIDTH, *(len(name) + 2 for name in works)])
    contexts = {name: copy_context() for name in works}
    for name, context in contexts.items():
        context.run(MARK.set, f"{name:<{width}}")
    turns = dict.fromkeys(works, time.monotonic())
    while turns:
        name = min(turns, key=turns.__getitem__)
        time.sleep(max(turns[name] - time.monotonic(), 0.0))
        try:
            seconds = contexts[name].run(next, works[name])
        except StopIteration:
            del turns[name]
        else:
            turns[name] = time.monotonic() + seconds
