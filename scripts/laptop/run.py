"""`./scripts/run`: from the working tree to an open release pull request, or on, on this machine."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from delivery import compiled, follow, settings
from delivery.command import run as command
from delivery.jobs import Jobs
from delivery.submit import cancelling
from flows import config
from laptop import provision, release, tree
from laptop.button import ended_jobs, log, press
from laptop.report import mark, released, standing
from laptop.shown import say, show_failed
from laptop.watch import watched
from laptop.world import ENVIRONMENT, client, local_environment, told, world
from laptop.world import ROOT as LOCAL

TRAIN = "train.yml"
WORDS = {
    "proposed": "open",
    "held": "waits, since its review has begun or it was closed",
    "superseded": "has a newer candidate already",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/run", description=__doc__)
    main.add_argument("flow", nargs="?", metavar="FLOW", help="(default: settings.toml's default_flow)")
    main.add_argument("--release", action="store_true", help="merge it, wait for the roll-out, and ask")
    main.add_argument(
        "--json", action="store_true", help="print one JSON object last on standard output"
    )
    return main


def main(argv: list[str]) -> int:
    """The main job; exit code 0 also where the gate says no."""
    start = time.monotonic()
    arguments = parser().parse_args(argv)
    flow = config.load(arguments.flow or settings.load().flow_by_default(config.names())).name
    with told(), watched(enter_cloud()):
        provision.enter()
        result = retrained(flow)
        if arguments.release:
            result = release.roll_out(result)
    result |= {"seconds": round(time.monotonic() - start, 1)}
    finish(result)
    if arguments.json:
        print(json.dumps(result))
    return 1 if result["state"] == "failed" else 0


def retrained(flow: str) -> dict[str, Any]:
    """From the working tree to what came of its candidate."""
    taken = tree.take(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
    if taken.pushed:
        what = f"{', '.join(taken.pushed)}, pushed to it, is not in your working tree, which it has now"
        print(f"local main    {what}", file=sys.stderr, flush=True)
    seed(taken.commit)
    before = mark()
    run = press(TRAIN, {"flow": flow, "environment": ENVIRONMENT})
    started = submitted(run)
    if started is None:
        return failed(flow, taken.commit)
    return follow_release(flow, follow_job(*started) | {"before": before})


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


def submitted(run: Any) -> tuple[Jobs, str] | None:
    """The pipeline job that a run of the training workflow has started; None where it has failed."""
    with cancelled(run):
        jobs = Jobs(local_environment())  # takes half a second, while the workflow works
        for job in ended_jobs(run):
            if job.conclusion == "failure":
                show_failed(run, job)
            elif job.name == "image":
                say_image(job)
    name = jobs.of_run(run.id)
    if run.conclusion != "success" or name is None:
        what = "started no pipeline job" if run.conclusion == "success" else run.conclusion
        say("failed", f"{TRAIN}: {what} · ./scripts/localcloud logs run-{run.id}")
        return None
    say("pipeline", name.rsplit("/", 1)[1])
    return jobs, name


@contextmanager
def cancelled(run: Any) -> Iterator[None]:
    """Ctrl-C cancels the workflow's run, and the pipeline job that it may have started by then."""
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave them running
        run.cancel()
        for _ in ended_jobs(run):
            pass
        jobs = Jobs(local_environment())
        if name := jobs.of_run(run.id):
            with cancelling(jobs, name):
                raise
        raise


def follow_job(jobs: Jobs, name: str) -> dict[str, Any]:
    """What the pipeline job says at its end, and what it was started with. Ctrl-C cancels it."""
    with cancelling(jobs, name):
        outcome = follow.follow(jobs, name)
    values = dict(job.runtime_config.parameter_values) if (job := jobs.find(name)) else {}
    given = {key: values.get(key) for key in ("version", "commit", "image")}
    return {**given, "pipeline_job": name, **asdict(outcome)}


def say_image(job: Any) -> None:
    """The line that the build printed."""
    for line in log(job):
        if line.startswith("image  "):
            print(line, file=sys.stderr, flush=True)


def failed(flow: str, commit: str) -> dict[str, Any]:
    """The contract's object where no pipeline job was started."""
    none: dict[str, Any] = {
        "image": None,
        "pipeline_job": None,
        "steps": [],
        "metrics": {},
        "verdict": {},
    }
    return common(flow, {"commit": commit, **none, "manifest": None}) | {"state": "failed"}


def enter_cloud() -> int:
    """Start the local cloud, unless it runs; its process."""
    status = client().up(world(), None)
    say("local cloud", f"127.0.0.1:{status['port']} · Google Cloud, AWS and GitHub in one process")
    return int(status["pid"])


def common(flow: str, job: dict[str, Any]) -> dict[str, Any]:
    """What the contract's object has whatever came of the job."""
    return {
        "repository": os.environ["GITHUB_REPOSITORY"],
        "flow": flow,
        "environment": ENVIRONMENT,
        **{key: job[key] for key in ("commit", "image", "pipeline_job")},
        "steps": [
            {key: step[key] for key in ("name", "state", "seconds", "cached")} for step in job["steps"]
        ],
        "metrics": job["metrics"],
        "verdict": {"passed": False, "reasons": [], **job["verdict"]},
        "model": model(job),
        "pull_request": None,
    }


def follow_release(flow: str, job: dict[str, Any]) -> dict[str, Any]:
    """The contract's object: the job, its model, and the pull request that came of it."""
    told = common(flow, job)
    if job["state"] != "SUCCEEDED":
        show_failure(job)
        return told | {"state": "failed"}
    if not told["verdict"]["passed"]:
        return told | {"state": "rejected"}
    if job["release"] == "unchanged":
        return told | {"state": "unchanged"}
    found = released(flow, job["version"], job["before"])
    if found["state"] == "failed":
        number = found.pop("run")
        logs = f"release-pr · ./scripts/localcloud logs run-{number}"
        say(
            "failed",
            logs if number else f"release-pr ended well, but no pull request names {job['version']}",
        )
    return told | found


def model(job: dict[str, Any]) -> dict[str, str] | None:
    """The model version that the job uploaded."""
    if not job["manifest"]:
        return None
    return {"version": job["version"], "uri": job["manifest"], "sha256": job["sha256"]}


def show_failure(job: dict[str, Any]) -> None:
    """Where a failed step's whole log is."""
    failed = [step["name"] for step in job["steps"] if step["state"] == "FAILED"]
    name = job["pipeline_job"].rsplit("/", 1)[1]
    for step in failed:
        say("failed", f"{step} · ./scripts/localcloud logs {name}/{step.replace('_', '-')}")
    if not failed:
        say("failed", job["error"])


def finish(result: dict[str, Any]) -> None:
    """The last lines: what came of it, the time, and what to do next."""
    state = result["state"]
    if state == "rejected":
        say("gate", "no: " + "; ".join(result["verdict"]["reasons"]))
    elif state == "unchanged":
        say("release", "none: these are the champion's very bytes")
    elif result["pull_request"] and state in WORDS:
        number = result["pull_request"]["number"]
        say("release", f"pull request #{number}, {WORDS[state]} · ./scripts/localcloud pr {number}")
    if state in ("rejected", "unchanged") and (number := standing(result["flow"])):
        say("release", f"pull request #{number} stays as it is · ./scripts/localcloud pr {number}")
    say("total", f"{result['seconds']:.1f} s")


if __name__ == "__main__":
    sys.exit(command(main))
