"""The Model Registry over REST and through the unmodified SDK: versions, aliases, evaluations."""

from typing import Any

import pytest

from tests.conftest import WORLD, Program
from tests.localcloud.servers import Models

pytestmark = pytest.mark.slow


def aliases(models: Models, name: str) -> dict[str, list[str]]:
    """Each version's aliases."""
    found = models.ask("GET", f"{name}:listVersions")["models"]
    return {one["versionId"]: one.get("versionAliases", []) for one in found}


def test_the_first_version_is_the_default_and_later_ones_are_not(models: Models) -> None:
    own = models.id()
    first = models.upload(modelId=own, model={"versionAliases": ["v1-a"]})
    name = first.partition("@")[0]
    assert first == f"{name}@1"
    assert name == f"projects/{WORLD.project_number}/locations/{WORLD.region}/models/{own}"
    second = models.upload(parentModel=name, model={"displayName": "Again"})
    assert second == f"{name}@2"
    third = models.upload(parentModel=name, model={"versionAliases": ["v3-a", "default"]})
    assert third == f"{name}@3"
    assert aliases(models, name) == {"3": ["default", "v3-a"], "2": [], "1": ["v1-a"]}
    found = models.ask("GET", name)
    assert (found["versionId"], found["name"], found["displayName"]) == ("3", name, "Doubles")
    assert models.ask("GET", f"{name}@v1-a")["versionId"] == "1"
    assert models.ask("GET", f"{name}@2")["name"] == second
    for wrong in (f"{name}@4", f"{name}@nobody", f"{name}-x"):
        assert "does not exist" in models.refused("GET", wrong, code=404)


def test_an_id_is_taken_once(models: Models) -> None:
    name = models.upload().partition("@")[0]
    body = {"modelId": name.rsplit("/", 1)[1], "model": {"displayName": "a"}}
    body["model"] = {"displayName": "a", "containerSpec": models.container()}
    assert models.refused("POST", "models:upload", body, 409).startswith("ALREADY_EXISTS")
    body = {"parentModel": f"{name}-x", "model": body["model"]}
    assert models.refused("POST", "models:upload", body, 404).startswith("NOT_FOUND")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("modelId", "1abc", "model_id"),
        ("modelId", "a" * 64, "model_id"),
        ("containerSpec", {}, "model.container_spec"),
        ("containerSpec", {"imageUri": "python:3.12"}, "model.container_spec.image_uri"),
        ("containerSpec", {"env": [{"name": "AIP_MODE", "value": "x"}]}, "container_spec.env"),
        ("containerSpec", {"healthRoute": "health"}, "model.container_spec.health_route"),
        ("containerSpec", {"ports": [{"containerPort": 70000}]}, "model.container_spec.ports"),
        ("artifactUri", "s3://a/b", "model.artifact_uri"),
        ("labels", {"Upper": "a"}, "model.labels"),
        ("versionAliases", ["7"], "model.version_aliases"),
    ],
)
def test_what_is_wrong_with_a_model_is_named(models: Models, field: str, value: Any, words: str) -> None:
    spec = models.container()
    model: dict[str, Any] = {"displayName": "a", "containerSpec": spec}
    body: dict[str, Any] = {"modelId": models.id(), "model": model}
    if field == "containerSpec" and value:
        spec |= value
    else:
        (body if field == "modelId" else model)[field] = value
    assert words in models.refused("POST", "models:upload", body)


def test_a_version_has_its_own_copy_of_the_artifacts(models: Models) -> None:
    storage = "https://storage.googleapis.com"
    put = f"{storage}/upload/storage/v1/b/runs/o?uploadType=media&name=model/{models.id()}"
    assert models.session.post(f"{put}/a/b.txt", data=b"one").ok
    source = f"gs://runs/{put.partition('name=')[2]}"
    name = models.upload(model={"artifactUri": source}).partition("@")[0]
    tenant = f"caip-tenant-{WORLD.project_number}-{WORLD.region}"
    listed = models.session.get(f"{storage}/storage/v1/b?project=test-project").json()["items"]
    assert tenant not in [one["name"] for one in listed]
    bucket = f"{storage}/storage/v1/b/{tenant}/o?prefix={name.rsplit('/', 1)[1]}/"
    [copy] = models.session.get(bucket).json()["items"]
    assert copy["name"].endswith("/1/artifacts/a/b.txt")
    models.done(models.ask("DELETE", name))
    assert models.session.get(bucket).json()["items"] == []


def test_a_model_without_files_is_not_registered(models: Models) -> None:
    own = models.id()
    model = {"displayName": "a", "containerSpec": models.container(), "artifactUri": "gs://runs/none"}
    operation = models.ask("POST", "models:upload", {"modelId": own, "model": model})
    failed = models.done(operation)["error"]
    assert failed["message"] == 'There are no files under "gs://runs/none" to copy.'
    models.refused("GET", f"models/{own}", code=404)


