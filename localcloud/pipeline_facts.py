"""What a job says of itself: its images, its output's root, and what placeholders stand for."""

import hashlib
from typing import Any

from google.cloud.aiplatform_v1 import types


def images(spec: dict[str, Any]) -> set[str]:
    """The images that a pipeline's steps run in."""
    executors = spec.get("deploymentSpec", {}).get("executors", {}).values()
    return {e["container"]["image"] for e in executors if "container" in e}


def output_root(job: types.PipelineJob) -> str:
    """Where a job's artifacts go."""
    number, job_id = job.name.split("/")[1], job.name.rsplit("/", 1)[1]
    return f"{job.runtime_config.gcs_output_directory.rstrip('/')}/{number}/{job_id}"


def placeholders(job: types.PipelineJob) -> dict[str, str]:
    """What kfp's placeholders stand for in this job."""
    time = f"{job.create_time:%Y-%m-%dT%H:%M:%SZ}"
    number = str(int.from_bytes(hashlib.sha256(job.name.encode()).digest()[:7], "big"))
    return {
        "{{$.pipeline_job_name}}": job.name.rsplit("/", 1)[1],
        "{{$.pipeline_job_resource_name}}": job.name,
        "{{$.pipeline_job_uuid}}": number,
        "{{$.pipeline_job_create_time_utc}}": time,
        "{{$.pipeline_job_schedule_time_utc}}": time,
        "{{$.pipeline_root}}": job.runtime_config.gcs_output_directory,
    }
