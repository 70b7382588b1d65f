"""`./scripts/test --faults [PATTERN …]`: each call of a run, broken in each way; then a plain run.

With "deploy" as PATTERN, each call of a roll-out instead. Any other picks faults whose name holds it,
for example "s3.PutObject 1 kill-cloud" or "hang". What recovered for this very tree is not tried again.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.clone import ROOT, tracked
from tests.faults.cases import KINDS, Case, cases, recorded
from tests.faults.deploy_sweep import sweep
from tests.faults.story import stories, tell
from tests.faults.worlds import World, templates

FOLDER = ROOT / ".local" / "faults"
TRIES = ("tests/faults/", "tests/clone.py")
OTHERS = ("tests/", "scripts/test", ".github/workflows/ci", "README")  # no run reads them
WAITING = 8  # faults that only wait, beside those that work


def main(argv: list[str]) -> int:
    """Try all, or those that a pattern names; exit code 1 where one has not recovered."""
    start, folder = time.monotonic(), FOLDER / fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    for other in FOLDER.iterdir():
        if other != folder:
            shutil.rmtree(other)
    if argv == ["deploy"]:
        wrongs = sweep(folder)
        show(wrongs)
        return 1 if wrongs else 0
    worlds = templates(folder)
    calls = recorded(folder, worlds)
    chosen = [case for case in cases(calls) if any(part in str(case) for part in argv or [""])]
    done = {} if argv else earlier(folder)
    print(
        f"faults        {len(calls)} calls × {len(KINDS)} kinds; {len(chosen)} chosen, "
        f"{len(done)} of them recovered before",
        flush=True,
    )
    left = [case for case in chosen if str(case) not in done]
    tried = Sweep(folder, worlds, len(left)).all(left)
    results = {**done, **tried}
    bad = [name for name, wrongs in results.items() if wrongs]
    minutes = (time.monotonic() - start) / 60
    print(f"faults        recovered {len(results) - len(bad)} of {len(results)} · {minutes:.1f} min")
    for name in bad:
        print(f"  {name}")
    return 1 if bad else 0


class Sweep:
    """One pass over the cases; `results` has what was wrong after each, by name."""

    def __init__(self, folder: Path, worlds: dict[str, World], of: int) -> None:
        self._folder, self._worlds, self._of = folder, worlds, of
        self.results: dict[str, list[str]] = {}

    def all(self, chosen: list[Case]) -> dict[str, list[str]]:
        """Try them in stories, what no run came to once more so; what is left then, each by itself."""
        for _ in range(2):
            chosen = [case for left in self._side_by_side(stories(chosen)) for case in left]
        self._side_by_side([[case] for case in chosen])
        return self.results

    def _side_by_side(self, told: list[list[Case]]) -> Iterator[list[Case]]:
        """The cases of each story that need to be tried alone, in the order in which they end."""
        workers = (os.cpu_count() or 1) + 1  # a run waits now and then
        with ThreadPoolExecutor(workers) as busy, ThreadPoolExecutor(WAITING) as idle:
            pools = [idle if story[0].kind == "hang" else busy for story in told]
            tasks = [pool.submit(self._try, story) for pool, story in zip(pools, told, strict=True)]
            return iter([task.result() for task in as_completed(tasks)])

    def _try(self, story: list[Case]) -> list[Case]:
        """One story in a world of its own; which of its cases have no result yet."""
        start, name = time.monotonic(), hashlib.sha256(repr(story).encode()).hexdigest()[:12]
        world = self._worlds[story[0].call.world].copy(self._folder / "tried" / name)
        try:
            missed, wrongs = tell(world, story)
        except Exception as error:  # the world is in a state that nobody foresaw: that is a finding
            missed, wrongs = [], [f"{type(error).__name__}: {error}"]
        finally:
            world.remove()
        if len(story) == 1 and missed:
            missed, wrongs = [], ["the call was not made", *wrongs]
        again = missed if len(story) == 1 or not wrongs else story
        self._note({str(case): wrongs for case in story if case not in again}, time.monotonic() - start)
        if again and wrongs:
            place = f"{story[0].call.world}, {story[0].kind}"
            print(f"          a story of {len(story)} ({place}), to be told one by one", flush=True)
            show(wrongs)
        return again

    def _note(self, found: dict[str, list[str]], seconds: float) -> None:
        """Write the results down at once, and show them."""
        self.results |= found
        with (self._folder / "results.jsonl").open("a") as log:
            log.writelines(json.dumps([name, wrongs]) + "\n" for name, wrongs in found.items())
        for name, wrongs in found.items():
            state = "NOT RECOVERED" if wrongs else "recovered"
            shared = f" (with {len(found) - 1} more)" if len(found) > 1 else ""
            print(f"{name:<60} {state} {seconds:.1f} s{shared}")
            show(wrongs)
        print(f"{len(self.results):>4}/{self._of}", flush=True)


def show(wrongs: list[str]) -> None:
    """What was wrong."""
    for line in wrongs:
        print("\n".join(f"            {part}" for part in line.splitlines()), flush=True)


def earlier(folder: Path) -> dict[str, list[str]]:
    """What recovered before, for the very same tree."""
    path = folder / "results.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: wrongs for name, wrongs in map(json.loads, lines) if not wrongs}


def fingerprint() -> str:
    """The hash of everything that a run consists of, and of what tries it."""
    whole = hashlib.sha256()
    for name in tracked():
        if name.startswith(TRIES) or not name.startswith(OTHERS):
            whole.update(f"{name}\0".encode() + (ROOT / name).read_bytes())
    return whole.hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
