"""Ctrl-C: whoever stops a run stops its pipeline job, whenever it comes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from delivery.command import INTERRUPTED
from tests.faults.worlds import FLOW, LIMIT, World, template

pytestmark = pytest.mark.slow
CREATE, GET = "aiplatform.CreatePipelineJob", "aiplatform.GetPipelineJob"
STATES = """
from google.cloud.aiplatform_v1 import PipelineServiceClient
endpoint = {"api_endpoint": "europe-west1-aiplatform.googleapis.com"}
jobs = PipelineServiceClient(client_options=endpoint)
parent = f"projects/{os.environ['GOOGLE_CLOUD_PROJECT']}/locations/europe-west1"
answer = [job.state.name for job in jobs.list_pipeline_jobs(parent=parent)]
"""
# The job is there, and its client waits for an answer: of its creation (a second fault counts from
# where the first one was met), of its first look.
# A terminal interrupts all that it has started, a person who knows a number that one alone.
MOMENTS = [
    ([(CREATE, "lose-reply", 1), (CREATE, "hang", 1)], "run-*", os.killpg),
    ([(GET, "hang", 2)], "owner", os.kill),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A clone in which nothing has run yet."""
    made = template().copy(tmp_path_factory.mktemp("interrupted") / "world")
    made.start()
    yield made
    made.remove()


@pytest.mark.parametrize(("faults", "caller", "kill"), MOMENTS)
def test_ctrl_c_cancels_the_job(
    world: World, faults: list[tuple[str, str, int]], caller: str, kill: Callable[[int, int], None]
) -> None:
    world.cloud.ask("DELETE", "/faults")
    world.arm("bigquery.jobs.insert", "hang", 1, "job-*")  # the job cannot end by itself
    for method, action, nth in faults:
        world.arm(method, action, nth, caller)
    before = len(states(world))
    process = subprocess.Popen(
        # What a shell starts in the background ignores the signal, and so do these tests there.
        ["env", "--default-signal=INT", "./scripts/run", FLOW],
        cwd=world.folder,
        env=world.base,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not all(hit(world, fault[0]) for fault in faults):
        time.sleep(0.05)
    kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == INTERRUPTED, said
    assert "cancelled     linnerud-v" in said
    assert "Traceback" not in said
    assert states(world) == ["PIPELINE_STATE_CANCELLED"] * (before + 1)


def states(world: World) -> list[str]:
    """Of all its jobs."""
    return list(world.program(STATES))


def hit(world: World, method: str) -> bool:
    """Whether all of the method's faults have met their call."""
    found = world.cloud.ask("GET", "/faults")["faults"]
    return all(one["hit"] for one in found if one["method"] == method)
