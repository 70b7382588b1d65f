"""What a deployment leaves, by itself: no server runs, and no local cloud of its own."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types
from google.protobuf import struct_pb2

from localcloud.endpoints import Endpoints
from localcloud.endpoints_deployments import Deployments
from localcloud.errors import ApiError
from localcloud.models import Models
from localcloud.monitoring_points import Points
from localcloud.operations import Operations
from localcloud.predictions import Predictions
from localcloud.registry import Registry
from localcloud.rpc import Caller
from localcloud.serving_client import Answer
from localcloud.serving_names import generic
from tests.eventually import eventually
from tests.localcloud.served import new_cloud

PARENT = "projects/123456789012/locations/europe-west1"
IMAGE = "europe-west1-docker.pkg.dev/acme-ml/images/none:v1"


class Site:
    """A model, an endpoint, and the services that know them."""

    def __init__(self, root: Path) -> None:
        self.cloud = new_cloud(root)
        self.caller = Caller(self.cloud.world.owner, "")
        self.models, self.operations = Models(self.cloud), Operations(self.cloud)
        self.endpoints = Endpoints(self.cloud, Registry(self.cloud))
        self.points = Points(self.cloud.store)
        model = types.Model(display_name="a", container_spec={"image_uri": IMAGE})
        asked = types.UploadModelRequest(parent=PARENT, model=model, model_id="m")
        self.models.upload(asked, self.caller)
        created = types.CreateEndpointRequest(parent=PARENT, endpoint_id="e", endpoint={})
        self.endpoints.create(created, self.caller)
        self.endpoint, self.model = f"{PARENT}/endpoints/e", f"{PARENT}/models/m"

    def put(self) -> types.Endpoint:
        """The endpoint, with the model deployed."""
        made = self.endpoints.rows.find(self.endpoint)
        made.deployed_models = [{"id": "1", "model": self.model, "model_version_id": "1"}]
        made.traffic_split = {"1": 100}
        return self.endpoints.rows.put(made)

    def delete_model(self) -> None:
        self.models.delete(types.DeleteModelRequest(name=self.model), self.caller)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.endpoints.servers._replicas.clear()
    made.endpoints.close()
    made.points.close()
    made.cloud.store.close()


@pytest.mark.parametrize("gone", ["model", "image"])
def test_what_cannot_be_started_again_stops_nobody_and_says_so(site: Site, gone: str) -> None:
    if gone == "model":
        site.delete_model()
    site.put()
    site.endpoints.start()
    assert site.endpoints.servers.find((site.endpoint, "1")) is None
    said = site.endpoints.servers.log("e", "1").read_text()
    assert said.startswith("error: the server cannot be started: ")
    assert ("does not exist" if gone == "model" else f"image {IMAGE} was not found") in said


@pytest.mark.parametrize("kind", ["DeployModel", "UndeployModel"])
def test_what_a_stop_broke_off_ends_with_its_own_response_or_error(site: Site, kind: str) -> None:
    begun = getattr(types, f"{kind}OperationMetadata")(generic_metadata=generic())
    name = site.operations.start(site.endpoint, begun).name
    site.endpoints.start()
    ended = site.operations.get(SimpleNamespace(name=name), None)
    if kind == "DeployModel":
        assert ended.error.message.startswith("The deployment was broken off")
    else:
        assert ended.response.type_url.endswith(".UndeployModelResponse")


def test_a_model_that_is_deleted_while_it_is_deployed_is_not_deployed(site: Site) -> None:
    class Servers:
        """Its server is healthy at once; meanwhile the model goes."""

        stopped = Event()

        def log(self, *_: str) -> Path:
            return site.cloud.root / "log"

        def start(self, *_: Any) -> Any:
            site.delete_model()
            ready = Event()
            ready.set()
            return SimpleNamespace(ready=ready, spec=SimpleNamespace(deadline=9.0))

        def stop(self, *_: Any, **__: Any) -> None:
            self.stopped.set()

    servers: Any = Servers()
    deployments = Deployments(site.cloud, site.endpoints.rows, servers, site.operations)
    machine = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}
    deployed = types.DeployedModel(model=site.model, dedicated_resources=machine)
    asked = types.DeployModelRequest(endpoint=site.endpoint, deployed_model=deployed)
    operation = deployments.deploy(asked, site.caller)
    eventually(lambda: site.operations.is_done(operation.name))
    ended = site.operations.get(operation, None)
    assert (ended.error.code, servers.stopped.is_set()) == (5, True)
    assert not site.endpoints.rows.find(site.endpoint).deployed_models


class Said:
    """A server that says the same to everyone."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def post(self, *_: Any) -> Answer:
        return Answer(200, "application/json", self.body)


