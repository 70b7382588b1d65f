"""A workflow's button on the local GitHub: pressed, and its run watched to its end."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from laptop.report import repository
from laptop.world import CLOUD

PERIOD = 0.15  # seconds between two looks at a run
CALL = 30  # seconds that a call may take
SECOND = "%Y-%m-%dT%H:%M:%S"


def press(workflow: str, inputs: dict[str, str]) -> Any:
    """A new run of `workflow` at main, as PyGithub has it."""
    where = repository()
    body = {"ref": "main", "inputs": inputs, "return_run_details": True}
    with _a_second_of_its_own():
        _, answer = where.requester.requestJsonAndCheck(
            "POST", f"{where.url}/actions/workflows/{workflow}/dispatches", input=body
        )
    return where.get_workflow_run(answer["workflow_run_id"])


@contextmanager
def _a_second_of_its_own() -> Iterator[None]:
    """Two runs that one second made would be one trigger, and so one pipeline job."""
    with (CLOUD / "last-trigger").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last, now = file.read(), datetime.now(UTC)
        if last == now.strftime(SECOND):
            time.sleep(1 - now.microsecond / 1e6)
        yield
        file.truncate(0)
        file.write(datetime.now(UTC).strftime(SECOND))


def ended_jobs(run: Any) -> Iterator[Any]:
    """Each job of `run` as it ends, until the run has ended. Ctrl-C meanwhile cancels the run."""
    seen = set[int]()
    try:
        while True:
            run.update()  # before the jobs: what is complete then, has all its jobs
            for job in [job for job in run.jobs() if job.status == "completed" and job.id not in seen]:
                seen.add(job.id)
                yield job
            if run.status == "completed":
                return
            time.sleep(PERIOD)
    except KeyboardInterrupt:
        run.cancel()
        raise


def log(job: Any) -> list[str]:
    """The lines of an ended job's log, without their times."""
    import requests

    headers = {"Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}"}
    answer = requests.get(f"{job.url}/logs", headers=headers, timeout=CALL)
    answer.raise_for_status()
    return [line.partition(" ")[2] for line in answer.text.splitlines()]
