"""Vertex AI pipeline jobs of one environment: create, find, look up."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import quote

from delivery.patience import CALL, patient
from delivery.settings import Environment
from flows.errors import RetrainError

OVERRIDDEN = "overridden"  # the label of a job whose configuration is not the commit's


class Jobs:
    """The environment's PipelineService, in its region."""

    def __init__(self, environment: Environment) -> None:
        from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient

        self._environment = environment
        self.parent = environment.location
        endpoint = f"{environment.region}-aiplatform.googleapis.com"
        self._client = PipelineServiceClient(client_options={"api_endpoint": endpoint})

    def find(self, name: str) -> Any | None:
        """The job (google.cloud.aiplatform_v1.types.PipelineJob) of that resource name, or None.

        A service that cannot answer just now is asked again for two minutes.
        """
        from google.api_core.exceptions import NotFound

        try:
            return patient(lambda: self._client.get_pipeline_job(name=name, retry=None, timeout=CALL))
        except NotFound:
            return None

    def newest(self, flow: str, most: int, labelled: str = "") -> list[Any]:
        """The flow's `most` newest jobs in this environment, the newest first; perhaps without details.

        Of those, only the ones that have the label `labelled`, if it is given. A service that cannot
        answer just now is asked again for two minutes.
        """
        labels = {"flow": flow, "environment": self._environment.name}
        tests = [f'labels.{key}="{value}"' for key, value in labels.items()]
        tests += [f"labels.{labelled}:*"] if labelled else []
        request = {
            "parent": self.parent,
            "filter": " AND ".join(tests),
            "order_by": "create_time desc",
            "page_size": most,
        }

        def listed() -> list[Any]:
            found = self._client.list_pipeline_jobs(request=request, retry=None, timeout=CALL)
            return list(islice(found, most))

        return patient(listed)

    def started(self, since: datetime) -> list[Any]:
        """All jobs of that moment or later, of every flow; perhaps without details."""
        request = {"parent": self.parent, "filter": f'create_time>="{since.isoformat()}"'}

        def listed() -> list[Any]:
            return list(self._client.list_pipeline_jobs(request=request, retry=None, timeout=CALL))

        return patient(listed)

    def of_run(self, run: int) -> dict[str, str]:
        """The resource names of the jobs that a workflow run has started, by flow."""
        request = {"parent": self.parent, "filter": f'labels.run="{run}"'}

        def listed() -> dict[str, str]:
            found = self._client.list_pipeline_jobs(request=request, retry=None, timeout=CALL)
            return {str(job.labels["flow"]): str(job.name) for job in found}

        return patient(listed)

    def create(
        self, job_id: str, spec: Mapping[str, Any], values: dict[str, Any], labels: dict[str, str]
    ) -> None:
        """Start the compiled pipeline `spec` with `values`; a job that is there already is success.

        Raises RetrainError with Vertex AI's words where it refuses.
        """
        from google.api_core.exceptions import AlreadyExists, GoogleAPICallError
        from google.cloud.aiplatform_v1.types.pipeline_job import PipelineJob

        environment = self._environment
        job = PipelineJob(
            display_name=job_id,
            pipeline_spec=spec,
            labels=labels,
            service_account=environment.pipeline_account,
            runtime_config={
                "gcs_output_directory": environment.pipeline_root,
                "parameter_values": values,
            },
        )

        def start() -> None:
            self._client.create_pipeline_job(
                parent=self.parent, pipeline_job=job, pipeline_job_id=job_id, retry=None, timeout=CALL
            )

        try:
            patient(start)  # the id is ours: a second start finds the first one's job
        except AlreadyExists:
            return
        except GoogleAPICallError as error:
            raise RetrainError(
                f"Vertex AI in {self.parent} refused the pipeline job {job_id}: {error.message}",
                "check the project, the region, and that this account may act as the pipeline's account",
            ) from None

    def cancel(self, name: str) -> None:
        """Ask that the job stops."""
        patient(lambda: self._client.cancel_pipeline_job(name=name, retry=None, timeout=CALL))


def overrides(job: Any) -> str:
    """What a job's configuration has else than its commit's flow.toml; "" where it is the same."""
    if OVERRIDDEN not in job.labels:
        return ""
    described = dict(job.pipeline_spec or {}).get("pipelineInfo") or {}
    return str(dict(described).get("description") or "it does not say")


def console(job: str) -> str:
    """The page for people of the job with that resource name."""
    _, project, _, region, _, name = (quote(part) for part in job.split("/"))
    return (
        "https://console.cloud.google.com/vertex-ai/locations/"
        f"{region}/pipelines/runs/{name}?project={project}"
    )
