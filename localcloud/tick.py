"""`localcloud tick`: what falls due on the local GitHub at a time, run to its end."""

import argparse
import json
import time
from typing import Any

from localcloud.client import Client

PERIOD = 0.1  # seconds between two looks at the runs


def arguments(tick: argparse.ArgumentParser) -> None:
    """The verb's options."""
    tick.add_argument(
        "--at",
        default="",
        metavar="TIME",
        help="such as 2026-11-23T03:00:00+09:00 (default: now, or the last one if that is later)",
    )
    tick.add_argument("--json", action="store_true", help="print one JSON object: at, runs")


def tick(client: Client, given: argparse.Namespace) -> int:
    """Start what is due, wait for its end and say how each ended; 1 where one failed."""
    begun = client.ask("POST", "/tick", {"at": given.at})
    runs = [_ended(client, run) for run in begun["runs"]]
    found = {"at": begun["at"], "runs": runs}
    print(json.dumps(found) if given.json else _text(found))
    return 0 if all(run["conclusion"] == "success" for run in runs) else 1


def _ended(client: Client, run: dict[str, Any]) -> dict[str, Any]:
    while run["status"] != "completed":
        time.sleep(PERIOD)
        run = client.ask("GET", f"/runs/{run['repository']}/{run['id']}")
    return run


def _text(found: dict[str, Any]) -> str:
    lines = [f"tick          {found['at']}{'' if found['runs'] else ' · nothing is due'}"]
    for run in found["runs"]:
        lines.append(
            f"  {run['name']:12}{run['conclusion']} · ./scripts/localcloud logs run-{run['id']}"
        )
        told = [*run["faults"], *run["summary"].splitlines()]
        lines += [f"              {line}" for line in told if line]
    return "\n".join(lines)
