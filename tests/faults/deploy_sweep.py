"""Each call of a roll-out, broken in each way, while a client asks; the next deploy must end it.

In one world a way of breaking: each case is another challenger, in the place of the one before. What
only a first release calls is broken first, in the same world, where nothing serves.
"""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.clone import Ended
from tests.faults.cases import KINDS, Call, distinct
from tests.faults.stage import Stage, stage
from tests.faults.worlds import World, provisioned

TRIED = ("error", "lost", "twice", "kill-caller")
MOST = 60  # models: as many calls as one roll-out may make
KILLED = (-9, 137)


def sweep(folder: Path) -> list[str]:
    """What was not right, after each way of breaking each call; made in `folder`."""
    start, place = time.monotonic(), folder / "deploy"
    shutil.rmtree(place, ignore_errors=True)
    template = provisioned(place)
    calls = recorded(stage(place / "recorded", template))
    count = sum(map(len, calls))
    print(f"faults        deploy: {count} calls × {len(TRIED)} kinds", flush=True)
    with ThreadPoolExecutor(len(TRIED)) as pool:
        told = pool.map(lambda kind: tell(place / kind, template, kind, calls), TRIED)
        wrongs = [wrong for some in told for wrong in some]
    template.remove()
    minutes, found = (time.monotonic() - start) / 60, f"{len(wrongs)} not right"
    print(
        f"faults        deploy: {found if wrongs else 'all recovered'} · {minutes:.1f} min", flush=True
    )
    return wrongs


def recorded(made: Stage) -> tuple[list[Call], list[Call]]:
    """The calls of a first roll-out that no later one makes, and those of a replaced challenger.

    The world is removed.
    """
    made.prepared(3)
    first = _calls(made, (1, 100))
    _plain(made, (1, 90), (2, 10))
    later = _calls(made, (1, 90), (3, 10))
    made.remove()
    known = {call.method for call in later}
    return [call for call in first if call.method not in known], later


def _calls(made: Stage, *shares: tuple[int, int]) -> list[Call]:
    before = len(made.calls())
    _plain(made, *shares)
    found = distinct("deploy", made.calls()[before:])
    # The push is the test's own.
    return [call for call in found if not call.method.startswith(("localcloud", "git.receive-pack"))]


def tell(folder: Path, template: World, kind: str, calls: tuple[list[Call], list[Call]]) -> list[str]:
    """What was wrong with the calls broken in one way."""
    first, later = calls
    made = stage(folder, template).prepared(len(later) + 1)
    assert len(later) < MOST
    try:
        return [*_first(made, kind, first), *_replaced(made, kind, later)]
    finally:
        made.remove()


def _first(made: Stage, kind: str, calls: list[Call]) -> Iterator[str]:
    """Roll-outs of a first release, which nobody can ask yet."""
    for call in calls:
        yield from _case(made, kind, call, (1, 100))
        seen = made.seen()
        if not _once(seen, 1, kind) or set(seen["shares"].values()) != {100}:
            yield f"{call} {kind}: {seen}"
        made.inside("staged.erase()")


def _replaced(made: Stage, kind: str, calls: list[Call]) -> Iterator[str]:
    """Roll-outs of another challenger, while a client asks."""
    _plain(made, (1, 100))
    with made.asked() as client:
        for number, call in enumerate(calls, 2):
            yield from _case(made, kind, call, (1, 90), (number, 10))
    yield from client.failed
    seen = made.seen()
    if not _once(seen, len(calls) + 1, kind):
        yield f"{kind}: {seen}"


def _case(made: Stage, kind: str, call: Call, *shares: tuple[int, int]) -> list[str]:
    """What was wrong with one call broken, and the deploy after it."""
    name = f"deploy {call} {kind}"
    made.declare(*shares)
    made.arm(call.method, KINDS[kind], call.nth, call.caller)
    first = made.deploy()
    [fault] = made.cloud.ask("GET", "/faults")["faults"]
    made.cloud.ask("DELETE", "/faults")
    last = made.deploy()
    found = [] if fault["hit"] else ["the call was not made"]
    found += [f"the disturbed one: {first!r}"] if _unclear(first, kind) else []
    found += [f"the next one: {last!r}"] if last.code else []
    print(f"{name:<60} {'NOT RECOVERED' if found else 'recovered'}", flush=True)
    return [f"{name}: {one}" for one in found]


def _once(seen: dict[str, Any], models: int, kind: str) -> bool:
    """Whether each model is registered, and has its metrics, once.

    Twice where a request arrived twice: Vertex AI gives neither call a key by which it would know it.
    """
    most = int(kind == "twice")
    more = seen["versions"] - models, sum(seen["evaluations"]) - models
    return len(seen["aliases"]) == models and all(0 <= one <= most for one in more)


def _unclear(ended: Ended, kind: str) -> bool:
    """Whether a disturbed deploy ended in a way that a person cannot understand."""
    killed = kind == "kill-caller" and ended.code in KILLED
    told = ended.code == 0 or killed or (ended.code == 1 and "error:" in ended.err)
    return not told or "Traceback" in ended.err


def _plain(made: Stage, *shares: tuple[int, int]) -> None:
    made.declare(*shares)
    ended = made.deploy()
    assert ended.code == 0, ended
