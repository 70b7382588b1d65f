"""`./scripts/run`: from the working tree to an open release pull request, or on, on this machine."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from delivery import compiled, follow, settings
from delivery.command import run as command
from delivery.jobs import Jobs
from delivery.submit import cancelling, refuse_another_gate
from delivery.work import Work, alone
from flows import config
from flows.errors import InputError, RetrainError, explained
from laptop import packages, provision, release, samples, tree
from laptop.button import ended_jobs, log, press
from laptop.candidate import failed, finish, followed
from laptop.report import Mark, mark
from laptop.shown import SCREEN, say, show_failed
from laptop.together import together
from laptop.watch import watched
from laptop.world import ENVIRONMENT, client, local_environment, told, world
from laptop.world import ROOT as LOCAL

TRAIN = "train.yml"
Result = dict[str, Any]  # the contract's object


@dataclass(frozen=True)
class Started:
    """What one press of the button has started.

    `running`: the pipeline jobs that have not been seen to end, by flow. `before`: what there was
    before it.
    """

    commit: str
    before: Mark
    jobs: Jobs
    running: dict[str, str]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/run", description=__doc__)
    which = main.add_mutually_exclusive_group()
    by_default = "(default: settings.toml's default_flow)"
    which.add_argument("flow", nargs="?", metavar="FLOW", type=config.existing, help=by_default)
    which.add_argument("--all", action="store_true", help="every flow, all at the same time")
    main.add_argument("--release", action="store_true", help="merge it, wait for the roll-out, and ask")
    main.add_argument("--overrides", default="", help="for this run: train.factors=16 data.days=30")
    main.add_argument(
        "--json", action="store_true", help="print one JSON object last on standard output"
    )
    return main


def main(argv: list[str]) -> int:
    """The main job; exit code 0 also where the gate says no."""
    start = time.monotonic()
    arguments = parser().parse_args(argv)
    flows, wrong = wanted(arguments)
    packages.needed(flows)
    with told(), watched(enter_cloud()):
        provision.enter()
        samples.needed(flows)
        started = begin(flows, arguments.overrides)
        with cancelling(started.jobs, started.running.values()):
            done = several if arguments.all else single
            results = done(started, flows, arguments.release, start)
    seconds = round(time.monotonic() - start, 1)
    unasked = release.NONE if arguments.release else {}
    results |= {flow: failed(flow, started.commit) | unasked | {"seconds": seconds} for flow in wrong}
    states = {flow: result["state"] for flow, result in sorted(results.items())}
    ends = [f"{seconds:.1f} s", *(f"{flow} {state}" for flow, state in states.items() if arguments.all)]
    say("total", " · ".join(ends))
    if arguments.json:
        whole = {"flows": [results[flow] for flow in states], "states": states, "seconds": seconds}
        print(json.dumps(whole if arguments.all else results[flows[0]]))
    codes = (error.exit_code for error in wrong.values())
    return max(*codes, 1 if "failed" in states.values() else 0, 0)


def wanted(arguments: argparse.Namespace) -> tuple[list[str], Mapping[str, RetrainError]]:
    """The flows that are meant, and what is wrong with those that cannot be read; InputError for one."""
    if not arguments.all:
        name = arguments.flow or settings.load().flow_by_default(config.names())
        flow = config.load(name, assignments=arguments.overrides)
        refuse_another_gate(flow, local_environment())
        return [name], {}
    if arguments.overrides:
        raise InputError("--overrides is for one flow: each has its own options", "name that flow")
    return readable()


def readable() -> tuple[list[str], Mapping[str, RetrainError]]:
    """All flows that can be read, and what is wrong with each of the others, which is said.

    Raises InputError where there is none to train.
    """
    wrong = dict[str, RetrainError]()
    for name in config.names():
        try:
            config.load(name)
        except Exception as error:  # its config.py is the flow's own code
            known = RetrainError(f"flow {name}: {type(error).__name__}: {error}")
            wrong[name] = error if isinstance(error, RetrainError) else known
            print(f"error: {wrong[name]}", file=sys.stderr, flush=True)
    flows = [name for name in config.names() if name not in wrong]
    if not flows:
        raise InputError("there is no flow that can be trained", "mend what is said above")
    return flows, wrong


def begin(flows: list[str], overrides: str) -> Started:
    """Take the working tree to main, and press the button there. Ctrl-C cancels what it starts."""
    taken = tree.take(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
    if taken.pushed:
        what = f"{', '.join(taken.pushed)}, pushed to it, is not in your working tree, which it has now"
        print(f"local main    {what}", file=sys.stderr, flush=True)
    seed(taken.commit)
    before = mark()
    inputs = {"flow": " ".join(flows), "environment": ENVIRONMENT, "overrides": overrides}
    run = press(TRAIN, inputs)
    return Started(taken.commit, before, *submitted(run, flows))


def seed(commit: str) -> None:
    """What the workflows' jobs find in their caches: this clone's packages and compiled pipelines."""
    compiled.FOLDER.mkdir(parents=True, exist_ok=True)
    stamp = (settings.ROOT / ".venv" / "retrain-stamp").read_text().strip()
    kept = {
        f"retrain-Linux-{stamp}": [settings.ROOT / ".venv", *LOCAL.glob("poetry-*")],
        f"pipelines-Linux-{commit}": [compiled.FOLDER],
    }
    for key, places in kept.items():
        paths = {str(place.relative_to(settings.ROOT)): str(place) for place in places}
        client().ask("PUT", "/caches", {"key": key, "paths": paths})


def submitted(run: Any, flows: list[str]) -> tuple[Jobs, dict[str, str]]:
    """The pipeline jobs that a run of the training workflow has started, by flow."""
    broken = set[str]()
    with cancelled(run):
        jobs = Jobs(local_environment())  # takes half a second, while the workflow works
        for job in ended_jobs(run):
            if job.conclusion == "failure":
                show_failed(run, job)
            elif job.name == "image":
                say_image(job)
            if job.conclusion != "success":
                broken.add(job.name.rpartition(" ")[2])  # the matrix's flow
    names = {flow: name for flow, name in sorted(jobs.of_run(run.id).items()) if flow not in broken}
    for name in names.values():
        say("pipeline", name.rsplit("/", 1)[1])
    if set(flows) - set(names):
        what = "started no pipeline job" if run.conclusion == "success" else run.conclusion
        say("failed", f"{TRAIN}: {what} · ./scripts/localcloud logs run-{run.id}")
    return jobs, names


@contextmanager
def cancelled(run: Any) -> Iterator[None]:
    """Ctrl-C cancels the workflow's run, and the pipeline jobs that it may have started by then."""
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave them running
        run.cancel()
        say("cancelled", f"{TRAIN} · run-{run.id}")
        for _ in ended_jobs(run):
            pass
        jobs = Jobs(local_environment())
        with cancelling(jobs, jobs.of_run(run.id).values()):
            raise


