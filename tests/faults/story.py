"""Faults upon faults in one world: much faster than a world for each, and no less strict.

All of a story's faults are armed at once. A run meets those that it comes to; the next one meets those
that the last did not reach, and so is the run that must mend what was before it.
"""

from collections.abc import Iterator
from itertools import groupby

from tests.clone import Ended
from tests.faults.cases import KINDS, Case
from tests.faults.state import wrong
from tests.faults.worlds import TIMED_OUT, World

WAITS = 6  # faults that a run waits for in vain, in one story
KEPT = ("lost", "kill-caller", "kill-cloud")  # kinds after which the call's effect is there


def stories(cases: list[Case]) -> list[list[Case]]:
    """The cases by world and kind, each method's in their order; the longest story first."""
    alike = [list(group) for _, group in groupby(sorted(cases, key=_place), key=_place)]
    return sorted((part for whole in alike for part in _parts(whole)), key=len, reverse=True)


def _place(case: Case) -> tuple[str, str]:
    return case.call.world, case.kind


def _method(case: Case) -> tuple[str, str]:
    return case.call.method, case.call.caller


def _parts(story: list[Case]) -> Iterator[list[Case]]:
    size = WAITS if story[0].kind == "hang" else len(story)
    for first in range(0, len(story), size):
        yield story[first : first + size]


def tell(world: World, story: list[Case]) -> tuple[list[Case], list[str]]:
    """The cases that no run came to, and what was wrong. The local cloud is stopped at the end.

    A run that meets none of them is a plain one, and must end well; one that ends well in spite of its
    faults must leave what a plain one leaves.
    """
    waiting, found = list(story), list[str]()
    while True:
        met, ended = _run(world, story, waiting)
        found += unclear(ended, met) if met else []
        if ended.code == 0:
            found += wrong(world, ended.answer)
        elif not met:
            found.append(f"the plain run: {ended!r}")
        waiting = [case for case in waiting if case not in met]
        if not met or (ended.code == 0 and not waiting):
            break
    world.cloud.down()
    return waiting, found + [f"left behind: {pid} {line}" for pid, line in world.processes().items()]


def _run(world: World, story: list[Case], waiting: list[Case]) -> tuple[list[Case], Ended]:
    """One run, and which of the cases it met."""
    world.start()
    world.cloud.ask("DELETE", "/faults")
    for case in waiting:
        nth = case.call.nth - _done(case, story, waiting)
        world.arm(case.call.method, KINDS[case.kind], nth, case.call.caller)
    before = len(world.calls())
    ended = world.go()
    words = [line.split() for line in world.calls()[before:]]
    numbers = {int(line[4]) for line in words if line[3:4] == ["FAULT"]}
    return [case for number, case in enumerate(waiting, 1) if number in numbers], ended


def _done(case: Case, story: list[Case], waiting: list[Case]) -> int:
    """How many of the calls before its own a run does not make again, or does not count for it.

    A call that a fault meets is not counted for the faults armed after it: where the caller asks again,
    the second time is. What is done twice is not asked again; what was done in an earlier run is not
    done again.
    """
    before = [one for one in story[: story.index(case)] if _method(one) == _method(case)]
    if case.kind == "twice":
        return len(before)
    return len([one for one in before if one not in waiting]) if case.kind in KEPT else 0


def unclear(ended: Ended, met: list[Case]) -> list[str]:
    """What is not right in how the disturbed run ended."""
    name = " + ".join(str(case) for case in met)
    if ended.code == TIMED_OUT:
        return [f"{name}: the disturbed run did not end: {ended!r}"]
    killed = ended.code == -9 and any(case.kind == "kill-caller" for case in met)
    clear = ended.code == 0 or killed or "error:" in ended.err or "\nfailed " in ended.err
    good = clear and "Traceback" not in ended.err and ended.code in (0, 1, -9 if killed else 1)
    return [] if good else [f"{name}: the disturbed run: {ended!r}"]
