"""Pipeline jobs: no worker runs without a record, and of two ends the first one stands."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.pipelines import Pipelines
from localcloud.registry import Registry
from localcloud.rpc import Caller
from tests.localcloud.served import new_cloud

PARENT = "projects/123456789012/locations/europe-west1"
NAME = f"{PARENT}/pipelineJobs/one"
SPEC = {"pipelineInfo": {"name": "p"}, "root": {"dag": {"tasks": {}}}, "deploymentSpec": {}}
State = types.PipelineState


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = new_cloud(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def pipelines(cloud: Cloud) -> Iterator[Pipelines]:
    made = Pipelines(cloud, Registry(cloud))
    yield made
    made.close()


def test_a_job_whose_record_cannot_be_written_does_not_run(
    cloud: Cloud, pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    put = cloud.store.put

    def full(kind: str, key: str, value: dict[str, Any]) -> None:
        if kind == "pipeline-job":
            started.append(pipelines._running[key])
            raise OSError("the disk is full")
        put(kind, key, value)

    monkeypatch.setattr(cloud.store, "put", full)
    job = types.PipelineJob(
        pipeline_spec=SPEC, runtime_config={"gcs_output_directory": "gs://runs/root"}
    )
    request = types.CreatePipelineJobRequest(parent=PARENT, pipeline_job=job, pipeline_job_id="one")
    with pytest.raises(OSError, match="the disk is full"):
        pipelines.create_pipeline_job(request, Caller(cloud.world.owner, ""))
    assert [worker.ended for worker in started] == [True]
    assert not pipelines._running


class Ending:
    """A worker that ends well in the moment in which it is killed."""

    ended = False

    def __init__(self, folder: Path) -> None:
        self._events = folder / "events.jsonl"

    def kill(self) -> int:
        told = {"event": "job", "state": "SUCCEEDED", "t": "2026-01-01T00:00:00+00:00"}
        self._events.write_text(json.dumps(told) + "\n")
        return 0


def test_a_job_that_ended_before_it_was_cancelled_has_not_been_cancelled(
    cloud: Cloud, pipelines: Pipelines
) -> None:
    job = types.PipelineJob(name=NAME, state=State.PIPELINE_STATE_RUNNING)
    pipelines._save(job)
    pipelines.folder(NAME).mkdir(parents=True)
    worker: Any = Ending(pipelines.folder(NAME))
    pipelines._running[NAME] = worker
    owner = Caller(cloud.world.owner, "")
    pipelines.cancel_pipeline_job(types.CancelPipelineJobRequest(name=NAME), owner)
    found = pipelines.get_pipeline_job(types.GetPipelineJobRequest(name=NAME), owner)
    assert found.state == State.PIPELINE_STATE_SUCCEEDED
    assert (found.end_time.year, found.update_time) == (2026, found.end_time)
