"""Vertex AI's endpoints: records that say which deployed models serve, and how requests are split."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from google.api_core.operation import operations_pb2
from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.endpoints_checks import check_endpoint
from localcloud.endpoints_deployments import Deployments
from localcloud.endpoints_rows import Endpoint, Rows
from localcloud.endpoints_traffic import check
from localcloud.errors import ApiError
from localcloud.guard import guarded
from localcloud.masks import updated
from localcloud.models_artifacts import Artifacts
from localcloud.operations import Operations
from localcloud.paging import answer
from localcloud.registry import Registry
from localcloud.rpc import Caller, RpcHandler
from localcloud.serving_names import DENIED, HOSTS, generic, location, number
from localcloud.serving_servers import Servers

PAGE = 100
# What a filter may name beside the fields of an Endpoint.
FILTERS: dict[str, Any] = {"endpoint": lambda one: one.name.rsplit("/", 1)[1]}
NEEDS = {
    "CreateEndpoint": ("aiplatform.endpoints.create", "parent"),
    "GetEndpoint": ("aiplatform.endpoints.get", "name"),
    "ListEndpoints": ("aiplatform.endpoints.list", "parent"),
    "UpdateEndpoint": ("aiplatform.endpoints.update", "endpoint.name"),
    "DeleteEndpoint": ("aiplatform.endpoints.delete", "name"),
    "DeployModel": ("aiplatform.endpoints.deploy", "endpoint"),
    "UndeployModel": ("aiplatform.endpoints.undeploy", "endpoint"),
    "MutateDeployedModel": ("aiplatform.endpoints.update", "endpoint"),
}


class Endpoints:
    """EndpointService. Records are those of Rows; what serves are the processes of Servers."""

    client = "google.cloud.aiplatform_v1.services.endpoint_service"
    hosts = HOSTS

    def __init__(self, cloud: Cloud, registry: Registry) -> None:
        self._cloud, self._store, self._operations = cloud, cloud.store, Operations(cloud)
        self.rows = Rows(cloud, self._operations)
        self.servers = Servers(cloud, registry, Artifacts(cloud))
        self._deployments = Deployments(cloud, self.rows, self.servers, self._operations)

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        deployments = self._deployments
        handlers: dict[str, RpcHandler] = {
            "CreateEndpoint": self.create,
            "GetEndpoint": self.get,
            "ListEndpoints": self.list,
            "UpdateEndpoint": self.update,
            "DeleteEndpoint": self.delete,
            "DeployModel": deployments.deploy,
            "UndeployModel": deployments.undeploy,
            "MutateDeployedModel": deployments.mutate,
        }
        return guarded(self._cloud, handlers, NEEDS, DENIED)

    def start(self) -> None:
        """Start the servers of what is deployed."""
        self._deployments.resume()

    def busy(self) -> bool:
        """Whether something is being deployed or undeployed."""
        return bool(self.rows.unfinished())

    def close(self) -> None:
        """End all servers; what is deployed is started again next time."""
        self._deployments.close()

    def create(self, request: types.CreateEndpointRequest, _: Caller) -> operations_pb2.Operation:
        """An endpoint without models."""
        parent, made = location(self._cloud, request.parent), Endpoint(request.endpoint)
        check_endpoint(made, request.endpoint_id)
        made.name = f"{parent}/endpoints/{request.endpoint_id or number(self._cloud, 'endpoint')}"
        made.create_time, made.deployed_models, made.traffic_split = datetime.now(UTC), [], {}
        with self._store.transaction():
            if self._store.get("endpoint", made.name):
                raise ApiError("ALREADY_EXISTS", f"The Endpoint {made.name} already exists.")
            self.rows.put(made)
            begun = types.CreateEndpointOperationMetadata(generic_metadata=generic())
            return self._operations.done(made.name, Endpoint(name=made.name), begun)

    def get(self, request: types.GetEndpointRequest, _: Caller) -> Endpoint:
        """The endpoint as it is now."""
        return self.rows.find(request.name)

    def list(self, request: types.ListEndpointsRequest, _: Caller) -> types.ListEndpointsResponse:
        """A location's endpoints, newest first."""
        found = self.rows.list(location(self._cloud, request.parent))
        found.sort(key=lambda one: one.create_time, reverse=True)
        return answer(request, types.ListEndpointsResponse, found, PAGE, FILTERS)

    def update(self, request: types.UpdateEndpointRequest, _: Caller) -> Endpoint:
        """Change names, labels and the split of the traffic."""
        with self._store.transaction():
            known = self.rows.find(request.endpoint.name)
            if request.endpoint.etag not in ("", known.etag):
                words = f"The etag of {known.name} is {known.etag}; the Endpoint was changed meanwhile."
                raise ApiError("ABORTED", words)
            made, _changed = updated(known, request.endpoint, request.update_mask)
            made.etag = ""
            check_endpoint(made, "")
            ids = [one.id for one in made.deployed_models]
            check(made.traffic_split, ids, "endpoint.traffic_split")
            return self.rows.put(made)

    def delete(self, request: types.DeleteEndpointRequest, _: Caller) -> operations_pb2.Operation:
        """Remove an endpoint without models."""
        with self._store.transaction():
            known = self.rows.find(request.name)
            self.rows.check_idle(known.name)
            if known.deployed_models:
                ids = ", ".join(one.id for one in known.deployed_models)
                words = f"Endpoint {known.name} has deployed models: undeploy {ids} first."
                raise ApiError("FAILED_PRECONDITION", words)
            self.rows.forget(known.name)
        begun = types.DeleteOperationMetadata(generic_metadata=generic())
        return self._operations.done(known.name, metadata=begun)
