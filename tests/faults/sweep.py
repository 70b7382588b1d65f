"""`./scripts/test --faults [PATTERN …]`: each call of a run, broken in each way; then a plain run.

PATTERN picks faults whose name holds it, for example "s3.PutObject 1 kill-cloud" or "hang". What has
recovered for this very tree is not tried again.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests.clone import ROOT, Ended, tracked
from tests.faults.cases import KINDS, Case, cases, recorded
from tests.faults.state import wrong
from tests.faults.worlds import TIMED_OUT, World, templates

FOLDER = ROOT / ".local" / "faults"
TRIES = ("tests/faults/", "tests/clone.py")
OTHERS = ("tests/", "scripts/test", ".github/workflows/ci", "README")  # no run reads them
WAITING = 3  # faults that only wait, beside those that work


@dataclass(frozen=True)
class Result:
    """What came of a fault: what was wrong, if anything, and how long it took."""

    name: str
    wrong: list[str]
    seconds: float


def main(argv: list[str]) -> int:
    """Try all, or those that a pattern names; exit code 1 where one has not recovered."""
    start, folder = time.monotonic(), FOLDER / fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    for other in FOLDER.iterdir():
        if other != folder:
            shutil.rmtree(other)
    worlds = templates(folder)
    calls = recorded(folder, worlds)
    chosen = [case for case in cases(calls) if any(part in str(case) for part in argv or [""])]
    done = {} if argv else earlier(folder)
    print(
        f"faults        {len(calls)} calls × {len(KINDS)} kinds; {len(chosen)} chosen, "
        f"{len(done)} of them recovered before",
        flush=True,
    )
    results = [*done.values(), *attempt(folder, worlds, [c for c in chosen if str(c) not in done])]
    bad = [result for result in results if result.wrong]
    minutes = (time.monotonic() - start) / 60
    print(f"faults        recovered {len(results) - len(bad)} of {len(results)} · {minutes:.1f} min")
    for result in bad:
        print(f"  {result.name}")
    return 1 if bad else 0


def attempt(folder: Path, worlds: dict[str, World], chosen: list[Case]) -> list[Result]:
    """The results, in the order in which they come; each is written down at once."""
    results = []
    waits = [case for case in chosen if case.kind == "hang"]
    works = [case for case in chosen if case.kind != "hang"]
    with ThreadPoolExecutor(os.cpu_count()) as busy, ThreadPoolExecutor(WAITING) as idle:
        pools = [(busy, case) for case in works] + [(idle, case) for case in waits]
        tasks = [pool.submit(tried, folder, worlds, case) for pool, case in pools]
        with (folder / "results.jsonl").open("a", buffering=1) as log:
            for number, task in enumerate(as_completed(tasks), 1):
                result = task.result()
                results.append(result)
                log.write(json.dumps(vars(result)) + "\n")
                show(result, number, len(tasks))
    return results


def show(result: Result, number: int, of: int) -> None:
    """One line, and what was wrong."""
    state = "NOT RECOVERED" if result.wrong else "recovered"
    print(f"{number:>4}/{of}  {result.name:<60} {state} {result.seconds:.1f} s", flush=True)
    for line in result.wrong:
        print("\n".join(f"            {part}" for part in line.splitlines()), flush=True)


def tried(folder: Path, worlds: dict[str, World], case: Case) -> Result:
    """One fault in a world of its own."""
    start = time.monotonic()
    name = hashlib.sha256(str(case).encode()).hexdigest()[:12]
    world = worlds[case.call.world].copy(folder / "tried" / name)
    try:
        found = suffered(world, case)
    except Exception as error:  # the world is in a state that nobody foresaw: that is a finding
        found = [f"{type(error).__name__}: {error}"]
    finally:
        world.remove()
    return Result(str(case), found, round(time.monotonic() - start, 1))


def suffered(world: World, case: Case) -> list[str]:
    """What is wrong after the fault, and after the plain run that follows.

    A run that ends well in spite of the fault needs none: it must have left what a plain one leaves.
    """
    world.start()
    world.arm(case.call.method, KINDS[case.kind], case.call.nth, case.call.caller)
    ended = world.go()
    if not any(" FAULT 1 " in line for line in world.calls()):
        return [f"the call was not made: {ended!r}"]
    found = unclear(ended, case)
    if ended.code:
        ended = world.go()
    if ended.code:
        return [*found, f"the plain run: {ended!r}"]
    found += wrong(world, ended.answer)
    world.cloud.down()
    return found + [f"left behind: {pid} {line}" for pid, line in world.processes().items()]


def unclear(ended: Ended, case: Case) -> list[str]:
    """What is not right in how the disturbed run ended."""
    if ended.code == TIMED_OUT:
        return [f"the disturbed run did not end: {ended!r}"]
    killed = case.kind == "kill-caller" and ended.code == -9
    clear = ended.code == 0 or killed or ("error:" in ended.err or "\nfailed " in ended.err)
    good = clear and "Traceback" not in ended.err and ended.code in (0, 1, -9 if killed else 1)
    return [] if good else [f"the disturbed run: {ended!r}"]


def earlier(folder: Path) -> dict[str, Result]:
    """What has recovered already."""
    path = folder / "results.jsonl"
    lines: Iterable[str] = path.read_text().splitlines() if path.exists() else ()
    found = [Result(**json.loads(line)) for line in lines]
    return {result.name: result for result in found if not result.wrong}


def fingerprint() -> str:
    """The hash of everything that a run consists of, and of what tries it."""
    whole = hashlib.sha256()
    for name in tracked():
        if name.startswith(TRIES) or not name.startswith(OTHERS):
            whole.update(f"{name}\0".encode() + (ROOT / name).read_bytes())
    return whole.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