def test_aliases_move_and_the_default_stays_somewhere(models: Models) -> None:
    first = models.upload(model={"versionAliases": ["champion", "v1-a"]})
    name = first.partition("@")[0]
    second = models.upload(parentModel=name)
    merge = f"{second}:mergeVersionAliases"
    body = {"versionAliases": ["champion", "default", "-nobody"]}
    assert models.ask("POST", merge, body)["versionAliases"] == ["default", "champion"]
    assert aliases(models, name) == {"2": ["default", "champion"], "1": ["v1-a"]}
    models.ask("POST", merge, {"versionAliases": ["-champion"]})
    assert aliases(models, name)["2"] == ["default"]
    assert "cannot be removed" in models.refused("POST", merge, {"versionAliases": ["-default"]})
    assert "VERSION" in models.refused("POST", f"{name}:mergeVersionAliases", body)
    assert "does not match" in models.refused("POST", merge, {"versionAliases": ["Big"]})


def test_a_model_and_its_versions_are_updated_apart(models: Models) -> None:
    first = models.upload(model={"labels": {"own": "1"}, "description": "all"})
    name = first.partition("@")[0]
    second = models.upload(parentModel=name, model={"description": "all"})
    patch = f"{name}?updateMask=displayName,labels"
    found = models.ask("PATCH", patch, {"displayName": "New", "labels": {"of": "model"}})
    assert (found["displayName"], found["labels"]) == ("New", {"of": "model", "own": "1"})
    of_version = f"{second}?updateMask=versionDescription,labels"
    models.ask("PATCH", of_version, {"versionDescription": "two", "labels": {"b": "2"}})
    found = models.ask("GET", second)
    assert (found["displayName"], found["versionDescription"]) == ("New", "two")
    assert found["labels"] == {"of": "model", "b": "2"}
    assert models.ask("GET", first)["labels"] == {"of": "model", "own": "1"}
    for path, body in (
        (f"{second}?updateMask=displayName", {"displayName": "x"}),
        (f"{name}?updateMask=versionDescription", {"versionDescription": "x"}),
    ):
        assert "cannot be updated" in models.refused("PATCH", path, body)


def test_models_are_listed_by_filter(models: Models) -> None:
    own = models.id()
    name = models.upload(modelId=own, model={"labels": {"listed": own}}).partition("@")[0]
    models.upload(parentModel=name)
    for text in (f"labels.listed={own}", f'model="{own}"'):
        found = models.ask("GET", f"models?filter={text}")["models"]
        assert [(one["name"], one["versionId"]) for one in found] == [(name, "1")]
    found = models.ask("GET", f"{name}:listVersions?readMask=versionId")["models"]
    assert found == [{"versionId": "2"}, {"versionId": "1"}]


def test_versions_are_deleted_but_for_the_default(models: Models) -> None:
    first = models.upload()
    name = first.partition("@")[0]
    second = models.upload(parentModel=name)
    assert "default version" in models.refused("DELETE", f"{first}:deleteVersion")
    assert models.done(models.ask("DELETE", f"{second}:deleteVersion"))["done"]
    models.refused("GET", second, code=404)
    third = models.upload(parentModel=name)
    assert third == f"{name}@3", "a number is never given twice"
    assert models.done(models.ask("DELETE", name))["done"]
    models.refused("GET", name, code=404)


def test_evaluations_belong_to_a_version(models: Models) -> None:
    first = models.upload()
    name = first.partition("@")[0]
    second = models.upload(parentModel=name)
    body = {"modelEvaluation": {"displayName": "window", "metrics": {"ndcg": 0.5, "rows": 7}}}
    made = models.ask("POST", f"{second}/evaluations:import", body)
    assert made["metrics"] == {"ndcg": 0.5, "rows": 7}
    assert models.ask("GET", made["name"]) == made
    assert models.ask("GET", f"{second}/evaluations")["modelEvaluations"] == [made]
    assert models.ask("GET", f"{first}/evaluations") == {}
    models.refused("GET", f"{first}/evaluations/{made['name'].rsplit('/', 1)[1]}", code=404)


def test_the_sdk_s_own_registry(models: Models, program: Program) -> None:
    answer = program(f"""
from google.cloud import aiplatform
aiplatform.init(project={WORLD.project!r}, location={WORLD.region!r})
def upload(**more):
    return aiplatform.Model.upload(display_name="SDK", serving_container_image_uri={models.image!r},
        serving_container_predict_route="/predict", serving_container_health_route="/health",
        serving_container_command=["python", "server.py"], **more)
first = upload(model_id={models.id()!r}, version_aliases=["v1-a"], labels={{"a": "b"}})
second = upload(parent_model=first.resource_name, is_default_version=False, version_aliases=["v2-b"])
registry = aiplatform.models.ModelRegistry(first.resource_name)
registry.add_version_aliases(["champion"], "v2-b")
second = aiplatform.Model(f"{{first.resource_name}}@champion")
answer = [first.version_id, second.version_id, list(second.version_aliases), dict(first.labels),
    sorted((one.version_id, list(one.version_aliases)) for one in registry.list_versions()),
    [one.resource_name for one in aiplatform.Model.list(filter=f"model={{first.name}}")]
        == [first.resource_name]]
registry.delete_version("champion")
answer.append(len(registry.list_versions()))
first.delete()
""")
    listed = [["1", ["default", "v1-a"]], ["2", ["champion", "v2-b"]]]
    assert answer == ["1", "2", ["champion", "v2-b"], {"a": "b"}, listed, True, 1]
