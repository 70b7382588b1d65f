"""How long a roll-out waits for what Vertex AI does."""

import time
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.longrunning.operations_pb2 import ListOperationsResponse, Operation

from delivery.model_registry import ModelRegistry, Registered
from delivery.operations import LONGEST, TRIES, Operations
from flows import google_identity
from flows.errors import RetrainError
from tests.delivery import evidence

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


class Busy:
    """Vertex AI's client of models, which has no model, and no time for what it is asked."""

    def __init__(self, **_: Any) -> None:
        self.asked = 0

    def list_operations(self, **_: Any) -> ListOperationsResponse:
        return ListOperationsResponse()

    def list_model_versions(self, **_: Any) -> list[Any]:
        return []

    def list_model_evaluations(self, **_: Any) -> list[Any]:
        return []

    def upload_model(self, **_: Any) -> Any:
        self.asked += 1
        raise ServiceUnavailable("the quota of uploads is used up")

    import_model_evaluation = upload_model


def test_why_a_version_could_not_be_registered_or_measured_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from google.cloud.aiplatform_v1.services import model_service

    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(model_service, "ModelServiceClient", Busy)
    monkeypatch.setattr(google_identity, "credentials", lambda: None)
    registry = ModelRegistry(evidence.environment(), "recommender")
    one = Registered(evidence.VERSION, "1", "", "", "", frozenset())
    with pytest.raises(
        RetrainError, match=r"not be registered: .*: 503 the quota of uploads is used up"
    ):
        registry.register(evidence.model(), "")
    with pytest.raises(RetrainError, match=r"its metrics: .*: 503 the quota of uploads is used up"):
        registry.evaluate(one, evidence.manifest(), "gs://serving/schema")
    assert registry._client.asked == 2 * TRIES
