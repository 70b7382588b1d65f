"""Is the claim true: did our own pipeline job, as it should run, make this manifest?"""

import time
from collections.abc import Collection
from typing import Any

from delivery.candidate import Candidate
from delivery.components import STEPS
from delivery.follow import ENDED, outputs
from delivery.jobs import Jobs
from delivery.lock import BASE
from delivery.patience import passing
from delivery.settings import Environment
from flows.errors import RetrainError
from flows.interface import command
from flows.manifest import Manifest

WAIT = 15 * 60.0  # seconds: upload_model is the last step, so the job ends soon after
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.2, 15.0, 1.5
UPLOAD = "upload-model"
COMMANDS = {" ".join(command(step)) for step in STEPS}


class MismatchError(RetrainError):
    """What the pipeline job says is not what the manifest says."""


def ended_job(environment: Environment, manifest: Manifest, wait: float = WAIT) -> Any:
    """The manifest's pipeline job, once it has ended; waits up to `wait` seconds for that.

    It is looked up in the environment's own project and region. Raises RetrainError where it is
    elsewhere, is not there, may not be read, or has not ended in time.
    """
    name = _own_name(environment, manifest.pipeline_job)
    jobs = Jobs(environment)
    deadline, pause = time.monotonic() + wait, FIRST_PAUSE
    while (job := _look(jobs, name)) is None or _state(job) not in ENDED:
        if time.monotonic() + pause > deadline:
            raise RetrainError(
                f"{name}: it has not ended after {wait:.0f} s",
                "look at the job; start release-pr.yml again when it has succeeded",
            )
        time.sleep(pause)
        pause = min(pause * GROWTH, LONGEST_PAUSE)
    return job


def check(job: Any, manifest: Manifest, candidate: Candidate, environment: Environment) -> None:
    """That `job` made the candidate. Raises MismatchError, with what was found and what was expected."""
    state = _state(job)
    if state != "SUCCEEDED":
        raise MismatchError(
            f"{job.name}: it ended as {state}, so its model is not released", _reason(job)
        )
    _same(
        job.name, "project", _project(manifest.pipeline_job), {_project(job.name), environment.project}
    )
    _same(job.name, "service account", job.service_account, {environment.pipeline_account})
    parameters = dict(job.runtime_config.parameter_values)
    for field in ("version", "commit", "image"):
        _same(job.name, f"parameter {field}", parameters.get(field), {getattr(manifest, field)})
    _same(
        job.name,
        "parameter serving_image",
        parameters.get("serving_image", ""),
        {manifest.serving_image},
    )
    _check_steps(job, manifest, environment)
    made = upload_outputs(job)
    for field in ("manifest", "sha256"):
        _same(job.name, f"upload_model output {field}", made.get(field), {getattr(candidate, field)})


def upload_outputs(job: Any) -> dict[str, Any]:
    """upload_model's output parameters; empty where that step did not succeed."""
    for task in job.job_detail.task_details:
        if task.task_name.replace("_", "-") == UPLOAD and task.state.name == "SUCCEEDED":
            return outputs(task)
    return {}


def _own_name(environment: Environment, claimed: str) -> str:
    """The job's name below our own project: the claim may say the project's number instead."""
    _, project, _, region, _, job = claimed.split("/")
    if region != environment.region or not (project.isdigit() or project == environment.project):
        raise MismatchError(
            f"{claimed}: that is not in {environment.location}",
            f"only jobs of '{environment.name}' are released there",
        )
    return f"{environment.location}/pipelineJobs/{job}"


def _look(jobs: Jobs, name: str) -> Any | None:
    """The job; None where the service cannot say just now."""
    from google.api_core.exceptions import GoogleAPICallError

    try:
        job = jobs.find(name)
    except passing():
        return None
    except GoogleAPICallError as error:
        raise RetrainError(
            f"{name}: it cannot be read: {error.message}",
            "the workflow's identity needs aiplatform.pipelineJobs.get",
        ) from None
    if job is None:
        raise MismatchError(
            f"{name}: there is no such pipeline job", "train again; only a job's own model is released"
        )
    return job


def _same(job: str, what: str, found: object, expected: Collection[object]) -> None:
    if found not in expected:
        wanted = " or ".join(sorted(map(str, expected)))
        raise MismatchError(
            f"{job}: its {what} is {found!r}, expected {wanted!r}",
            "this manifest was not made by that job as it should run: find out who started this",
        )


def _check_steps(job: Any, manifest: Manifest, environment: Environment) -> None:
    """That every step ran our own program, in an image of our own registry."""
    registry = manifest.image.rpartition("/")[0]
    _same(job.name, "image's registry", registry, {environment.artifact_registry})
    serving, base = manifest.serves.partition("@")[0], f"{environment.artifact_registry}/{BASE}"
    _same(job.name, "serving image", serving, {base, manifest.image.partition("@")[0]})
    deployment = dict(job.pipeline_spec or {}).get("deploymentSpec") or {}
    executors = dict(deployment.get("executors") or {})
    _same(job.name, "having steps", bool(executors), {True})
    for name, executor in executors.items():
        container = dict(executor).get("container") or {}
        _same(job.name, f"image in {name}", container.get("image"), {manifest.image})
        started = " ".join(map(str, container.get("command") or ()))
        _same(job.name, f"command in {name}", started, COMMANDS)


def _state(job: Any) -> str:
    return str(job.state.name).removeprefix("PIPELINE_STATE_")


def _project(job: str) -> str:
    return job.split("/")[1]


def _reason(job: Any) -> str:
    message = str(job.error.message) if job.error else ""
    return message or "look at the job's steps; tick opens an issue about it"
