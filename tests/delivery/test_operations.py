"""How long a roll-out waits for what Vertex AI does."""

import time
from typing import Any

import pytest
from google.longrunning.operations_pb2 import ListOperationsResponse, Operation

from delivery.operations import LONGEST, Operations
from flows.errors import RetrainError

NAME = "projects/p/locations/l/endpoints/recommender-local/operations/7"


class Endless:
    """A client that tells of one operation, which never ends."""

    def list_operations(self, **_: Any) -> ListOperationsResponse:
        return ListOperationsResponse(operations=[Operation(name=NAME)])

    def get_operation(self, **_: Any) -> Operation:
        return Operation(name=NAME)


def test_an_operation_that_never_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(slept))
    with pytest.raises(RetrainError, match=f"{NAME} has not ended in 2 hours"):
        Operations(Endless()).settle("projects/p/locations/l/endpoints/recommender-local")
    assert LONGEST < sum(slept) < LONGEST + 60
