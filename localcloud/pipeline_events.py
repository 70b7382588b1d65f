"""What a worker tells of its job, one JSON line an event, and how a PipelineJob shows it."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from google.cloud.aiplatform_v1 import types
from google.rpc import status_pb2

from localcloud.cloud_logging import custom_job
from localcloud.errors import CODES

State = types.PipelineState
Task: TypeAlias = types.PipelineTaskDetail
TASK_STATES = {
    "RUNNING": Task.State.RUNNING,
    "SUCCEEDED": Task.State.SUCCEEDED,
    "FAILED": Task.State.FAILED,
    "SKIPPED": Task.State.SKIPPED,
    "CANCELLED": Task.State.CANCELLED,
}

Execution: TypeAlias = types.Execution.State
EXECUTION_STATES = {
    "SUCCEEDED": Execution.COMPLETE,
    "FAILED": Execution.FAILED,
    "SKIPPED": Execution.CACHED,
}


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events so far, oldest first; a line that is being written is left for next time."""
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [event for event in map(_event, lines) if event]


def _event(line: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def apply_events(job: types.PipelineJob, events: list[dict[str, Any]]) -> None:
    """Write the events into the job: task details, state, end and error; the first end is the end."""
    tasks: dict[str, Task] = {}
    ends = [number for number, event in enumerate(events, 1) if event["event"] == "job"]
    events = events[: ends[0]] if ends else events
    for event in events:
        if event["event"] == "job":
            _end_job(job, event, list(tasks.values()))
        else:
            _update(tasks, event, job.name)
    job.job_detail = types.PipelineJobDetail(task_details=list(tasks.values()))
    if events:
        job.update_time = datetime.fromisoformat(events[-1]["t"])


def _update(tasks: dict[str, Task], event: dict[str, Any], job: str) -> None:
    name, time = event["task"], datetime.fromisoformat(event["t"])
    if event["event"] == "start":
        tasks[name] = Task(
            task_id=len(tasks) + 1,
            task_name=name,
            create_time=time,
            start_time=time,
            state=Task.State.RUNNING,
            executor_detail=_executor(name, job),
        )
        return
    task = tasks[name]
    task.end_time, task.state = time, TASK_STATES[event["state"]]
    if event["state"] == "SKIPPED":
        task.executor_detail = None  # nothing ran
    store = f"{job.rpartition('/pipelineJobs/')[0]}/metadataStores/default"
    found = event.get("artifacts", {})
    task.outputs = {key: _artifacts(value, store) for key, value in found.items()}
    task.execution = _execution(name, event)
    if event["state"] == "FAILED":
        task.error = status_pb2.Status(code=CODES["INTERNAL"][0], message=event.get("error", ""))


def _executor(task: str, job: str) -> types.PipelineTaskExecutorDetail:
    """Vertex AI runs a task as a custom job, under whose number its log is."""
    parent, job_id = job.split("/pipelineJobs/")
    container = types.PipelineTaskExecutorDetail.ContainerDetail(
        main_job=f"{parent}/customJobs/{custom_job(job_id, task)}"
    )
    return types.PipelineTaskExecutorDetail(container_detail=container)


def _artifacts(found: list[dict[str, Any]], store: str) -> Any:
    """An artifact is known by its address: no two executions write to the same one."""
    artifacts = [
        types.Artifact(
            name=f"{store}/artifacts/{uuid5(NAMESPACE_URL, a['uri']).int >> 65}",
            display_name=a["name"],
            uri=a["uri"],
            schema_title=a["type"],
            metadata=a["metadata"],
            state=types.Artifact.State.LIVE,
        )
        for a in found
    ]
    return Task.ArtifactList(artifacts=artifacts)


def _execution(name: str, event: dict[str, Any]) -> types.Execution:
    """Vertex AI shows a task's parameters as `input:NAME` and `output:NAME` of its execution."""
    metadata = {f"input:{k}": v for k, v in event.get("inputs", {}).items()}
    metadata |= {f"output:{k}": v for k, v in event.get("parameters", {}).items()}
    cached = event["state"] == "SKIPPED"
    return types.Execution(
        display_name=name,
        state=EXECUTION_STATES[event["state"]],
        schema_title="system.ContainerExecution",
        metadata=metadata | ({"vertex-ai-pipelines-cached": True} if cached else {}),
    )


def _end_job(job: types.PipelineJob, event: dict[str, Any], tasks: list[Task]) -> None:
    job.state = State[f"PIPELINE_STATE_{event['state']}"]
    job.end_time = datetime.fromisoformat(event["t"])
    for task in tasks:
        if task.state == Task.State.RUNNING:
            task.state, task.end_time = TASK_STATES[event["state"]], job.end_time
    job.error = None
    if event["state"] == "FAILED":
        failed = ", ".join(t.task_name for t in tasks if t.state == Task.State.FAILED)
        message = f"The DAG failed because some tasks failed. The failed tasks are: [{failed}]."
        message = message if failed else event.get("error", "")
        job.error = status_pb2.Status(code=CODES["FAILED_PRECONDITION"][0], message=message)
