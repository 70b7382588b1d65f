"""Secret Manager as its own clients' tests use it, by gRPC and by REST."""

from typing import Any

import pytest

from tests.conftest import Program

pytestmark = pytest.mark.slow

START = """
from google.api_core import exceptions
from google.cloud import secretmanager
client, parent = secretmanager.SecretManagerServiceClient(transport=%r), "projects/test-project"
kept = {"replication": {"automatic": {}}, "labels": {"a": "b"}}
name = client.create_secret(parent=parent, secret_id="deep-%s", secret=kept).name
for word in (b"one", b"two", b"three"):
    client.add_secret_version(parent=name, payload={"data": word})

def refused(call, **fields):
    try:
        call(request=fields)
    except exceptions.GoogleAPICallError as error:
        return error.code
"""


@pytest.fixture(params=["grpc", "rest"])
def ask(request: Any, program: Program) -> Any:
    def run(code: str) -> Any:
        program_id = f"{request.param}-{abs(hash(code))}"
        return program(START % (request.param, program_id) + code)

    return run


def test_labels_and_aliases_are_updated_by_mask(ask: Any) -> None:
    answer = ask("""
mask = {"paths": ["labels", "version_aliases"]}
new = {"name": name, "labels": {"c": "d"}, "version_aliases": {"prod": 2}}
changed = client.update_secret(secret=new, update_mask=mask)
prod = client.access_secret_version(name=f"{name}/versions/prod")
answer = [dict(changed.labels), prod.payload.data.decode(), prod.name.endswith("/2"), bool(changed.etag),
    refused(client.update_secret, secret={"name": name}),
    refused(client.delete_secret, name=name, etag='"other"')]
""")
    assert answer == [{"c": "d"}, "two", True, True, 400, 400]


def test_lists_come_in_pages_and_filtered(ask: Any) -> None:
    answer = ask("""
pages = list(client.list_secret_versions(request={"parent": name, "page_size": 2}).pages)
client.disable_secret_version(name=f"{name}/versions/1")
on = client.list_secret_versions(request={"parent": name, "filter": "state:ENABLED"})
secrets = client.list_secrets(request={"parent": parent, "filter": f"name:{name} AND labels.a=b"})
answer = [[len(page.versions) for page in pages], pages[0].total_size, len(list(on)), len(list(secrets))]
""")
    assert answer == [[2, 1], 3, 2, 1]


def test_what_cannot_be_is_refused(ask: Any) -> None:
    answer = ask("""
automatic = {"replication": {"automatic": {}}}
answer = [
    refused(client.create_secret, parent=parent, secret_id="a b", secret=automatic),
    refused(client.create_secret, parent=parent, secret_id="none", secret={}),
    refused(client.add_secret_version, parent=name, payload={"data": b"x" * 65537}),
    refused(client.access_secret_version, name=f"{name}/versions/a!"),
    refused(client.access_secret_version, name=f"{name}/versions/9")]
destroyed = client.destroy_secret_version(name=f"{name}/versions/1")
answer += [destroyed.state.name, bool(destroyed.destroy_time),
    refused(client.enable_secret_version, name=destroyed.name)]
""")
    assert answer == [400, 400, 400, 400, 404, "DESTROYED", True, 400]


def test_the_policy_is_kept(ask: Any) -> None:
    answer = ask("""
policy = client.get_iam_policy(request={"resource": name})
policy.bindings.add(role="roles/secretmanager.secretAccessor", members=["user:a@example.com"])
client.set_iam_policy(request={"resource": name, "policy": policy})
found = client.get_iam_policy(request={"resource": name})
wanted = {"resource": name, "permissions": ["secretmanager.secrets.get"]}
allowed = client.test_iam_permissions(request=wanted)
answer = [found.bindings[0].role, list(found.bindings[0].members), list(allowed.permissions),
    refused(client.set_iam_policy, resource=name, policy=policy)]
""")
    role, granted = "roles/secretmanager.secretAccessor", ["secretmanager.secrets.get"]
    assert answer == [role, ["user:a@example.com"], granted, 409]


def test_what_is_wrong_is_told_in_details(ask: Any) -> None:
    answer = ask("""
try:
    client.update_secret(request={"secret": {"name": name}})
except exceptions.BadRequest as error:  # by REST they come as tables, by gRPC as messages
    answer = ["update_mask" in str(detail) for detail in error.details], error.message
""")
    assert answer[0] == [True]
    assert "'update_mask' is not set" in answer[1]
