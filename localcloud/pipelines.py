"""Vertex AI pipeline jobs: kept as records, run by one worker process each."""

import json
import shutil
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.api_core.operation import operations_pb2
from google.cloud.aiplatform_v1 import types
from google.protobuf import empty_pb2, json_format

from localcloud.cloud import Cloud
from localcloud.environment import environment
from localcloud.errors import ApiError
from localcloud.forks import Process
from localcloud.guard import check_act_as, guarded
from localcloud.operations import Operations
from localcloud.packages import Environments
from localcloud.paging import answer
from localcloud.pipeline_checks import check
from localcloud.pipeline_events import apply_events, read_events
from localcloud.pipeline_facts import images, output_root, placeholders
from localcloud.pipeline_image import Image
from localcloud.pipeline_workers import Workers
from localcloud.registry import Registry
from localcloud.rpc import Caller, RpcHandler

State = types.PipelineState
ENDED = {State.PIPELINE_STATE_SUCCEEDED, State.PIPELINE_STATE_FAILED, State.PIPELINE_STATE_CANCELLED}
PAGE, BATCH = 100, 32
# What a filter may name beside the fields of a PipelineJob.
FILTERS: dict[str, Any] = {
    "pipeline_name": lambda job: job.pipeline_spec["pipelineInfo"]["name"],
    "pipeline_job_user_id": lambda job: job.name.rsplit("/", 1)[1],
}
DENIED = (
    "Permission '{permission}' denied on resource '//aiplatform.googleapis.com/{name}'"
    " (or it may not exist)."
)
NEEDS = {
    "CreatePipelineJob": ("aiplatform.pipelineJobs.create", "parent"),
    "GetPipelineJob": ("aiplatform.pipelineJobs.get", "name"),
    "ListPipelineJobs": ("aiplatform.pipelineJobs.list", "parent"),
    "CancelPipelineJob": ("aiplatform.pipelineJobs.cancel", "name"),
    "DeletePipelineJob": ("aiplatform.pipelineJobs.delete", "name"),
    "BatchCancelPipelineJobs": ("aiplatform.pipelineJobs.cancel", "parent"),
    "BatchDeletePipelineJobs": ("aiplatform.pipelineJobs.delete", "parent"),
}