def single(started: Started, flows: list[str], is_released: bool, start: float) -> dict[str, Result]:
    """What came of the one flow. Raises whatever goes wrong with it."""
    result = alone(candidate(started, flows[0]))
    if is_released:
        result = alone(release.roll_out(result))
    finish(result)
    return {flows[0]: result | {"seconds": round(time.monotonic() - start, 1)}}


def several(started: Started, flows: list[str], is_released: bool, start: float) -> dict[str, Result]:
    """What came of each flow, all at the same time; what goes wrong with one is its own."""
    unasked = release.NONE if is_released else {}
    results = {flow: failed(flow, started.commit) | unasked for flow in flows}

    def course(flow: str) -> Work[None]:
        try:
            results[flow] = yield from candidate(started, flow)
            if is_released:
                results[flow] |= release.NONE
                results[flow] = yield from release.roll_out(results[flow])
            finish(results[flow])
        except Exception as error:
            known = error if isinstance(error, RetrainError) else explained(error)
            if known is None:
                raise
            SCREEN.say(f"error: {known}")
            results[flow]["state"] = "failed"
        results[flow]["seconds"] = round(time.monotonic() - start, 1)

    together({flow: course(flow) for flow in flows})
    return results


def candidate(started: Started, flow: str) -> Work[Result]:
    """What came of a flow's candidate, up to its pull request."""
    name = started.running.get(flow)
    if name is None:
        return failed(flow, started.commit)
    outcome = yield from follow.watch(started.jobs, name, SCREEN)
    del started.running[flow]
    job = started.jobs.find(name)
    values = dict(job.runtime_config.parameter_values) if job else {}
    given = {key: values.get(key) for key in ("version", "commit", "image")}
    ended = {**given, "pipeline_job": name, "before": started.before, **asdict(outcome)}
    return (yield from followed(flow, ended))


def say_image(job: Any) -> None:
    """The lines that the build printed."""
    for line in log(job):
        if line.startswith("image  "):
            SCREEN.say(line)


def enter_cloud() -> int:
    """Start the local cloud, unless it runs; its process."""
    status = client().up(world(), None)
    say("local cloud", f"127.0.0.1:{status['port']} · Google Cloud, AWS and GitHub in one process")
    return int(status["pid"])


if __name__ == "__main__":
    sys.exit(command(main))
