"""What many services have in common: long-running operations and locations."""

import time
from collections.abc import Mapping
from typing import Any, TypeAlias

from google.cloud.location import locations_pb2
from google.longrunning import operations_pb2
from google.protobuf import any_pb2, empty_pb2

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.filters import matcher
from localcloud.paging import page
from localcloud.values import Resolver

Operation: TypeAlias = operations_pb2.Operation
PAGE = 100
POLL = 0.02  # seconds between two looks at an operation that is waited for
LONGEST = 30.0  # seconds that a wait lasts at most


class Operations:
    """google.longrunning for every service. Records: kind "operation" by name."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def handlers(self) -> Mapping[str, Any]:
        """The calls that are served, by method name."""
        return {
            "GetOperation": self.get,
            "ListOperations": self.list,
            "WaitOperation": self.wait,
            "CancelOperation": self.cancel,
            "DeleteOperation": self.delete,
        }

    # -------------------------------------------------------------- for the services

    def start(self, parent: str, metadata: Any = None) -> Operation:
        """A new operation below `parent` (projects/…/locations/…), not done yet."""
        number = self._store.next_number("operation")
        name = f"{self._canonical(parent)}/operations/{7_000_000_000_000_000_000 + number}"
        return self._save(Operation(name=name, metadata=_packed(metadata)))

    def finish(self, name: str, response: Any = None, error: ApiError | None = None) -> Operation:
        """An operation's end, with its response or its error; an end that came first stands."""
        with self._store.transaction():
            operation = self._found(name)
            if operation.done:
                return operation
            operation.done = True
            if error is not None:
                operation.error.CopyFrom(error.rpc_status())
            else:
                known = empty_pb2.Empty() if response is None else response
                operation.response.CopyFrom(_packed(known))
            return self._save(operation)

    def is_done(self, name: str) -> bool:
        """Whether an operation has ended, and may have been forgotten since."""
        row = self._store.get("operation", name)
        return row is None or _parsed(row).done

    def unfinished(self, prefix: str, part: str) -> list[Operation]:
        """The operations that are not done and whose names begin with `prefix` and hold `part`."""
        found = (_parsed(row) for name, row in self._store.list("operation", prefix) if part in name)
        return [one for one in found if not one.done]

    def done(self, parent: str, response: Any = None, metadata: Any = None) -> Operation:
        """An operation that has ended already."""
        return self.finish(self.start(parent, metadata).name, response)

    # -------------------------------------------------------------- calls

    def get(self, request: Any, _: Any) -> Operation:
        """How far an operation is."""
        return self._found(request.name)

    def list(self, request: Any, _: Any) -> Any:
        """The operations below a location, by name, filtered and in pages."""
        rows = self._store.list("operation", f"{self._canonical(request.name)}/operations/")
        passes = matcher(request.filter, Operation.DESCRIPTOR, Resolver())
        found = [one for one in map(_parsed, (row for _, row in rows)) if passes(one)]
        bounds = (PAGE, f"{request.name} {request.filter}")
        some, token = page(found, request.page_size, request.page_token, bounds)
        return operations_pb2.ListOperationsResponse(operations=some, next_page_token=token)

    def wait(self, request: Any, _: Any) -> Operation:
        """The operation once it is done, or as it is after the timeout."""
        seconds = request.timeout.ToMilliseconds() / 1000 if request.HasField("timeout") else LONGEST
        end = time.monotonic() + min(seconds, LONGEST)
        while not (operation := self._found(request.name)).done and time.monotonic() < end:
            time.sleep(POLL)
        return operation

    def cancel(self, request: Any, _: Any) -> empty_pb2.Empty:
        """End an operation as cancelled, unless it is done."""
        if not self._found(request.name).done:
            self.finish(request.name, error=ApiError("CANCELLED", "The operation was cancelled."))
        return empty_pb2.Empty()

    def delete(self, request: Any, _: Any) -> empty_pb2.Empty:
        """Forget an operation that is done. Raises FAILED_PRECONDITION for one that is not."""
        with self._store.transaction():
            found = self._found(request.name)
            if not found.done:
                words = f"The operation {found.name} is not done: wait for it, or cancel it first."
                raise ApiError("FAILED_PRECONDITION", words)
            self._store.delete("operation", found.name)
        return empty_pb2.Empty()

    def _found(self, name: str) -> Operation:
        row = self._store.get("operation", self._canonical(name))
        if row is None:
            raise ApiError("NOT_FOUND", f"The operation {name} does not exist.")
        return _parsed(row)

    def _save(self, operation: Operation) -> Operation:
        self._store.put("operation", operation.name, {"bytes": operation.SerializeToString().hex()})
        return operation

    def _canonical(self, name: str) -> str:
        world = self._cloud.world
        return f"{name}/".replace(f"projects/{world.project}/", f"projects/{world.project_number}/")[:-1]


class Locations:
    """google.cloud.location for every service: the world's one region."""

    def __init__(self, cloud: Cloud) -> None:
        self._region = cloud.world.region

    def handlers(self) -> Mapping[str, Any]:
        """The calls that are served, by method name."""
        return {"GetLocation": self.get, "ListLocations": self.list}

    def get(self, request: Any, _: Any) -> Any:
        """The region. Raises NOT_FOUND for another one."""
        if request.name.rsplit("/", 1)[1] != self._region:
            raise ApiError("NOT_FOUND", f"Location {request.name} is not found.")
        return locations_pb2.Location(name=request.name, location_id=self._region)

    def list(self, request: Any, _: Any) -> Any:
        """The region, as the only one."""
        name = f"{request.name}/locations/{self._region}"
        one = locations_pb2.Location(name=name, location_id=self._region)
        return locations_pb2.ListLocationsResponse(locations=[one])


def _packed(message: Any) -> Any:
    if message is None:
        return None
    made = any_pb2.Any()
    made.Pack(type(message).pb(message) if hasattr(type(message), "pb") else message)
    return made


def _parsed(row: Mapping[str, Any]) -> Operation:
    operation: Operation = Operation.FromString(bytes.fromhex(row["bytes"]))
    return operation