class Pipelines:
    """PipelineService. Records: "pipeline-job" by name; a job's folder holds its events and logs."""

    client = "google.cloud.aiplatform_v1.services.pipeline_service"
    hosts = (r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com",)

    def __init__(self, cloud: Cloud, registry: Registry) -> None:
        self._cloud, self._store, self._registry = cloud, cloud.store, registry
        self._environments = Environments(cloud.root / "packages", cloud.packages)
        self._operations = Operations(cloud)
        self._cache = cloud.root / "pipeline-cache"
        self._cache.mkdir(exist_ok=True)
        self._starting, self._ending = threading.Lock(), threading.Lock()
        self._running: dict[str, Process] = {}
        self._shown: dict[
            str, tuple[int, bytes]
        ] = {}  # by name: the events' size, the job as it was then
        self._workers = Workers(cloud)
        self._end_orphans()

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        handlers: dict[str, RpcHandler] = {
            "CreatePipelineJob": self.create_pipeline_job,
            "GetPipelineJob": self.get_pipeline_job,
            "ListPipelineJobs": self.list_pipeline_jobs,
            "CancelPipelineJob": self.cancel_pipeline_job,
            "DeletePipelineJob": self.delete_pipeline_job,
            "BatchCancelPipelineJobs": self.batch_cancel,
            "BatchDeletePipelineJobs": self.batch_delete,
        }
        return guarded(self._cloud, handlers, NEEDS, DENIED)

    def busy(self) -> bool:
        """Whether a job is running."""
        return any(not worker.ended for worker in self._running.values())

    def close(self) -> None:
        """End all workers; their jobs are marked failed at the next start."""
        self._workers.close()

    def create_pipeline_job(
        self, request: types.CreatePipelineJobRequest, caller: Caller
    ) -> types.PipelineJob:
        """Check the job, write it down and start it."""
        job = request.pipeline_job
        spec = json_format.MessageToDict(types.PipelineJob.pb(job).pipeline_spec)
        check(request, spec)
        job_id = request.pipeline_job_id or f"{spec['pipelineInfo']['name']}-{self._number()}"
        location = request.parent.split("/")[3]
        number = self._cloud.world.project_number
        job.name = f"projects/{number}/locations/{location}/pipelineJobs/{job_id}"
        job.create_time = job.start_time = job.update_time = datetime.now(UTC)
        job.state = State.PIPELINE_STATE_RUNNING
        job.display_name = job.display_name or job_id
        job.service_account = job.service_account or f"{number}-compute@developer.gserviceaccount.com"
        check_act_as(self._cloud, caller.principal, job.service_account)
        with self._starting:
            if self._store.get("pipeline-job", job.name):
                raise ApiError("ALREADY_EXISTS", f"PipelineJob {job.name} already exists.")
            # In this order: who finds the record finds a folder and a worker, too.
            self._start(job, spec)
            try:
                self._save(job)
            except Exception:
                self._running.pop(job.name).kill()  # or it would run without anybody knowing
                raise
        return job

    def get_pipeline_job(self, request: types.GetPipelineJobRequest, _: Caller) -> types.PipelineJob:
        """The job with what its worker has told so far."""
        return self._current(self._parent(request.name))

    def list_pipeline_jobs(
        self, request: types.ListPipelineJobsRequest, _: Caller
    ) -> types.ListPipelineJobsResponse:
        """Newest first, filtered and paged."""
        prefix = f"{self._parent(request.parent)}/pipelineJobs/"
        jobs = [self._current(name) for name, _ in self._store.list("pipeline-job", prefix)]
        jobs.sort(key=lambda job: job.create_time, reverse=True)
        return answer(request, types.ListPipelineJobsResponse, jobs, PAGE, FILTERS)

    def cancel_pipeline_job(self, request: types.CancelPipelineJobRequest, _: Caller) -> empty_pb2.Empty:
        """Kill the job's processes; a job that has ended stays as it is."""
        self._cancel(self._current(self._parent(request.name)))
        return empty_pb2.Empty()

    def batch_cancel(
        self, request: types.BatchCancelPipelineJobsRequest, _: Caller
    ) -> operations_pb2.Operation:
        """The same for up to 32 jobs of one location."""
        jobs = self._batch(request)
        for job in jobs:
            self._cancel(job)
        named = [self._current(job.name) for job in jobs]
        response = types.BatchCancelPipelineJobsResponse(pipeline_jobs=named)
        return self._operations.done(request.parent, response)

    def batch_delete(
        self, request: types.BatchDeletePipelineJobsRequest, _: Caller
    ) -> operations_pb2.Operation:
        """Forget up to 32 jobs of one location, all or none."""
        jobs = self._batch(request)
        for job in jobs:
            _check_ended(job)
        for job in jobs:
            self._forget(job)
        response = types.BatchDeletePipelineJobsResponse(pipeline_jobs=jobs)
        return self._operations.done(request.parent, response)

    def _batch(self, request: Any) -> list[types.PipelineJob]:
        """The jobs that a batch names. Raises where one is not there, or elsewhere."""
        names = [self._parent(name) for name in request.names]
        wrong = [
            one for one in names if not one.startswith(f"{self._parent(request.parent)}/pipelineJobs/")
        ]
        if wrong or not 0 < len(names) <= BATCH:
            words = f"A batch names 1 to {BATCH} jobs of {request.parent}"
            raise ApiError("INVALID_ARGUMENT", f"{words}; not {', '.join(wrong) or len(names)}.")
        return [self._current(name) for name in names]

    def _cancel(self, job: types.PipelineJob) -> None:
        if job.state not in ENDED:
            self._end(job, "CANCELLED", "the job was cancelled")

    def delete_pipeline_job(
        self, request: types.DeletePipelineJobRequest, _: Caller
    ) -> operations_pb2.Operation:
        """Forget a job that has ended."""
        job = self._current(self._parent(request.name))
        _check_ended(job)
        self._forget(job)
        return self._operations.done(job.name.rsplit("/", 2)[0])

    def _forget(self, job: types.PipelineJob) -> None:
        self._store.delete("pipeline-job", job.name)
        self._shown.pop(job.name, None)
        shutil.rmtree(self.folder(job.name), ignore_errors=True)

    def folder(self, name: str) -> Path:
        """Where a job's events and logs are."""
        return self._cloud.root / "pipeline-jobs" / name.rsplit("/", 1)[1]

    def _number(self) -> str:
        return f"{datetime.now(UTC):%Y%m%d%H%M%S}{self._store.next_number('pipeline'):04d}"

    def _parent(self, parent: str) -> str:
        world = self._cloud.world
        return parent.replace(f"projects/{world.project}/", f"projects/{world.project_number}/")

    def _save(self, job: types.PipelineJob) -> None:
        self._store.put("pipeline-job", job.name, json.loads(types.PipelineJob.to_json(job)))

    def _current(self, name: str) -> types.PipelineJob:
        """The job as its record and its events tell. Raises NOT_FOUND."""
        job, worker = self._told(name), self._running.get(name)
        if job.state not in ENDED and (worker is None or worker.ended):
            job = self._told(name)  # the end may have been written between the two looks
            if job.state not in ENDED:
                self._end(job, "FAILED", "the job's process ended without a word")
        return job

    def _told(self, name: str) -> types.PipelineJob:
        """What is known so far; its events are read again only when there are more."""
        events = self.folder(name) / "events.jsonl"
        size = events.stat().st_size if events.exists() else 0
        seen, kept = self._shown.get(name, (-1, b""))
        if seen == size:
            return types.PipelineJob.deserialize(kept)
        row = self._store.get("pipeline-job", name)
        if row is None:
            raise ApiError("NOT_FOUND", f"The PipelineJob {name} does not exist.")
        job = _job(row)
        apply_events(job, read_events(self.folder(name)))
        self._shown[name] = (size, types.PipelineJob.serialize(job))
        return job

    def _start(self, job: types.PipelineJob, spec: dict[str, Any]) -> None:
        folder = self.folder(job.name)
        shutil.rmtree(folder, ignore_errors=True)  # of a start that was broken off
        (folder / "logs").mkdir(parents=True)
        label = self._cloud.label(f"job-{folder.name}", job.service_account)
        found = {name: self._image(name) for name in images(spec)}
        order = {
            "spec": spec,
            "arguments": json_format.MessageToDict(types.PipelineJob.pb(job).runtime_config).get(
                "parameterValues", {}
            ),
            "root": output_root(job),
            "placeholders": placeholders(job),
            "scope": [job.name.rpartition("/pipelineJobs/")[0], spec["pipelineInfo"]["name"]],
            "cache": str(self._cache),
            "environment": environment(self._cloud.root, self._cloud.port, label).set,
            "images": {name: image.facts() for name, image in found.items()},
        }
        (folder / "job.json").write_text(json.dumps(order))
        worker = self._running[job.name] = self._workers.start(folder, found.values())
        threading.Thread(target=self._wait, args=(worker, folder), daemon=True).start()

    def _wait(self, worker: Process, folder: Path) -> None:
        worker.wait()
        _clear(folder)

    def _image(self, reference: str) -> Image:
        return Image.find(reference, self._registry, self._environments)

    def _end(self, job: types.PipelineJob, state: str, error: str) -> None:
        """End a job from outside: its processes, then its record. An end that came first stands."""
        folder = self.folder(job.name)
        with self._ending:
            if not any(event["event"] == "job" for event in read_events(folder)):
                if worker := self._running.pop(job.name, None):
                    worker.kill()
                event = {"event": "job", "state": state, "error": error, "t": self._cloud.now()}
                folder.mkdir(parents=True, exist_ok=True)
                with (folder / "events.jsonl").open("a") as events:
                    events.write("\n" + json.dumps(event) + "\n")
        apply_events(job, read_events(folder))

    def _end_orphans(self) -> None:
        """Jobs that ran when the local cloud last stopped have no worker any more."""
        for folder in (self._cloud.root / "pipeline-jobs").glob("*"):
            _clear(folder)
        for part in self._cache.glob("*.part"):
            part.unlink()
        for _, row in self._store.list("pipeline-job"):
            job = _job(row)
            apply_events(job, read_events(self.folder(job.name)))
            if job.state not in ENDED:
                self._end(job, "FAILED", "the local cloud stopped while this job ran")


def _check_ended(job: types.PipelineJob) -> None:
    if job.state not in ENDED:
        raise ApiError("FAILED_PRECONDITION", f"PipelineJob {job.name} has not ended: cancel it first.")


def _clear(folder: Path) -> None:
    """Remove what the steps of a job that has ended had for themselves."""
    while found := list(folder.glob("step-*")):
        for scratch in found:  # again where a step that is being killed still writes
            shutil.rmtree(scratch, ignore_errors=True)


def _job(row: dict[str, Any]) -> types.PipelineJob:
    return types.PipelineJob.from_json(json.dumps(row), ignore_unknown_fields=True)
