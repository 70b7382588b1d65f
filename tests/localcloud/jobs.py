"""Pipeline jobs and images over REST, for tests that need many of them."""

import gzip
import hashlib
import io
import itertools
import json
import tarfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account
from google.protobuf import json_format
from kfp import dsl

from localcloud.client import Client
from tests.eventually import eventually

API = "https://europe-west1-aiplatform.googleapis.com/v1/projects/test-project/locations/europe-west1"
REGISTRY = "europe-west1-docker.pkg.dev"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MEND = "add it to the list"  # what an image says of a package that it lacks
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


class Jobs:
    """The jobs of one running local cloud."""

    def __init__(self, cloud: Client) -> None:
        self.cloud, self._numbers = cloud, itertools.count(time.time_ns())
        self.session = self.new()
        bucket = "https://storage.googleapis.com/storage/v1/b?project=test-project"
        self.session.post(bucket, json={"name": "runs"})

    def new(self) -> AuthorizedSession:
        """A session of the owner's: each thread needs one of its own."""
        variables = self.cloud.environment().set
        kind = service_account.Credentials
        known = kind.from_service_account_file(
            variables["GOOGLE_APPLICATION_CREDENTIALS"], scopes=[SCOPE]
        )
        plain = requests.Session()
        made = AuthorizedSession(known, auth_request=Request(session=plain))
        for session in (plain, made):
            session.trust_env = False
            session.proxies = {"https": variables["HTTPS_PROXY"]}
            session.verify = variables["REQUESTS_CA_BUNDLE"]
        return made

    def submit(self, pipeline: Any, **values: Any) -> str:
        """The name of a job of this pipeline, which has started."""
        answer = self.post(pipeline, values)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["name"])

    def post(self, pipeline: Any, values: dict[str, Any]) -> requests.Response:
        """The answer to a call that makes a job."""
        runtime = {"gcsOutputDirectory": "gs://runs/root", "parameterValues": values}
        job = {"pipelineSpec": compiled(pipeline), "runtimeConfig": runtime}
        url = f"{API}/pipelineJobs?pipelineJobId=job-{next(self._numbers)}"
        answer: requests.Response = self.session.post(url, json=job)
        return answer

    def get(self, name: str) -> dict[str, Any]:
        """A job as it is now."""
        answer = self.session.get(f"{API.partition('/projects/')[0]}/{name}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(self, name: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job as soon as it is so."""

        def found() -> dict[str, Any]:
            job = self.get(name)
            assert good(job) or not job["state"].endswith(ENDED), job
            return job if good(job) else {}

        return eventually(found)

    def run(self, pipeline: Any, **values: Any) -> dict[str, Any]:
        """A job of this pipeline that has ended."""
        return self.until(self.submit(pipeline, **values), lambda job: job["state"].endswith(ENDED))

    def folder(self, name: str) -> Path:
        """Where the local cloud keeps what a job tells."""
        return self.cloud.root / "pipeline-jobs" / name.rpartition("/")[2]

    def push(self, files: dict[str, str], labels: dict[str, str], *variables: str) -> str:
        """A new image of these files, by digest, with these labels and variables."""
        layer, settings = _layer(files), {"Labels": labels, "WorkingDir": "/app", "Env": list(variables)}
        config = json.dumps({"config": settings}).encode()
        name, blobs = "test-project/retrain/steps", [_digest(config), _digest(layer)]
        base = f"https://{REGISTRY}/v2/{name}"
        for data, digest in zip((config, layer), blobs, strict=True):
            assert self.session.post(f"{base}/blobs/uploads/?digest={digest}", data=data).ok
        manifest = json.dumps({"config": {"digest": blobs[0]}, "layers": [{"digest": blobs[1]}]})
        answer = self.session.put(
            f"{base}/manifests/v1", data=manifest, headers={"Content-Type": MANIFEST}
        )
        return f"{REGISTRY}/{name}@{answer.headers['docker-content-digest']}"


def tasks(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A job's tasks by name."""
    return {task["taskName"]: task for task in job["jobDetail"]["taskDetails"]}


def states(job: dict[str, Any]) -> dict[str, str]:
    """The tasks' states by name."""
    return {name: task["state"] for name, task in tasks(job).items()}


def compiled(pipeline: Any) -> dict[str, Any]:
    """A pipeline's specification."""
    return dict(json_format.MessageToDict(pipeline.pipeline_spec))


def single(image: str, command: Sequence[str], name: str = "single") -> Any:
    """A pipeline of one step, which is this command."""

    @dsl.container_component  # type: ignore[untyped-decorator]
    def step() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=image, command=list(command))

    @dsl.pipeline(name=name)  # type: ignore[untyped-decorator]
    def pipeline() -> None:
        step().set_caching_options(False)

    return pipeline


def _layer(files: dict[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in {"app/README": "", **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue())


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def labels(*distributions: str, group: str = "main") -> dict[str, str]:
    """An image's labels; the versions are those that are installed."""
    pins = "\n".join(f"{name}=={version(name)}" for name in distributions)
    kind = "python.requirements"
    return {kind: pins, f"{kind}.group": group, f"{kind}.mend": MEND}
