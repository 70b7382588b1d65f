"""Endpoints whose deployed models are real servers: deployed, split, and taken away."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.client import Client, free_port, is_alive
from localcloud.logs import available
from localcloud.prediction_routes import Route, Target
from tests.conftest import WORLD, Program
from tests.eventually import eventually
from tests.localcloud.servers import MACHINE, Models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(cloud: Client) -> Models:
    return Models(cloud)


@pytest.fixture(scope="module")
def model(models: Models) -> str:
    """A model whose servers are healthy."""
    return models.upload()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Models]:
    """The models of a local cloud that may be killed."""
    client = Client(tmp_path / "cloud")
    client.up(WORLD, free_port())
    try:
        yield Models(client)
    finally:
        client.down()


def error(models: Models, verb: str, path: str, body: Any = None, code: int = 400) -> str:
    """How a call is refused."""
    found = models.ask(verb, path, body, code)["error"]
    return f"{found['status']} {found['message']}"


def told(models: Models, endpoint: str) -> dict[str, str]:
    """The whole environment of a server."""
    return dict(models.predict(endpoint, ["environment"])["predictions"][0])


def server(models: Models, endpoint: str) -> int:
    """The process that answers."""
    return int(told(models, endpoint)["PID"])


def test_a_server_sees_its_image_and_what_vertex_tells_it(models: Models) -> None:
    env = [{"name": "GREETING", "value": "hello"}]
    args = ["server.py", "--at=$(AIP_HTTP_PORT)", "$$(AIP_MODE)"]
    container = models.container(env=env, command=["python"], args=args)
    endpoint = models.endpoint()
    own = models.upload(model={"containerSpec": container})
    deployed = models.deployed(endpoint, own, {"0": 100}, id="7", displayName="one")
    seen = told(models, endpoint)
    assert {key: value for key, value in seen.items() if key.startswith("AIP_")} == {
        "AIP_DEPLOYED_MODEL_ID": deployed,
        "AIP_ENDPOINT_ID": endpoint.rsplit("/", 1)[1],
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_HTTP_PORT": seen["AIP_HTTP_PORT"],
        "AIP_MACHINE_TYPE": "n1-standard-2",
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_MODEL_NAME": own.rsplit("/", 1)[1].partition("@")[0],
        "AIP_PREDICT_ROUTE": "/predict",
        "AIP_PROJECT_NUMBER": WORLD.project_number,
        "AIP_STORAGE_URI": "",
        "AIP_VERSION_NAME": deployed,
    }
    assert seen["GREETING"] == "hello"
    assert seen["ARGUMENTS"] == f"--at={seen['AIP_HTTP_PORT']} $(AIP_MODE)"
    assert not {"GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GOOGLE_APPLICATION_CREDENTIALS"} & set(seen)
    assert seen["HOME"].startswith(str(models.cloud.root))
    [shown] = models.ask("GET", endpoint)["deployedModels"]
    assert (shown["displayName"], shown["modelVersionId"]) == ("one", "1")
    assert models.ask("GET", own)["deployedModels"] == [{"endpoint": endpoint, "deployedModelId": "7"}]
    name = f"{endpoint.rsplit('/', 1)[1]}/7"
    assert models.log(endpoint, "7") == "mode healthy\n"
    assert name in available(models.cloud.root)


def test_a_server_reads_its_copy_of_the_artifacts_and_nothing_else(models: Models) -> None:
    upload = "https://storage.googleapis.com/upload/storage/v1/b/runs/o?uploadType=media&name="
    folder = models.id()
    assert models.session.post(f"{upload}{folder}/weights", data=b"42").ok
    source = f"gs://runs/{folder}"
    own = models.upload("reads", model={"artifactUri": source})
    endpoint = models.endpoint()
    models.deployed(endpoint, own, {"0": 100})
    assert models.predict(endpoint, [source])["predictions"] == [[200, "42", 403]]


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
        assert "traffic_split" in error(models, "PATCH", path, {"trafficSplit": wrong})


def test_each_model_gets_its_share() -> None:
    targets = [Target(name, "", "", "", None) for name in ("a", "b")]
    route = Route(targets, [70, 30])
    seen = [route.choose().id for _ in range(10_000)]
    assert 2600 < seen.count("b") < 3400, "eight standard deviations to each side"


def test_a_deployment_without_a_split_gets_no_traffic(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {})
    assert "trafficSplit" not in models.ask("GET", endpoint)
    refused = error(models, "POST", f"{endpoint}:predict", {"instances": [1]})
    assert refused == f"FAILED_PRECONDITION Endpoint `{endpoint}` doesn't have traffic_split."
    found = models.ask("GET", endpoint)
    body = {"trafficSplit": {own: 100}, "etag": found["etag"]}
    models.ask("PATCH", f"{endpoint}?updateMask=trafficSplit", body)
    assert models.predict(endpoint, [1])["predictions"] == [2]
    stale = error(models, "PATCH", f"{endpoint}?updateMask=trafficSplit", body, 409)
    assert stale.startswith("ABORTED")


def test_an_undeployed_model_must_have_no_traffic(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    first = models.deployed(endpoint, model, {"0": 100})
    second = models.deployed(endpoint, model, {first: 90, "0": 10})
    undeploy = f"{endpoint}:undeployModel"
    assert "10 percent" in error(models, "POST", undeploy, {"deployedModelId": second})
    assert "is deployed" in error(models, "DELETE", model.partition("@")[0])
    assert "undeploy" in error(models, "DELETE", endpoint)
    body = {"deployedModelId": second, "trafficSplit": {first: 100}}
    process = server(models, endpoint)
    assert "response" in models.done(models.ask("POST", undeploy, body))
    error(models, "POST", undeploy, {"deployedModelId": second}, 404)
    assert models.ask("GET", endpoint)["trafficSplit"] == {first: 100}
    assert "response" in models.done(models.ask("POST", undeploy, {"deployedModelId": first}))
    assert not is_alive(process)
    left = models.ask("GET", endpoint)
    assert "deployedModels" not in left
    assert "trafficSplit" not in left
    models.done(models.ask("DELETE", endpoint))
    error(models, "GET", endpoint, code=404)


def test_ids_of_deployed_models_are_taken_once(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    models.deployed(endpoint, model, {"0": 100}, id="5")
    body = {"deployedModel": {"model": model, "dedicatedResources": MACHINE, "id": "5"}}
    refused = error(models, "POST", f"{endpoint}:deployModel", body, 409)
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
    assert words in error(models, "POST", f"{models.endpoint()}:deployModel", body)


def test_an_endpoint_s_id_is_letters_or_a_number(models: Models) -> None:
    for wrong in ("A", "a_b", "a-", "-a", "0", "012", "1234567890", "1a", "a" * 64):
        path = f"endpoints?endpointId={wrong}"
        assert "endpoint_id" in error(models, "POST", path, {"displayName": "a"})
    own = models.endpoint().rsplit("/", 1)[1]
    again = error(models, "POST", f"endpoints?endpointId={own}", {"displayName": "a"}, 409)
    assert again.startswith("ALREADY_EXISTS")
    [found] = models.ask("GET", f"endpoints?filter=endpoint={own}")["endpoints"]
    assert found["name"].endswith(f"/{own}")


def quick(models: Models, mode: str, seconds: int = 1) -> str:
    """A model whose deployments must be healthy soon."""
    container = models.container(mode, deploymentTimeout=f"{seconds}s")
    return models.upload(model={"containerSpec": container})


def test_a_server_that_dies_at_load_fails_the_deployment(models: Models) -> None:
    endpoint = models.endpoint()
    failed = models.done(models.deploy(endpoint, quick(models, "dies at load", 60), {"0": 100}))["error"]
    assert failed["code"] == 9
    assert failed["message"].startswith("Model server exited unexpectedly (code 1).")
    assert failed["message"].splitlines()[1:] == ["mode dies at load", "no model was found"]
    assert "deployedModels" not in models.ask("GET", endpoint)


def test_a_server_that_is_never_healthy_fails_the_deployment(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {"0": 100})
    late = quick(models, "never healthy")
    failed = models.done(models.deploy(endpoint, late, {own: 50, "0": 50}, id="3"))["error"]
    assert failed["message"].startswith("Model server never became ready within 1 seconds.")
    assert models.ask("GET", endpoint)["trafficSplit"] == {own: 100}
    eventually(lambda: not serving(models, endpoint, "3"))


def serving(models: Models, endpoint: str, deployed: str) -> list[int]:
    """The processes of a deployed model."""
    home = models.cloud.root / "endpoints" / endpoint.rsplit("/", 1)[1] / f"server-{deployed}"
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"HOME={home}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_an_image_that_is_not_there_fails_the_deployment(models: Models) -> None:
    image = "europe-west1-docker.pkg.dev/test-project/retrain/none:v1"
    own = models.upload(model={"containerSpec": {"imageUri": image}})
    failed = models.done(models.deploy(models.endpoint(), own, {"0": 100}))["error"]
    assert failed["message"] == f"Model server image {image} was not found: it is not in the registry."


def test_a_cancelled_deployment_ends_its_server(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    operation = models.deploy(endpoint, quick(models, "never healthy", 600), {"0": 100}, id="4")
    eventually(lambda: serving(models, endpoint, "4"))
    body = {"deployedModel": {"model": model, "dedicatedResources": MACHINE}}
    busy = error(models, "POST", f"{endpoint}:deployModel", body)
    assert f"Operation(s) are: {operation['name']}." in busy
    found = models.ask("GET", f"{endpoint}/operations")["operations"]
    assert operation["name"] in [one["name"] for one in found if not one.get("done")]
    assert not models.ask("POST", f"{operation['name']}:wait?timeout=0.1s").get("done")
    models.ask("POST", f"{operation['name']}:cancel")
    assert models.done(operation)["error"]["code"] == 1
    eventually(lambda: not serving(models, endpoint, "4"))
    assert models.deployed(endpoint, model, {"0": 100}, id="4") == "4"


def test_a_server_that_dies_is_started_again(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {"0": 100})
    process = server(models, endpoint)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: models.log(endpoint, own) == 2 * "mode healthy\n")
    url = f"{models.address}/{endpoint}:predict"
    eventually(lambda: models.session.post(url, json={"instances": [1]}).ok)
    assert server(models, endpoint) != process


def test_a_server_is_told_to_end_and_its_last_request_is_answered(
    models: Models, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    container = models.container("slow", env=[{"name": "GO", "value": str(go)}])
    endpoint = models.endpoint()
    own = models.deployed(endpoint, models.upload(model={"containerSpec": container}), {"0": 100})
    with models.beside(lambda: models.predict(endpoint, [21])) as answer:
        eventually(lambda: "began" in models.log(endpoint, own))
        operation = models.ask("POST", f"{endpoint}:undeployModel", {"deployedModelId": own})
        assert "done" not in models.ask("GET", operation["name"])
        go.touch()
    assert answer.result()["predictions"] == [42]
    assert "response" in models.done(operation)
    assert serving(models, endpoint, own) == []


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
    assert "min_replica_count" in error(models, "POST", mutate, body("minReplicaCount", {}))
    assert "cannot be changed" in error(models, "POST", mutate, body("machineSpec", {}))


def test_deployed_models_come_back_with_the_local_cloud(mortal: Models) -> None:
    endpoint, port = mortal.endpoint(), free_port()
    mortal.deployed(endpoint, mortal.upload(), {"0": 100}, id="6")
    stuck = quick(mortal, "never healthy", 600)
    operation = mortal.deploy(endpoint, stuck, {}, id="8")
    process = server(mortal, endpoint)
    mortal.cloud.down()
    assert not is_alive(process)
    mortal.cloud.up(WORLD, port)
    again = Models(mortal.cloud)
    assert again.done(operation)["error"]["message"].startswith("The deployment was broken off")
    url = f"{again.address}/{endpoint}:predict"
    eventually(lambda: again.session.post(url, json={"instances": [1]}).ok)
    process = server(again, endpoint)
    assert mortal.cloud._process
    mortal.cloud._process.kill()
    mortal.cloud._process.wait()
    eventually(lambda: not is_alive(process))


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
