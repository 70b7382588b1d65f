"""The records of endpoints, and what is at work on each."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from google.api_core.operation import operations_pb2
from google.cloud.aiplatform_v1 import types

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.operations import Operations
from localcloud.serving_names import etag, of_row, to_row

Endpoint: TypeAlias = types.Endpoint


class Rows:
    """Records: "endpoint" by name. `changed` is called with the name of each that is written."""

    def __init__(self, cloud: Cloud, operations: Operations) -> None:
        self._cloud, self._store, self._operations = cloud, cloud.store, operations
        self.changed: Callable[[str], None] = lambda _: None

    def own(self, name: str) -> str:
        """An endpoint's name with the project by number."""
        return self._cloud.iam.resource(name)

    def find(self, name: str) -> Endpoint:
        """The endpoint. Raises NOT_FOUND."""
        row = self._store.get("endpoint", self.own(name))
        if row is None:
            raise ApiError("NOT_FOUND", f"The Endpoint {self.own(name)} does not exist.")
        made: Endpoint = of_row(Endpoint, row)
        return made

    def put(self, endpoint: Endpoint) -> Endpoint:
        """Write an endpoint; its etag and time change."""
        endpoint.update_time = datetime.now(UTC)
        endpoint.etag = ""
        endpoint.etag = etag(endpoint)
        self._store.put("endpoint", endpoint.name, to_row(endpoint))
        self.changed(endpoint.name)
        return endpoint

    def forget(self, name: str) -> None:
        """Remove an endpoint."""
        self._store.delete("endpoint", name)
        self._cloud.iam.forget(name)
        self.changed(name)

    def unfinished(self, name: str = "") -> list[operations_pb2.Operation]:
        """The operations on one endpoint, or on all, that are not done."""
        return self._operations.unfinished(f"{name}/operations/" if name else "", "/endpoints/")

    def check_idle(self, name: str) -> None:
        """Raises FAILED_PRECONDITION while another operation changes the endpoint."""
        if found := self.unfinished(name):
            words = f'There are other operations running on the Endpoint "{name}".'
            names = ", ".join(one.name for one in found)
            raise ApiError("FAILED_PRECONDITION", f"{words} Operation(s) are: {names}.")

    def list(self, parent: str = "") -> list[Endpoint]:
        """All endpoints of a location, or of all."""
        prefix = f"{parent}/endpoints/" if parent else ""
        return [of_row(Endpoint, row) for _, row in self._store.list("endpoint", prefix)]
