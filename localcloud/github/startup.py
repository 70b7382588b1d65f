"""Start-up: what in a workflow file keeps GitHub from starting a run of it."""

import re
from collections.abc import Iterator
from typing import Any

from localcloud.github import permissions
from localcloud.github.events_known import faults as event_faults
from localcloud.github.workflows import Workflow

TOP = ["name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs", "description"]
BOTH = ["name", "needs", "if", "permissions", "concurrency", "strategy"]
CALL = [*BOTH, "uses", "with", "secrets"]
JOB = [
    *BOTH,
    *[
        "runs-on",
        "environment",
        "outputs",
        "env",
        "defaults",
        "steps",
        "timeout-minutes",
        "cancel-timeout-minutes",
    ],
    *["continue-on-error", "container", "services", "snapshot"],
]
STEP = [
    "id",
    "if",
    "name",
    "uses",
    "run",
    "working-directory",
    "shell",
    "with",
    "env",
    "continue-on-error",
    "timeout-minutes",
]
RUN_ONLY, USES_ONLY = ("working-directory", "shell"), ("with",)
ACTION = re.compile(r"(\./|docker://|\$/).*|[\w.-]+/[\w.-]+(/[^@]+)?@.+")
IDENTIFIER = re.compile(r"[A-Za-z_][\w-]*")
QUEUES = ("single", "max")
LABELS = {
    *("ubuntu-latest", "ubuntu-26.04", "ubuntu-24.04", "ubuntu-22.04", "ubuntu-slim", "self-hosted"),
    *("ubuntu-26.04-arm", "ubuntu-24.04-arm", "ubuntu-22.04-arm", "linux", "x64", "arm64"),
}


def faults(workflow: Workflow) -> list[str]:
    """Why GitHub refuses the file, each naming its job; none: it does not."""
    content = workflow.content
    found = [*_unexpected(content, TOP), *permissions.faults(content.get("permissions"))]
    found += [*event_faults(workflow), *_concurrency(content.get("concurrency"))]
    jobs = content.get("jobs")
    if not isinstance(jobs, dict) or not jobs:
        return [*found, "No jobs defined in `jobs`"]
    for name, job in jobs.items():
        found += [f"job '{name}': {fault}" for fault in _job(str(name), job)]
    return [*found, *_needs(workflow)]


def unknown_labels(workflow: Workflow) -> Iterator[str]:
    """The jobs that no runner would ever take; GitHub lets them wait for a day."""
    for name, job in workflow.each_job():
        for label in _labels(job.get("runs-on")):
            if "${{" not in label and label.lower() not in LABELS:
                known = ", ".join(sorted(LABELS))
                yield f"job '{name}': no runner has the label '{label}'; known here: {known}"


def _labels(given: Any) -> list[str]:
    labels = given.get("labels", []) if isinstance(given, dict) else given
    return [str(one) for one in (labels if isinstance(labels, list) else [labels]) if one is not None]


def _unexpected(table: dict[Any, Any], known: list[str]) -> Iterator[str]:
    for key in table:
        if key not in known:
            yield f"Unexpected value '{key}'"


def _concurrency(given: Any) -> Iterator[str]:
    if not isinstance(given, dict):
        return
    yield from _unexpected(given, ["group", "cancel-in-progress", "queue"])
    if not given.get("group"):
        yield "Required property is missing: group (in concurrency)"
    if given.get("queue", "single") not in QUEUES:
        yield f"Unexpected value '{given['queue']}' in concurrency: queue is 'single' or 'max'"
    if given.get("queue") == "max" and given.get("cancel-in-progress") is True:
        yield "concurrency: `queue: max` does not go with `cancel-in-progress: true`"


def _job(name: str, job: Any) -> Iterator[str]:
    if not IDENTIFIER.fullmatch(name):
        yield "a job's name starts with a letter or _ and holds only letters, digits, - and _"
    if not isinstance(job, dict):
        yield "Expected a mapping"
        return
    yield from _unexpected(job, CALL if "uses" in job else JOB)
    yield from permissions.faults(job.get("permissions"))
    yield from _concurrency(job.get("concurrency"))
    for key in ("with", "secrets", "env", "outputs"):
        if not (isinstance(job.get(key, {}), dict) or (key, job[key]) == ("secrets", "inherit")):
            yield f"Expected a mapping for {key}"
    if "uses" not in job:
        yield from _work(job)


def _work(job: dict[str, Any]) -> Iterator[str]:
    if not _labels(job.get("runs-on")) and not isinstance(job.get("runs-on"), dict):
        yield "Required property is missing: runs-on"
    steps = job.get("steps")
    if not isinstance(steps, list) or not steps:
        yield "No steps defined in `steps` and no workflow called in `uses`"
        return
    for number, step in enumerate(steps, 1):
        yield from (f"step {number}: {fault}" for fault in _step(step))
    named = [str(step["id"]) for step in steps if isinstance(step, dict) and "id" in step]
    for one in sorted({one for one in named if named.count(one) > 1}):
        yield f"The identifier '{one}' may not be used more than once"


def _step(step: Any) -> Iterator[str]:
    if not isinstance(step, dict):
        yield "Expected a mapping"
        return
    yield from _unexpected(step, STEP)
    if ("uses" in step) is ("run" in step):
        yield "Required property is missing: exactly one of run and uses"
    others = RUN_ONLY if "uses" in step else USES_ONLY
    yield from (f"Unexpected value '{key}'" for key in others if key in step)
    if "uses" in step and not ACTION.fullmatch(str(step["uses"])):
        yield f"Expected format {{org}}/{{repo}}[/path]@ref. Actual '{step['uses']}'"


def needs(job: dict[str, Any]) -> list[str]:
    """The jobs that a job waits for."""
    given = job.get("needs") or []
    return [str(one) for one in (given if isinstance(given, list) else [given])]


def _needs(workflow: Workflow) -> Iterator[str]:
    jobs = dict(workflow.each_job())
    unknown = [(job, need) for job in jobs for need in needs(jobs[job]) if need not in jobs]
    yield from (f"Job '{job}' depends on unknown job '{need}'." for job, need in unknown)
    left = {job: set(needs(jobs[job])) & jobs.keys() for job in jobs}
    while free := [job for job, waits in left.items() if not waits & left.keys()]:
        for job in free:
            del left[job]
    for job, waits in left.items():
        for need in sorted(waits & left.keys()):
            yield f"Job '{job}' depends on job '{need}' which creates a cycle in the dependency graph."
