"""`./scripts/bench`: the measurements behind the docs' numbers, side by side, in one run."""

import argparse
import json
import os
import platform
import shutil
import sys
import time
from typing import Any

from benchmarks import images, imports, phases
from benchmarks.measure import Result
from benchmarks.peers import PEERS, Peer
from delivery import settings
from delivery.command import run
from flows import config

ROUNDS = 5


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/bench", description=__doc__)
    main.add_argument("what", choices=["pipeline", "image", "serving"], help="which measurement")
    main.add_argument(
        "--rounds", type=int, default=ROUNDS, help="warm runs of each (default: %(default)s)"
    )
    whose = "whose run is taken apart (default: settings.toml's default_flow)"
    main.add_argument("--flow", type=config.existing, help=whose)
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """Measure, print a table."""
    arguments = parser().parse_args(argv)
    found = MEASUREMENTS[arguments.what](arguments)
    if arguments.json:
        print(json.dumps(found))
    return 0


def of_image(arguments: argparse.Namespace) -> dict[str, Any]:
    """The image's numbers, shown."""
    found = images.measure(arguments.rounds)
    for line in images.show(found):
        say(line)
    return found


def of_serving(arguments: argparse.Namespace) -> dict[str, Any]:
    """The prediction server's numbers, shown."""
    from benchmarks import serving

    found = serving.measure(arguments.rounds)
    for line in serving.show(found):
        say(line)
    return found


def of_pipeline(arguments: argparse.Namespace) -> dict[str, Any]:
    """The pipeline's numbers, shown."""
    flow = config.load(arguments.flow or settings.load().flow_by_default(config.names())).name
    for peer in PEERS:
        peer.install()
    found = pipeline(arguments.rounds)
    # Last: the local cloud's environment is this process's from then on.
    phases.phases(flow)  # warms up
    found["run"] = {"flow": flow, "phases": phases.phases(flow)}
    show(found)
    return found


def pipeline(rounds: int) -> dict[str, Any]:
    """All contenders' results with ratios to ours, and the cost of imports."""
    costs = imports.costs()
    results = [peer_result(peer, rounds) for peer in PEERS]
    ours = our_result(rounds).facts()
    rows = sorted([ours, *(one.facts() for one in results)], key=lambda row: row["warm"])
    for row in rows:
        row["ratio"] = round(row["warm"] / ours["warm"], 2)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "rounds": rounds}
    return {"machine": machine, "contenders": rows, "imports": costs}


def peer_result(peer: Peer, rounds: int) -> Result:
    """One contender's runs, in a folder of its own."""
    _progress(peer.name)
    folder = peer.folder()
    try:
        seeds = _seeds(1 + (peer.rounds or rounds))
        cold, *warm = [peer.run(seed, folder) for seed in seeds]
        again = [peer.run(seeds[-1], folder) for _ in range(rounds)] if peer.caches else []
    finally:
        shutil.rmtree(folder)
    return Result(peer.name, peer.process_a_step, cold, warm, again)


def our_result(rounds: int) -> Result:
    """Our own runs: cold is the first job of a local cloud that has just started."""
    from benchmarks.ours import NAME, PROCESS_A_STEP, Ours
    from laptop import provision
    from laptop.world import client, local_environment, world

    _progress(NAME)
    client().down()
    client().up(world(), None)
    provision.enter()
    ours = Ours(local_environment())
    try:
        seeds = _seeds(1 + rounds)
        cold, *warm = [ours.run(seed) for seed in seeds]
        again = [ours.run(seeds[-1], cached=True) for _ in range(rounds)]
    finally:
        ours.close()
    return Result(NAME, PROCESS_A_STEP, cold, warm, again)


def _seeds(number: int) -> list[str]:
    """Inputs that no run ever had, so that no cache helps."""
    first = time.time_ns()
    return [str(first + n) for n in range(number)]


def show(found: dict[str, Any]) -> None:
    """The tables as people read them, on standard error."""
    machine = found["machine"]
    say(f"five trivial steps · {machine['cpus']} cores · Python {machine['python']} · seconds, medians")
    say(f"{'':<26}{'cold':>7}{'warm':>7}{'ratio':>7}{'again':>7}{'lines':>7}  a process a step")
    for row in found["contenders"]:
        again = "–" if row["unchanged"] is None else f"{row['unchanged']:.2f}"
        numbers = (
            f"{row['cold']:>7.2f}{row['warm']:>7.2f}{row['ratio']:>7.2f}{again:>7}{row['lines']:>7}"
        )
        say(f"{row['name']:<26}{numbers}  {'yes' if row['process_a_step'] else 'no'}")
    say("")
    say(
        "imports, seconds: "
        + " · ".join(f"{one['module']} {one['seconds']}" for one in found["imports"])
    )
    say("")
    say(f"a warm run of {found['run']['flow']}, seconds")
    for one in found["run"]["phases"]:
        say(f"  {one['phase']:<32}{one['seconds']:>6.2f}")


MEASUREMENTS = {"pipeline": of_pipeline, "image": of_image, "serving": of_serving}


def say(text: str) -> None:
    """One line."""
    print(text, file=sys.stderr, flush=True)


def _progress(name: str) -> None:
    say(f"measuring     {name}")


if __name__ == "__main__":
    sys.exit(run(main))
