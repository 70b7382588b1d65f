"""Where the seconds of a warm `run` go: the time between its lines."""

import subprocess
import time

from delivery.settings import ROOT

PHASES = {
    "local cloud": "start, find the local cloud",
    "image": "take the tree, check out, build",
    "pipeline": "compile, submit",
    "release": "release pull request",
    "total": "end",
}


def phases(flow: str) -> list[dict[str, object]]:
    """Runs `./scripts/run FLOW`; the seconds until each line, by what the line is about."""
    process = subprocess.Popen(
        ["./scripts/run", flow], cwd=ROOT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    last, found = time.perf_counter(), []
    for line in process.stderr:
        now = time.perf_counter()
        word = line[:14].strip()
        found.append({"phase": PHASES.get(word, word), "seconds": round(now - last, 2)})
        last = now
    if process.wait():
        raise RuntimeError(f"./scripts/run {flow} failed")
    return found
