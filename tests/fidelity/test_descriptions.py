"""Everything that is served, against what the vendors describe: methods, paths and fields."""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

import pytest

from localcloud.described import FOLDER, description, normal
from localcloud.rpc_methods import Method, marked
from localcloud.services import DESCRIBED, OTHERS, RPC, rpc_methods, served
from tests.fidelity import make_schemas

DOCUMENTS = {
    "SecretManager": "secretmanager.v1",
    "Kms": "cloudkms.v1",
    "ResourceManager": "cloudresourcemanager.v3",
    **dict.fromkeys(("Pipelines", "Models", "Endpoints", "Predictions"), "aiplatform.v1"),
}
CALLS = [(service, method) for service in RPC for method in rpc_methods(service)]
PUBLIC = re.compile(r"/v\d")  # the libraries also name addresses of Google's own console
NEWER = {"extraLocationTypes", "gdcZone"}  # in the documents, not yet in Google's own libraries
AHEAD = {"GoogleCloudAiplatformV1Endpoint.private_model_server_enabled"}  # the other way round
IDS = [f"{service.__name__}.{method.name}" for service, method in CALLS]


@cache
def document(service: str) -> dict[str, Any]:
    folder = resources.files("googleapiclient") / "discovery_cache" / "documents"
    content: dict[str, Any] = json.loads((folder / f"{DOCUMENTS[service]}.json").read_text())
    return content


@cache
def described(service: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = make_schemas._methods(document(service))
    return {(one["httpMethod"], normal(f"/{one.get('flatPath', one['path'])}")): one for one in found}


def flat(template: str) -> str:
    """A library's template as a flat path: {name=projects/*/secrets/*} → projects/{}/secrets/{}."""
    return re.sub(
        r"\{\w[\w.]*(?:=([^}]*))?\}",
        lambda found: (found[1] or "*").replace("**", "*").replace("*", "{}"),
        template,
    )


def at_vendor(service: Any, method: Method) -> list[dict[str, Any]]:
    """The vendor's own entries for a method's addresses."""
    table = described(service.__name__)
    rules = [(verb, flat(template)) for verb, template, _ in method.rules if PUBLIC.match(template)]
    return [table[rule] for rule in rules if rule in table]


@pytest.mark.parametrize("name", make_schemas.GOOGLE)
def test_the_digests_are_the_documents(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == make_schemas.dumped(make_schemas.google(name))


def test_the_digest_of_github_is_the_pinned_one() -> None:
    source = description("github").source
    assert source.split()[0] == make_schemas.OPENAPI


def test_every_call_has_a_name_at_its_vendor() -> None:
    found = list(served())
    assert len(found) > 170
    assert [one for one in found if one.method == "-"] == []
    described_ = {kind.__name__ for kind in DESCRIBED.values()}
    others = {"GitHub", "S3", "STS", "IAM", *OTHERS.values()}
    assert {one.service for one in found} == {*DOCUMENTS, *described_, *others}


@pytest.mark.parametrize(("service", "method"), CALLS, ids=IDS)
def test_the_addresses_are_the_vendors(service: Any, method: Method) -> None:
    public = [rule for rule in method.rules if PUBLIC.match(rule[1])]
    assert bool(at_vendor(service, method)) == bool(public)


@pytest.mark.parametrize(("service", "method"), CALLS, ids=IDS)
def test_the_fields_are_the_vendors(service: Any, method: Method) -> None:
    document_ = document(service.__name__)
    for entry in at_vendor(service, method):
        query = {name for name, one in entry["parameters"].items() if one["location"] == "query"}
        message = raw(method.request)
        own = {camel(field.name): field for field in message.fields}
        path = {camel(name.partition(".")[0]) for name in method.names}
        body = next(body for _, _, body in method.rules)
        inside = set(own) - path - {camel(body)}
        if body == "*":
            schema = document_["schemas"].get(entry.get("request", {}).get("$ref", ""), {})
            assert inside <= set(schema.get("properties", {}))
        else:
            assert {name.partition(".")[0] for name in query} - NEWER == inside
        if method.response is not None:
            wrong = unknown(document_["schemas"], raw(method.response), entry["response"]["$ref"], set())
            assert sorted(set(wrong) - AHEAD) == []


def raw(kind: Any) -> Any:
    return (kind.pb() if hasattr(kind, "pb") else kind).DESCRIPTOR


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def unknown(schemas: Any, message: Any, name: str, seen: set[str]) -> Iterator[str]:
    """The fields of a message, and of those in it, that the vendor's schema does not have."""
    if name in seen or message.full_name.startswith("google.protobuf."):
        return
    seen.add(name)
    properties = schemas[name].get("properties", {})
    for field in message.fields:
        entry = properties.get(camel(field.name))
        if entry is None:
            yield f"{name}.{field.name}"
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            below = entry.get("$ref") or entry.get("items", {}).get("$ref")
            if below:
                yield from unknown(schemas, field.message_type, below, seen)


@pytest.mark.parametrize(("service", "method"), CALLS, ids=IDS)
def test_required_fields_are_the_vendors(service: Any, method: Method) -> None:
    for entry in at_vendor(service, method):
        needed = {
            name
            for name, one in entry["parameters"].items()
            if one["location"] == "query" and one.get("description", "").startswith("Required.")
        }
        assert needed <= {camel(name) for name in marked(method.request, "Required")}
