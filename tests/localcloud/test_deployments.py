"""The servers of deployed models: what they see, how they fail, end and come back."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.client import Client, free_port, is_alive
from localcloud.logs import available
from tests.conftest import WORLD
from tests.eventually import eventually
from tests.localcloud.servers import MACHINE, Models

pytestmark = pytest.mark.slow


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Models]:
    """The models of a local cloud that may be killed."""
    client = Client(tmp_path / "cloud")
    client.up(WORLD, free_port())
    try:
        yield Models(client)
    finally:
        client.down()


def test_a_server_sees_its_image_and_what_vertex_tells_it(models: Models) -> None:
    env = [{"name": "GREETING", "value": "hello"}]
    args = ["server.py", "--at=$(AIP_HTTP_PORT)", "$$(AIP_MODE)"]
    container = models.container(env=env, command=["python"], args=args)
    endpoint = models.endpoint()
    own = models.upload(model={"containerSpec": container})
    deployed = models.deployed(endpoint, own, {"0": 100}, id="7", displayName="one")
    seen = models.told(endpoint)
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


def test_a_server_that_dies_at_load_fails_the_deployment(models: Models) -> None:
    endpoint = models.endpoint()
    failed = models.done(models.deploy(endpoint, models.quick("dies at load", 60), {"0": 100}))["error"]
    assert failed["code"] == 9
    assert failed["message"].startswith("Model server exited unexpectedly (code 1).")
    assert failed["message"].splitlines()[1:] == ["mode dies at load", "no model was found"]
    assert "deployedModels" not in models.ask("GET", endpoint)


def test_a_server_that_is_never_healthy_fails_the_deployment(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {"0": 100})
    late = models.quick("never healthy")
    failed = models.done(models.deploy(endpoint, late, {own: 50, "0": 50}, id="3"))["error"]
    assert failed["message"].startswith("Model server never became ready within 1 seconds.")
    asked = r"at /health of port \d+, which AIP_HTTP_PORT tells the server\."
    assert re.search(asked, failed["message"])
    assert models.ask("GET", endpoint)["trafficSplit"] == {own: 100}
    eventually(lambda: not models.serving(endpoint, "3"))


def test_an_image_that_is_not_there_fails_the_deployment(models: Models) -> None:
    image = "europe-west1-docker.pkg.dev/test-project/retrain/none:v1"
    own = models.upload(model={"containerSpec": {"imageUri": image}})
    failed = models.done(models.deploy(models.endpoint(), own, {"0": 100}))["error"]
    assert failed["message"] == f"Model server image {image} was not found: it is not in the registry."


def test_a_cancelled_deployment_ends_its_server(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    operation = models.deploy(endpoint, models.quick("never healthy", 600), {"0": 100}, id="4")
    eventually(lambda: models.serving(endpoint, "4"))
    body = {"deployedModel": {"model": model, "dedicatedResources": MACHINE}}
    busy = models.refused("POST", f"{endpoint}:deployModel", body)
    assert f"Operation(s) are: {operation['name']}." in busy
    found = models.ask("GET", f"{endpoint}/operations")["operations"]
    assert operation["name"] in [one["name"] for one in found if not one.get("done")]
    assert not models.ask("POST", f"{operation['name']}:wait?timeout=0.1s").get("done")
    models.ask("POST", f"{operation['name']}:cancel")
    assert models.done(operation)["error"]["code"] == 1
    eventually(lambda: not models.serving(endpoint, "4"))
    assert models.deployed(endpoint, model, {"0": 100}, id="4") == "4"


def test_a_server_that_dies_is_started_again(models: Models, model: str) -> None:
    endpoint = models.endpoint()
    own = models.deployed(endpoint, model, {"0": 100})
    process = models.server(endpoint)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: models.log(endpoint, own) == 2 * "mode healthy\n")
    url = f"{models.address}/{endpoint}:predict"
    eventually(lambda: models.session.post(url, json={"instances": [1]}).ok)
    assert models.server(endpoint) != process


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
    assert models.serving(endpoint, own) == []


def test_deployed_models_come_back_with_the_local_cloud(mortal: Models) -> None:
    endpoint, port = mortal.endpoint(), free_port()
    mortal.deployed(endpoint, mortal.upload(), {"0": 100}, id="6")
    stuck = mortal.quick("never healthy", 600)
    operation = mortal.deploy(endpoint, stuck, {}, id="8")
    process = mortal.server(endpoint)
    mortal.cloud.down()
    assert not is_alive(process)
    mortal.cloud.up(WORLD, port)
    again = Models(mortal.cloud)
    assert again.done(operation)["error"]["message"].startswith("The deployment was broken off")
    url = f"{again.address}/{endpoint}:predict"
    eventually(lambda: again.session.post(url, json={"instances": [1]}).ok)
    process = again.server(endpoint)
    assert mortal.cloud._process
    mortal.cloud._process.kill()
    mortal.cloud._process.wait()
    eventually(lambda: not is_alive(process))
