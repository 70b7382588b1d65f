"""Tells of each task's start and end, and what it gave."""

import os
from pathlib import Path
from typing import Any

from kfp.local import pipeline_orchestrator, status
from kfp.local.orchestrator import enhanced_dag_orchestrator, task_executor

from localcloud.pipeline_job import EXECUTION, Job, artifacts_of, swap
from localcloud.pipeline_step import last_bytes


def tell_of_tasks(job: Job) -> None:
    """Write an event as each task starts and ends."""
    original = task_executor.execute_single_task

    def execute(task_name: str, task_spec: Any, **others: Any) -> tuple[dict[str, Any], status.Status]:
        job.task, job.cached = task_name, False
        EXECUTION.set(int.from_bytes(os.urandom(7)))
        job.tell("start", task=task_name)
        try:
            outputs, state = original(task_name=task_name, task_spec=task_spec, **others)
        except BaseException as error:
            job.tell("end", task=task_name, state="FAILED", error=str(error))
            raise
        good = state == status.Status.SUCCESS
        words = "" if good else _last_words(job.log(task_name))
        # Vertex AI calls a task skipped whose outputs come from the cache.
        ended = "SKIPPED" if job.cached else "SUCCEEDED" if good else "FAILED"
        job.tell("end", task=task_name, state=ended, error=words, **_outputs(job, outputs))
        return outputs, state

    task_executor.execute_single_task = execute
    for module in (enhanced_dag_orchestrator, pipeline_orchestrator):
        if hasattr(module, "execute_single_task"):
            module.execute_single_task = execute


def _outputs(job: Job, outputs: dict[str, Any]) -> dict[str, Any]:
    """A task's outputs for the event: artifacts with gs:// addresses, parameters as they are."""
    artifacts, parameters = {}, {}
    for name, value in outputs.items():
        if found := artifacts_of({name: value}):
            artifacts[name] = [_artifact(job, artifact) for artifact in found]
        else:
            parameters[name] = value
    return {"artifacts": artifacts, "parameters": parameters}


def _artifact(job: Job, artifact: Any) -> dict[str, Any]:
    uri = swap(artifact.uri, job.root, job.uri)
    return {
        "name": artifact.name,
        "uri": uri,
        "type": artifact.schema_title,
        "metadata": artifact.metadata,
    }


def _last_words(log: Path) -> str:
    """What a failed step said last: from its last line that begins with "error" on, or its last line."""
    lines = last_bytes(log).strip().splitlines()
    starts = [n for n, line in enumerate(lines) if line.lower().startswith("error")]
    words = lines[starts[-1] :] if starts else lines[-1:]
    return "\n".join(words) if words else "The step failed without a word."
