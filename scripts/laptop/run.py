"""`./scripts/run`: from the working tree to an open release pull request, on this machine."""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from delivery import compiled, settings
from delivery.command import INTERRUPTED, run
from flows import config
from flows.errors import RetrainError
from laptop import provision, tree
from laptop.report import mark, released, standing
from laptop.watch import watched
from laptop.world import CLOUD, ENVIRONMENT, ROOT, client, told, world

CHECKOUTS = ROOT / "checkouts"
WORDS = {
    "proposed": "open",
    "held": "waits, since its review has begun or it was closed",
    "superseded": "has a newer candidate already",
}
SECOND = timedelta(seconds=1)
PATIENCE = 3.0  # seconds for a verb to end by itself
CANCEL = 60.0  # seconds for a verb that was told to end: it may have a job to cancel
KEPT = 3  # checkouts of earlier runs


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/run", description=__doc__)
    main.add_argument("flow", nargs="?", metavar="FLOW", help="(default: settings.toml's default_flow)")
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
    result |= {"seconds": round(time.monotonic() - start, 1)}
    finish(result)
    if arguments.json:
        print(json.dumps(result))
    return 1 if result["state"] == "failed" else 0


def retrained(flow: str) -> dict[str, Any]:
    """From the working tree to what came of its candidate."""
    taken = tree.take(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
    checkout = check_out(taken.commit)
    image = verb(checkout, "build", "--environment", ENVIRONMENT, "--push")
    say(
        "image", f"{image['group']}@{image['digest'][:13]}… · {'built' if image['new'] else 'unchanged'}"
    )
    return follow_release(flow, train(checkout, flow))


def enter_cloud() -> int:
    """Start the local cloud, unless it runs; its process."""
    status = client().up(world(), None)
    say("local cloud", f"127.0.0.1:{status['port']} · Google Cloud, AWS and GitHub in one process")
    return int(status["pid"])


def check_out(commit: str) -> Path:
    """A clean checkout of the commit, as a workflow gets it, with this clone's packages."""
    folder = CHECKOUTS / commit
    if not (folder / ".git" / "complete").exists():
        repository = tree.Tree(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
        remove(folder)
        folder.mkdir(parents=True)
        repository.clone(commit, folder)
        (folder / ".venv").symlink_to(settings.ROOT / ".venv")
        (folder / ".local").mkdir()
        compiled.FOLDER.mkdir(parents=True, exist_ok=True)
        (folder / compiled.FOLDER.relative_to(settings.ROOT)).symlink_to(compiled.FOLDER)
        (folder / ".git" / "complete").touch()
    os.utime(folder)
    for old in sorted(CHECKOUTS.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        remove(old)
    return folder


def remove(folder: Path) -> None:
    """Delete a folder, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def train(checkout: Path, flow: str) -> dict[str, Any]:
    """Submit the flow's pipeline and follow it to its end; each run is a trigger of its own."""
    trigger = next_trigger()
    arguments = ["--environment", ENVIRONMENT, "--trigger", trigger.isoformat(), "--wait"]
    before = mark()
    return verb(checkout, "submit", flow, *arguments) | {"before": before}


def next_trigger() -> datetime:
    """Now, to the second, which names the version: a later one than any run's before, also of another
    process, and where the clock was put back: an older candidate would change nothing.
    """
    with (CLOUD / "last-trigger").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = file.read()
        now = datetime.now(UTC).replace(microsecond=0)
        if last:
            now = max(now, datetime.fromisoformat(last) + SECOND)
        file.truncate(0)
        file.write(now.isoformat())
    ahead = now - datetime.now(UTC)
    if ahead <= SECOND:
        time.sleep(max(0.0, ahead.total_seconds()))
    return now


def verb(checkout: Path, name: str, *arguments: str) -> dict[str, Any]:
    """One verb in the checkout, its progress shown; returns the JSON that it prints last.

    Ends this program with the verb's exit code where it gave no answer; it has said why.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [f"./scripts/{name}", *arguments, "--json"],
            cwd=checkout,
            stdin=subprocess.DEVNULL,
            stdout=output,
            text=True,
        )
        watch(process)
        output.seek(0)
        lines = output.read().strip().splitlines()
    if process.returncode < 0:
        killed = f"./scripts/{name} was killed by {signal.Signals(-process.returncode).name}"
        raise RetrainError(killed, "call ./scripts/run again")
    if not lines:
        raise SystemExit(process.returncode or 1)
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def watch(process: "subprocess.Popen[str]") -> None:
    """Wait for `process`; end it where Ctrl-C or the end of the local cloud ends this one."""
    try:
        process.wait()
    except KeyboardInterrupt:
        stop(process)
        raise SystemExit(INTERRUPTED) from None
    finally:
        process.kill()
        process.wait()


def stop(process: "subprocess.Popen[str]") -> None:
    """End an interrupted verb: a terminal has interrupted it, too; whoever signals us alone has not."""
    if not ends(process, PATIENCE):
        process.send_signal(signal.SIGINT)
    if not ends(process, CANCEL):
        process.kill()
        process.wait()


def ends(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Whether it ends within `seconds`."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=seconds)
    return process.returncode is not None


def follow_release(flow: str, job: dict[str, Any]) -> dict[str, Any]:
    """The contract's object: the job, its model, and the pull request that came of it."""
    common = {
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
    if job["state"] != "SUCCEEDED":
        show_failure(job)
        return common | {"state": "failed"}
    if not common["verdict"]["passed"]:
        return common | {"state": "rejected"}
    if job["release"] == "unchanged":
        return common | {"state": "unchanged"}
    found = released(flow, job["version"], job["before"])
    if found["state"] == "failed":
        number = found.pop("run")
        logs = f"release-pr · ./scripts/localcloud logs run-{number}"
        say(
            "failed",
            logs if number else f"release-pr ended well, but no pull request names {job['version']}",
        )
    return common | found


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
    elif result["pull_request"]:
        number = result["pull_request"]["number"]
        say("release", f"pull request #{number}, {WORDS[state]} · ./scripts/localcloud pr {number}")
    if state in ("rejected", "unchanged") and (number := standing(result["flow"])):
        say("release", f"pull request #{number} stays as it is · ./scripts/localcloud pr {number}")
    say("total", f"{result['seconds']:.1f} s")


def say(what: str, text: str) -> None:
    """One line of progress."""
    print(f"{what:<14}{text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
