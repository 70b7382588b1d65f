"""A workflow's button on the local GitHub: pressed, and its run watched to its end."""

import os
import time
from collections.abc import Iterator
from typing import Any

from laptop.report import repository

PERIOD = 0.15  # seconds between two looks at a run
CALL = 30  # seconds that a call may take


def press(workflow: str, inputs: dict[str, str]) -> Any:
    """A new run of `workflow` at main, as PyGithub has it."""
    where = repository()
    body = {"ref": "main", "inputs": inputs, "return_run_details": True}
    address = f"{where.url}/actions/workflows/{workflow}/dispatches"
    _, answer = where.requester.requestJsonAndCheck("POST", address, input=body)
    return where.get_workflow_run(answer["workflow_run_id"])


def ended_jobs(run: Any) -> Iterator[Any]:
    """Each job of `run` as it ends, until the run has ended."""
    for ended in looks(run):
        yield from ended
        if run.status != "completed":
            time.sleep(PERIOD)


def looks(run: Any) -> Iterator[list[Any]]:
    """At each look at `run`, its jobs that have ended since the one before; the last is at its end."""
    seen = set[int]()
    while True:
        run.update()  # before the jobs: what is complete then, has all its jobs
        ended = [job for job in run.jobs() if job.status == "completed" and job.id not in seen]
        seen |= {job.id for job in ended}
        yield ended
        if run.status == "completed":
            return


def log(job: Any) -> list[str]:
    """The lines of an ended job's log, without their times."""
    import requests

    headers = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}"}
    answer = requests.get(f"{job.url}/logs", headers=headers, timeout=CALL)
    answer.raise_for_status()
    return [line.partition(" ")[2] for line in answer.text.splitlines()]