class Predicted:
    """Predictions through the deployed model."""

    def __init__(self, site: Site, said: bytes) -> None:
        site.put()
        replica: Any = Said(said)
        site.endpoints.servers._replicas[site.endpoint, "1"] = replica
        self.points = site.points
        self.calls = Predictions(site.cloud, site.endpoints, self.points)
        self._site = site

    def ask(self) -> types.PredictResponse:
        one = struct_pb2.Value(number_value=1)
        asked = types.PredictRequest.pb()(endpoint=self._site.endpoint, instances=[one])
        return self.calls.predict(types.PredictRequest.wrap(asked), self._site.caller)

    def codes(self) -> list[tuple[int, int]]:
        """Of all answers so far, with what was predicted."""
        return [(one.code, one.predictions) for one in self.points.list()]


def test_an_answer_has_the_model_s_name_as_it_is_now(site: Site) -> None:
    asked = Predicted(site, b'{"predictions": [2]}')
    assert asked.ask().model_display_name == "a"
    model = types.Model(name=site.model, display_name="b")
    site.models.update(
        types.UpdateModelRequest(model=model, update_mask={"paths": ["display_name"]}), site.caller
    )
    assert asked.ask().model_display_name == "b"


@pytest.mark.parametrize("said", ['{"predictions": {"a": 1}}', '{"predictions": 1}', "{}", "[]", "{"])
def test_an_answer_without_a_list_of_predictions_is_an_error_and_counts_as_one(
    site: Site, said: str
) -> None:
    asked = Predicted(site, said.encode())
    with pytest.raises(ApiError, match="no JSON object with a list of predictions"):
        asked.ask()
    assert asked.codes() == [(500, 0)]


def test_a_model_s_etag_is_compared_and_a_deployment_changes_it_not(site: Site) -> None:
    def known(name: str = site.model) -> str:
        return str(site.models.get(types.GetModelRequest(name=name), site.caller).etag)

    def update(tag: str, name: str) -> None:
        model = types.Model(name=site.model, display_name=name, etag=tag)
        asked = types.UpdateModelRequest(model=model, update_mask={"paths": ["display_name"]})
        site.models.update(asked, site.caller)

    first = known()
    site.put()
    assert known() == known(f"{site.model}@1") == first
    update(first, "b")
    assert known() != first
    with pytest.raises(ApiError, match="was changed meanwhile"):
        update(first, "c")
    update("", "c")


def test_a_model_is_not_deleted_by_the_name_of_a_version(site: Site) -> None:
    with pytest.raises(ApiError, match="DeleteModelVersion deletes it"):
        site.models.delete(types.DeleteModelRequest(name=f"{site.model}@1"), site.caller)
    site.delete_model()


def test_an_alias_may_end_with_a_dash_and_a_dash_alone_is_the_default(site: Site) -> None:
    asked = types.MergeVersionAliasesRequest(name=f"{site.model}@1", version_aliases=["rc-"])
    site.models.merge_aliases(asked, site.caller)
    for alias in ("rc-", "-", "default"):
        found = site.models.get(types.GetModelRequest(name=f"{site.model}@{alias}"), site.caller)
        assert found.version_id == "1"
