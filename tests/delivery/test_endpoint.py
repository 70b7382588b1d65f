"""What an endpoint is asked for, and what is told of its refusals: Vertex AI's client is not real."""

import time
from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition, ResourceExhausted
from google.longrunning.operations_pb2 import ListOperationsResponse, Operation

from delivery import endpoint
from delivery.endpoint import Endpoint
from delivery.serving_names import Machine, deployed_id, model_id
from flows import google_identity
from flows.errors import RetrainError
from tests.delivery import evidence

V1, V2 = evidence.OLD, evidence.CHAMPION
MACHINE = Machine("n1-standard-2")


class Client:
    """Vertex AI's client of endpoints: one endpoint, with V1 deployed at 0 %."""

    def __init__(self, **_: Any) -> None:
        self.asked: list[Any] = []
        self.refusal: Exception | None = None

    def get_endpoint(self, **_: Any) -> Any:
        from google.cloud.aiplatform_v1.types import DeployedModel
        from google.cloud.aiplatform_v1.types import Endpoint as Found

        model = f"projects/p/locations/l/models/{model_id('recommender', 'local')}@1"
        spec = {"machine_spec": {"machine_type": MACHINE.type}, "min_replica_count": 1}
        one = DeployedModel(
            id=deployed_id(V1, MACHINE), display_name=V1, model=model, dedicated_resources=spec
        )
        return Found(labels={"flow": "recommender", "environment": "local"}, deployed_models=[one])

    def list_operations(self, **_: Any) -> ListOperationsResponse:
        return ListOperationsResponse()

    def get_operation(self, **_: Any) -> Operation:
        return Operation(name="operations/1", done=True)

    def deploy_model(self, request: Any, **_: Any) -> Any:
        self.asked.append(request)
        if self.refusal:
            raise self.refusal
        return type("Begun", (), {"operation": Operation(name="operations/1")})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    from google.cloud.aiplatform_v1.services import endpoint_service

    monkeypatch.setattr(endpoint_service, "EndpointServiceClient", Client)
    monkeypatch.setattr(google_identity, "credentials", lambda: None)
    return Endpoint(evidence.environment(), "recommender")


@pytest.mark.parametrize(("is_champion", "split"), [(True, {endpoint.NEW: 100}), (False, None)])
def test_the_champion_alone_may_get_all_of_the_traffic(
    made: Endpoint, is_champion: bool, split: dict[str, int] | None
) -> None:
    made.deploy((V2, "2"), MACHINE, (1, 1), is_champion)
    assert made._client.asked[0].get("traffic_split") == split


@pytest.mark.parametrize("kind", [FailedPrecondition, ResourceExhausted])
def test_a_refusal_that_lasts_is_told(
    made: Endpoint, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    made._client.refusal = kind("the quota is used up")
    with pytest.raises(RetrainError, match="could not be deployed: the quota is used up"):
        made.deploy((V2, "2"), MACHINE, (1, 1), is_champion=False)
