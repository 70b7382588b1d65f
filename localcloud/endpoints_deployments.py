"""Deploying to an endpoint and undeploying from it: operations that start and end servers."""

import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.api_core.operation import operations_pb2
from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.endpoints_checks import check_deployed, check_replicas
from localcloud.endpoints_rows import Rows
from localcloud.endpoints_traffic import NEW, check, with_new
from localcloud.errors import ApiError, unforeseen
from localcloud.guard import check_act_as
from localcloud.masks import updated
from localcloud.models_versions import Versions
from localcloud.operations import Operations
from localcloud.rpc import Caller
from localcloud.serving_names import DENIED, generic, number
from localcloud.serving_replica import Replica
from localcloud.serving_servers import Servers

log = logging.getLogger("localcloud")
Deployed: TypeAlias = types.DeployedModel
PERIOD = 0.02  # seconds between two looks at a server that is to become ready
TAIL = 10  # lines of a server's log that a failed deployment shows
MUTABLE = {"min_replica_count", "max_replica_count", "required_replica_count"}
MUTABLE |= {"autoscaling_metric_specs", "disable_container_logging"}


class Deployments:
    """DeployModel, UndeployModel and MutateDeployedModel."""

    def __init__(self, cloud: Cloud, rows: Rows, servers: Servers, operations: Operations) -> None:
        self._cloud, self._store, self._rows = cloud, cloud.store, rows
        self._servers, self._operations, self._versions = servers, operations, Versions(cloud)
        self._closing = False

    def resume(self) -> None:
        """Start the servers of all that is deployed; end what the last stop broke off."""
        for operation in self._rows.unfinished():
            kind = operation.metadata.type_url.rpartition(".")[2]
            words = "The deployment was broken off: the local cloud stopped."
            broken = ApiError("ABORTED", words) if kind.startswith("Deploy") else None
            self._operations.finish(operation.name, types.UndeployModelResponse(), broken)
        for endpoint in self._rows.list():
            for deployed in endpoint.deployed_models:
                self._start_again(endpoint.name, deployed)

    def _start_again(self, endpoint: str, deployed: Deployed) -> None:
        try:
            model = self._versions.find(f"{deployed.model}@{deployed.model_version_id}")
            self._servers.start(endpoint, deployed, model)
        except ApiError as error:  # it or its image went, or this machine's packages are others now
            log.warning("%s: model %s has no server: %s", endpoint, deployed.id, error.message)
            file = self._servers.log(endpoint.rsplit("/", 1)[1], deployed.id)
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a") as said:
                said.write(f"error: the server cannot be started: {error.message}\n")

    def close(self) -> None:
        """What is under way stays so; `resume` ends it next time."""
        self._closing = True
        self._servers.close()

    def deploy(self, request: types.DeployModelRequest, caller: Caller) -> operations_pb2.Operation:
        """Start a server; once it is healthy it belongs to the endpoint."""
        name, deployed = self._rows.own(request.endpoint), Deployed(request.deployed_model)
        check_deployed(deployed)
        model_name = self._cloud.iam.resource(deployed.model)
        words = DENIED.format(permission="aiplatform.models.deploy", name=model_name)
        self._cloud.iam.check(caller.principal, "aiplatform.models.deploy", model_name, words)
        if deployed.service_account:
            check_act_as(self._cloud, caller.principal, deployed.service_account)
        with self._store.transaction():
            endpoint, model = self._rows.find(name), self._versions.find(deployed.model)
            self._check_new(endpoint, deployed.id, dict(request.traffic_split))
            deployed.id = deployed.id or number(self._cloud, "deployed-model")
            deployed.model, deployed.model_version_id = model.name, model.version_id
            shown = self._versions.shown(model, False)
            deployed.display_name = deployed.display_name or shown.display_name
            deployed.create_time = datetime.now(UTC)
            begun = types.DeployModelOperationMetadata(generic_metadata=generic())
            operation = self._operations.start(name, begun)
        split = with_new(request.traffic_split, deployed.id)
        self._begin(self._deploy, operation.name, name, deployed, model, split)
        return operation

    def undeploy(self, request: types.UndeployModelRequest, _: Caller) -> operations_pb2.Operation:
        """Take a model from an endpoint: no new requests at once, then its server ends."""
        name, gone = self._rows.own(request.endpoint), request.deployed_model_id
        with self._store.transaction():
            endpoint = self._rows.find(name)
            self._rows.check_idle(name)
            left = [one for one in endpoint.deployed_models if one.id != gone]
            if len(left) == len(endpoint.deployed_models):
                raise _missing(gone, name)
            split = dict(request.traffic_split or endpoint.traffic_split)
            if request.traffic_split:
                check(split, [one.id for one in endpoint.deployed_models])
            if left and (share := split.pop(gone, 0)):
                words = f"DeployedModel {gone} of Endpoint {name} has {share} percent of its traffic"
                rest = "give that to others first, or in traffic_split of this call."
                raise ApiError("FAILED_PRECONDITION", f"{words}: {rest}")
            endpoint.deployed_models, endpoint.traffic_split = left, split if left else {}
            self._rows.put(endpoint)
            begun = types.UndeployModelOperationMetadata(generic_metadata=generic())
            operation = self._operations.start(name, begun)
        self._begin(self._undeploy, operation.name, name, gone)
        return operation

    def mutate(self, request: types.MutateDeployedModelRequest, _: Caller) -> operations_pb2.Operation:
        """Change how many replicas there may be."""
        name, asked = self._rows.own(request.endpoint), request.deployed_model
        wrong = [one for one in request.update_mask.paths if one.split(".")[-1] not in MUTABLE]
        if wrong:
            raise ApiError(
                "INVALID_ARGUMENT", f"{', '.join(wrong)} of a DeployedModel cannot be changed."
            )
        with self._store.transaction():
            endpoint = self._rows.find(name)
            self._rows.check_idle(name)
            found = next((one for one in endpoint.deployed_models if one.id == asked.id), None)
            if found is None:
                raise _missing(asked.id, name)
            made, _changed = updated(found, asked, request.update_mask)
            check_replicas(made.dedicated_resources)
            known = endpoint.deployed_models
            endpoint.deployed_models = [made if one.id == asked.id else one for one in known]
            self._rows.put(endpoint)
        begun = types.MutateDeployedModelOperationMetadata(generic_metadata=generic())
        response = types.MutateDeployedModelResponse(deployed_model=made)
        return self._operations.done(name, response, begun)

    def _check_new(self, endpoint: types.Endpoint, wanted: str, split: dict[str, int]) -> None:
        ids = [one.id for one in endpoint.deployed_models]
        if wanted in ids:
            words = f"DeployedModel {wanted} of Endpoint {endpoint.name} already exists."
            raise ApiError("ALREADY_EXISTS", words)
        self._rows.check_idle(endpoint.name)
        check(split, [*ids, NEW])

    @staticmethod
    def _begin(work: Any, *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _deploy(
        self, operation: str, name: str, deployed: Deployed, model: types.Model, split: dict[str, int]
    ) -> None:
        key = name, deployed.id
        try:
            self._servers.log(name.rsplit("/", 1)[1], deployed.id).unlink(missing_ok=True)
            self._await(operation, self._servers.start(name, deployed, model))
            self._add(operation, name, deployed, split)
        except Exception as error:
            failed = error if isinstance(error, ApiError) else unforeseen(error, self._cloud.root)
            self._servers.stop(key, drain=False)
            self._finish(operation, error=failed)

    def _add(self, operation: str, name: str, deployed: Deployed, split: dict[str, int]) -> None:
        """Let a server that is healthy belong to its endpoint. Raises where none wants it any more."""
        with self._store.transaction():
            if self._operations.is_done(operation):
                raise _cancelled()
            self._versions.find(f"{deployed.model}@{deployed.model_version_id}")  # or it was deleted
            endpoint = self._rows.find(name)
            endpoint.deployed_models.append(deployed)
            check(split, [one.id for one in endpoint.deployed_models])
            endpoint.traffic_split = split or endpoint.traffic_split
            self._rows.put(endpoint)
            self._operations.finish(operation, types.DeployModelResponse(deployed_model=deployed))

    def _await(self, operation: str, replica: Replica) -> None:
        """Until the server is ready. Raises where it ends, is late, or is not wanted any more."""
        end = time.monotonic() + replica.spec.deadline
        while not replica.ready.wait(PERIOD):
            if self._operations.is_done(operation):
                raise _cancelled()
            if replica.exits:
                raise self._failed(replica, f"Model server exited unexpectedly (code {replica.code}).")
            if time.monotonic() > end:
                raise self._failed(replica, _late(replica))

    def _failed(self, replica: Replica, words: str) -> ApiError:
        file = replica.spec.log
        lines = file.read_text(errors="replace").splitlines()[-TAIL:] if file.exists() else []
        where = (
            f"https://console.cloud.google.com/logs/viewer?project={self._cloud.world.project_number}"
            f"&resource=aiplatform.googleapis.com%2FEndpoint%2Fendpoint_id%2F{file.parents[1].name}"
        )
        told = "\n".join([f"{words} Model server logs can be found at {where}.", *lines])
        return ApiError("FAILED_PRECONDITION", told)

    def _undeploy(self, operation: str, name: str, gone: str) -> None:
        self._servers.stop((name, gone))
        self._finish(operation, types.UndeployModelResponse())

    def _finish(self, operation: str, response: Any = None, error: ApiError | None = None) -> None:
        if not self._closing:
            with suppress(ApiError):  # it was deleted meanwhile
                self._operations.finish(operation, response, error)


def _cancelled() -> ApiError:
    return ApiError("CANCELLED", "The operation was cancelled.")


def _late(replica: Replica) -> str:
    where = f"at {replica.spec.health_route} of port {replica.port}"
    return (
        f"Model server never became ready within {replica.spec.deadline:g} seconds."
        f" Health was asked for {where}, which AIP_HTTP_PORT tells the server."
        " Please validate that your model file or container configuration are valid."
    )


def _missing(deployed: str, endpoint: str) -> ApiError:
    return ApiError("NOT_FOUND", f"DeployedModel {deployed} of Endpoint {endpoint} does not exist.")
