"""What came of a flow's candidate: the contract's object, and the lines that say it."""

import os
from typing import Any

from delivery.work import Work
from laptop.report import released, standing
from laptop.shown import say
from laptop.world import ENVIRONMENT

WORDS = {
    "proposed": "open",
    "held": "waits, since its review has begun or it was closed",
    "superseded": "has a newer candidate already",
}


def followed(flow: str, job: dict[str, Any]) -> Work[dict[str, Any]]:
    """The contract's object: the ended job, its model, and the pull request that came of it."""
    told = common(flow, job)
    if job["state"] != "SUCCEEDED":
        show_failure(job)
        return told | {"state": "failed"}
    if not told["verdict"]["passed"]:
        return told | {"state": "rejected"}
    if job["release"] == "unchanged":
        return told | {"state": "unchanged"}
    found = yield from released(flow, job["version"], job["before"])
    if found["state"] == "failed":
        number = found.pop("run")
        logs = f"release-pr · ./scripts/localcloud logs run-{number}"
        none = f"release-pr ended well, but no pull request names {job['version']}"
        say("failed", logs if number else none)
    return told | found


def failed(flow: str, commit: str | None) -> dict[str, Any]:
    """The contract's object where no pipeline job was started."""
    none: dict[str, Any] = {
        "image": None,
        "pipeline_job": None,
        "steps": [],
        "metrics": {},
        "verdict": {},
    }
    return common(flow, {"commit": commit, **none, "manifest": None}) | {"state": "failed"}


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
    """The last lines of a flow: what came of it, and what to do next."""
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
