"""The servers of all deployed models: found by endpoint and id, ended with the local cloud."""

import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.environment import environment
from localcloud.errors import ApiError
from localcloud.forks import Order, Process, Server, start
from localcloud.models_artifacts import Artifacts, place
from localcloud.packages import Environments
from localcloud.pipeline_image import Image
from localcloud.processes import marked
from localcloud.registry import Registry
from localcloud.serving_replica import Replica
from localcloud.serving_spec import (
    FAILURES,
    PROBE,
    PROBES,
    Spec,
    command,
    deadline,
    probed,
    program,
    routes,
)

Key = tuple[str, str]  # an endpoint's name, a deployed model's id


class Servers:
    """Starts and ends servers; `folder` holds what each says, and a scratch home while it runs."""

    def __init__(self, cloud: Cloud, registry: Registry, artifacts: Artifacts) -> None:
        self._cloud, self._registry, self._artifacts = cloud, registry, artifacts
        self._environments = Environments(cloud.root / "packages", cloud.packages)
        self._lock, self._replicas = threading.Lock(), dict[Key, Replica]()
        self._forks: Server | None = None
        self._closed = False
        self.folder = cloud.root / "endpoints"
        end_orphans(self.folder)

    def find(self, key: Key) -> Replica | None:
        """A deployed model's server."""
        return self._replicas.get(key)

    def start(self, endpoint: str, deployed: types.DeployedModel, model: types.Model) -> Replica:
        """A server for a deployed model. Raises FAILED_PRECONDITION where its image is not there."""
        spec = self._spec(endpoint, deployed, model)
        with self._lock:
            if self._closed:
                raise ApiError("ABORTED", "The local cloud stops.")
            replica = self._replicas[endpoint, deployed.id] = Replica(spec, self._process)
        return replica

    def stop(self, key: Key, drain: bool = True) -> None:
        """End a deployed model's server, if it has one."""
        if replica := self._replicas.pop(key, None):
            replica.stop(drain)

    def close(self) -> None:
        """End all; none is started any more."""
        with self._lock:
            self._closed = True
        for key in list(self._replicas):
            self.stop(key, drain=False)
        if self._forks:
            self._forks.close()

    def _process(self, order: Order) -> Process:
        with self._lock:
            if self._forks is None or not self._forks.runs:
                home = str(self._cloud.root / "empty")
                variables = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "HOME": home}
                learned = self._cloud.root / "modules" / "servers"
                learned.parent.mkdir(exist_ok=True)
                self._forks = Server(sys.executable, variables, learned)
            return start(self._forks.control, order)

    def _spec(self, endpoint: str, deployed: types.DeployedModel, model: types.Model) -> Spec:
        container, endpoint_id = model.container_spec, endpoint.rsplit("/", 1)[1]
        image, config = self._image(container.image_uri)
        argv = command(container, config)
        if not argv:
            words = f"The image {container.image_uri} has no command, and the Model names none."
            raise ApiError("FAILED_PRECONDITION", words)
        scratch = self.folder / endpoint_id / f"server-{deployed.id}"
        health, predict = routes(container, endpoint_id, deployed.id)
        own = self._variables(endpoint, deployed, model) | {"AIP_HEALTH_ROUTE": health}
        homes = {"HOME": str(scratch), "TMPDIR": str(scratch)}
        probe = container.health_probe
        return Spec(
            program(argv, image),
            image.root + image.workdir,
            {**image.environment(), **homes, **own, "AIP_PREDICT_ROUTE": predict},
            [(one.name, one.value) for one in container.env],
            scratch,
            self.log(endpoint_id, deployed.id),
            probed(container.startup_probe, health),
            probed(probe, health),
            predict,
            deadline(container),
            float(probe.timeout_seconds or PROBE),
            float(probe.period_seconds or PROBES),
            probe.failure_threshold or FAILURES,
        )

    def log(self, endpoint_id: str, deployed_id: str) -> Path:
        """What a server says."""
        return self.folder / endpoint_id / "logs" / f"{deployed_id}.log"

    def _image(self, reference: str) -> tuple[Image, Any]:
        found = self._registry.folder(reference)
        if found is None:
            words = f"Model server image {reference} was not found: it is not in the registry."
            raise ApiError("FAILED_PRECONDITION", words)
        image = Image.find(reference, self._registry, self._environments)
        if image.refused:
            raise ApiError("FAILED_PRECONDITION", f"Model server cannot be started: {image.refused}")
        return image, found[1]

    def _variables(
        self, endpoint: str, deployed: types.DeployedModel, model: types.Model
    ) -> dict[str, str]:
        """What Vertex AI tells a container, and the way to the cloud as the account that it runs as."""
        cloud, account = self._cloud, deployed.service_account or self._artifacts.account
        if deployed.service_account and model.artifact_uri:
            self._artifacts.let(account)
        endpoint_id, machine = endpoint.rsplit("/", 1)[1], deployed.dedicated_resources.machine_spec
        label = cloud.label(f"model-{endpoint_id}-{deployed.id}", account)
        version = int(model.version_id)
        uri = self._artifacts.address(place(model.name, version)) if model.artifact_uri else ""
        accelerator = types.AcceleratorType(machine.accelerator_type).name
        chip = {"AIP_ACCELERATOR_TYPE": accelerator} if machine.accelerator_type else {}
        return {
            **environment(cloud.root, cloud.port, label).set,
            **chip,
            "AIP_DEPLOYED_MODEL_ID": deployed.id,
            "AIP_ENDPOINT_ID": endpoint_id,
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
            "AIP_MACHINE_TYPE": machine.machine_type,
            "AIP_MODE": "PREDICTION",
            "AIP_MODE_VERSION": "1.0.0",
            "AIP_MODEL_NAME": model.name.rsplit("/", 1)[1],
            "AIP_PROJECT_NUMBER": cloud.world.project_number,
            "AIP_STORAGE_URI": uri,
            "AIP_VERSION_NAME": deployed.id,
        }


def end_orphans(folder: Path) -> None:
    """End what a local cloud that was killed has left at work, and remove its scratch homes."""
    for process in marked(f"HOME={folder}/", "AIP_HTTP_PORT="):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for scratch in folder.glob("*/server-*"):
        shutil.rmtree(scratch, ignore_errors=True)
