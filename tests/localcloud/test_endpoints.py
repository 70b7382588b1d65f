"""Endpoints: their deployed models, how requests are split between these, and what is refused."""

import threading
from collections import Counter
from typing import Any

import pytest

from localcloud.client import is_alive
from localcloud.prediction_routes import Route, Target
from tests.conftest import WORLD, Program
from tests.eventually import eventually
from tests.localcloud.servers import MACHINE, Models

pytestmark = pytest.mark.slow


def test_the_traffic_is_split_at_random_by_the_shares(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    first = models.deployed(endpoint, model, {"0": 100})
    second = models.deployed(endpoint, model, {first: 50, "0": 50})
    assert models.ask("GET", endpoint)["trafficSplit"] == {first: 50, second: 50}
    for wanted in (first, second):
        eventually(lambda: models.predict(endpoint, [1])["deployedModelId"] == wanted)  # noqa: B023
    models.ask("PATCH", f"{endpoint}?updateMask=trafficSplit", {"trafficSplit": {second: 100}})
    assert {models.predict(endpoint, [1])["deployedModelId"] for _ in range(10)} == {second}
    for wrong in ({second: 90}, {second: 50, "99": 50}, {first: -10, second: 110}):
        path = f"{endpoint}?updateMask=trafficSplit"
        assert "traffic_split" in models.refused("PATCH", path, {"trafficSplit": wrong})


def test_each_model_gets_its_share() -> None:
    targets = [Target(name, "", "", None) for name in ("a", "b")]
    route = Route(targets, [70, 30])
    seen = [route.choose().id for _ in range(10_000)]
    assert 2600 < seen.count("b") < 3400, "eight standard deviations to each side"


def test_a_deployment_without_a_split_gets_no_traffic(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {})
    assert "trafficSplit" not in models.ask("GET", endpoint)
    refused = models.refused("POST", f"{endpoint}:predict", {"instances": [1]})
    assert refused == f"FAILED_PRECONDITION Endpoint `{endpoint}` doesn't have traffic_split."
    found = models.ask("GET", endpoint)
    body = {"trafficSplit": {own: 100}, "etag": found["etag"]}
    models.ask("PATCH", f"{endpoint}?updateMask=trafficSplit", body)
    assert models.predict(endpoint, [1])["predictions"] == [2]
    stale = models.refused("PATCH", f"{endpoint}?updateMask=trafficSplit", body, 409)
    assert stale.startswith("ABORTED")


def test_an_undeployed_model_must_have_no_traffic(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    first = models.deployed(endpoint, model, {"0": 100})
    second = models.deployed(endpoint, model, {first: 90, "0": 10})
    undeploy = f"{endpoint}:undeployModel"
    assert "10 percent" in models.refused("POST", undeploy, {"deployedModelId": second})
    assert "is deployed" in models.refused("DELETE", model.partition("@")[0])
    assert "undeploy" in models.refused("DELETE", endpoint)
    body = {"deployedModelId": second, "trafficSplit": {first: 100}}
    process = models.server(endpoint)
    assert "response" in models.done(models.ask("POST", undeploy, body))
    models.refused("POST", undeploy, {"deployedModelId": second}, 404)
    assert models.ask("GET", endpoint)["trafficSplit"] == {first: 100}
    assert "response" in models.done(models.ask("POST", undeploy, {"deployedModelId": first}))
    assert not is_alive(process)
    left = models.ask("GET", endpoint)
    assert "deployedModels" not in left
    assert "trafficSplit" not in left
    models.done(models.ask("DELETE", endpoint))
    models.refused("GET", endpoint, code=404)


def test_ids_of_deployed_models_are_taken_once(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    models.deployed(endpoint, model, {"0": 100}, id="5")
    body = {"deployedModel": {"model": model, "dedicatedResources": MACHINE, "id": "5"}}
    refused = models.refused("POST", f"{endpoint}:deployModel", body, 409)
    assert refused.startswith("ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("deployed", "words"),
    [
        ({"id": "12345678901"}, "deployed_model.id"),
        ({"id": "a"}, "deployed_model.id"),
        ({"id": "0"}, "deployed_model.id"),
        ({"model": ""}, "deployed_model.model"),
        ({"dedicatedResources": None}, "deployed_model.dedicated_resources"),
        ({"dedicatedResources": None, "automaticResources": {}}, "not supported"),
        ({"dedicatedResources": {**MACHINE, "minReplicaCount": 0}}, "min_replica_count"),
        ({"dedicatedResources": {**MACHINE, "minReplicaCount": 2, "maxReplicaCount": 1}}, "max_replica"),
        ({"dedicatedResources": {"machineSpec": {"machineType": "big"}, "minReplicaCount": 1}}, "'big'"),
    ],
)
def test_what_is_wrong_with_a_deployment_is_named(
    models: Models, model: str, deployed: dict[str, Any], words: str
) -> None:
    given = {"model": model, "dedicatedResources": MACHINE, **deployed}
    body = {"deployedModel": {key: one for key, one in given.items() if one is not None}}
    assert words in models.refused("POST", f"{models.endpoint()}:deployModel", body)


def test_an_endpoint_s_id_is_letters_or_a_number(models: Models) -> None:
    for wrong in ("A", "a_b", "a-", "-a", "0", "012", "1234567890", "1a", "a" * 64):
        path = f"endpoints?endpointId={wrong}"
        assert "endpoint_id" in models.refused("POST", path, {"displayName": "a"})
    own = models.endpoint().rsplit("/", 1)[1]
    again = models.refused("POST", f"endpoints?endpointId={own}", {"displayName": "a"}, 409)
    assert again.startswith("ALREADY_EXISTS")
    [found] = models.ask("GET", f"endpoints?filter=endpoint={own}")["endpoints"]
    assert found["name"].endswith(f"/{own}")


def test_no_request_is_lost_while_models_come_and_go(models: Models, model: str) -> None:
    endpoint, stop = models.endpoint(), threading.Event()
    first = models.deployed(endpoint, model, {"0": 100})
    patch = f"{endpoint}?updateMask=trafficSplit"

    def ask() -> Counter[int]:
        url, session, body = (
            f"{models.address}/{endpoint}:predict",
            models.jobs.new(),
            {"instances": [1]},
        )
        codes = Counter[int]()
        while not stop.is_set():
            codes[session.post(url, json=body).status_code] += 1
        return codes

    with models.beside(ask) as asked:
        second = models.deployed(endpoint, model, {first: 50, "0": 50})
        models.ask("PATCH", patch, {"trafficSplit": {second: 100}})
        models.done(models.ask("POST", f"{endpoint}:undeployModel", {"deployedModelId": first}))
        third = models.deployed(endpoint, model, {second: 10, "0": 90})
        last = {"deployedModelId": second, "trafficSplit": {third: 100}}
        models.done(models.ask("POST", f"{endpoint}:undeployModel", last))
        stop.set()
    assert list(asked.result()) == [200]


def test_the_number_of_replicas_is_changed_and_nothing_else(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {"0": 100})
    mutate, at = f"{endpoint}:mutateDeployedModel", "dedicatedResources"

    def body(field: str, value: dict[str, Any]) -> dict[str, Any]:
        return {"deployedModel": {"id": own, at: value}, "updateMask": f"{at}.{field}"}

    models.done(models.ask("POST", mutate, body("maxReplicaCount", {"maxReplicaCount": 3})))
    [found] = models.ask("GET", endpoint)["deployedModels"]
    assert found[at] == {**MACHINE, "maxReplicaCount": 3}
    assert "min_replica_count" in models.refused("POST", mutate, body("minReplicaCount", {}))
    assert "cannot be changed" in models.refused("POST", mutate, body("machineSpec", {}))


def test_the_sdk_s_own_endpoint(models: Models, model: str, program: Program) -> None:
    answer = program(f"""
from google.cloud import aiplatform
aiplatform.init(project={WORLD.project!r}, location={WORLD.region!r})
model = aiplatform.Model({model!r})
endpoint = aiplatform.Endpoint.create(display_name="SDK", endpoint_id={models.id()!r})
more = dict(machine_type="n1-standard-2", min_replica_count=1, max_replica_count=2)
endpoint.deploy(model, deployed_model_display_name="champion", traffic_percentage=100, **more)
[first] = [one.id for one in endpoint.list_models()]
endpoint.deploy(model, deployed_model_display_name="challenger", traffic_percentage=10, **more)
[second] = [one.id for one in endpoint.list_models() if one.id != first]
answer = [endpoint.traffic_split == {{first: 90, second: 10}}]
found = endpoint.predict(instances=[[1.5], [2]])
answer.append([found.predictions, found.deployed_model_id in (first, second),
    found.model_version_id, found.model_resource_name])
raw = endpoint.raw_predict(b"abc", headers={{"Content-Type": "text/plain"}})
served = raw.headers["X-Vertex-AI-Deployed-Model-Id"]
answer.append([raw.status_code, raw.text, served in (first, second)])
endpoint.update(traffic_split={{first: 100, second: 0}})
endpoint.undeploy(second)
endpoint.undeploy_all()
answer.append(endpoint.list_models())
endpoint.delete()
""")
    name = model.partition("@")[0]
    assert answer == [True, [[[1.5, 1.5], [2, 2]], True, "1", name], [200, "cba", True], []]
