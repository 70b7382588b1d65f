"""The layer between REST, gRPC and the handlers: what it refuses, and what it does for all of them."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.cloud import secretmanager_v1 as secrets
from google.longrunning import operations_pb2 as longrunning
from google.protobuf import field_mask_pb2

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.filters import matcher
from localcloud.http import Query, Request, Router
from localcloud.masks import updated
from localcloud.operations import Operations
from localcloud.paging import ordered
from localcloud.resourcemanager import ResourceManager
from localcloud.rpc import Rpc
from localcloud.secretmanager import SecretManager
from localcloud.transport import parse_mask, select
from localcloud.values import Resolver
from tests.localcloud.served import new_cloud

SECRETS = "/v1/projects/acme-ml/secrets"
NEW: dict[str, Any] = {"replication": {"automatic": {}}}
SERVICE = "/google.cloud.secretmanager.v1.SecretManagerService"


class Front:
    """Secret Manager and Resource Manager behind the generic layer, without a network."""

    def __init__(self, cloud: Cloud) -> None:
        self.rpc = Rpc(cloud, [SecretManager(cloud), ResourceManager(cloud)])
        self.router = Router([*self.rpc.rest])
        self.token = f"Bearer {cloud.issue_token(cloud.world.owner)}"

    def ask(self, verb: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """A REST call's status and JSON."""
        path, _, query = target.partition("?")
        known = {"authorization": self.token} | {k.replace("_", "-"): v for k, v in headers.items()}
        data = b"" if body is None else json.dumps(body).encode()
        host = "secretmanager.googleapis.com"
        answer = self.router(Request(verb, host, path, Query.parse(query), known, data))
        return answer.status, json.loads(answer.encoded() or b"null")

    def make(self, *names: str, **fields: Any) -> None:
        """Secrets with these ids."""
        for name in names:
            assert self.ask("POST", f"{SECRETS}?secretId={name}", NEW | fields)[0] == 200

    def call(self, name: str, request: Any) -> bytes:
        """A gRPC call's answer."""
        return self.rpc.call(f"{SERVICE}/{name}", type(request).serialize(request), self.token, "")


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    cloud = new_cloud(tmp_path)
    yield Front(cloud)
    cloud.store.close()


def test_an_unknown_field_of_the_body_is_refused_with_its_place(front: Front) -> None:
    wrong = {"replication": {"automatic": {"speed": 1}}, "colour": "red"}
    status, answer = front.ask("POST", f"{SECRETS}?secretId=a", wrong)
    error, invalid = answer["error"], "Invalid JSON payload received."
    words = [
        f"{invalid} Unknown name \"speed\" at 'secret.replication.automatic': Cannot find field.",
        f"{invalid} Unknown name \"colour\" at 'secret': Cannot find field.",
    ]
    assert (status, error["status"], error["message"]) == (400, "INVALID_ARGUMENT", "\n".join(words))
    [detail] = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [one["description"] for one in detail["fieldViolations"]] == words
    assert front.ask("GET", f"{SECRETS}/a")[0] == 404


def test_an_unknown_field_of_the_query_is_refused(front: Front) -> None:
    status, answer = front.ask("GET", f"{SECRETS}?pageSise=3")
    assert status == 400
    assert "Field 'pageSise' could not be found in request message." in answer["error"]["message"]


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/v1/projects/acme-ml/secretz", 404, "NOT_FOUND"),
        ("PUT", SECRETS, 404, "NOT_FOUND"),
        ("POST", f"{SECRETS}/a:rotateSecret", 501, "UNIMPLEMENTED"),
    ],
)
def test_what_is_not_there_and_what_is_not_served_are_told_apart(
    front: Front, verb: str, path: str, status: int, code: str
) -> None:
    found, answer = front.ask(verb, path)
    assert (found, answer["error"]["status"]) == (status, code)
    assert "RotateSecret" in answer["error"]["message"] or path in answer["error"]["message"]


def test_required_fields_are_named_by_rest_and_by_grpc(front: Front) -> None:
    status, answer = front.ask("POST", f"{SECRETS}?secretId=a")
    assert status == 400
    assert answer["error"]["message"] == "Required field 'secret' is not set."
    with pytest.raises(ApiError, match="'secret' is not set") as caught:
        front.call("CreateSecret", secrets.CreateSecretRequest(parent="projects/acme-ml", secret_id="a"))
    [detail] = caught.value.details
    assert detail.field_violations[0].field == "secret"


@pytest.mark.parametrize(
    "name", ["projects/acme-ml/secret/a", "acme-ml", "projects/acme-ml/secrets/a/b"]
)
def test_a_resource_name_of_the_wrong_form_is_refused_by_grpc(front: Front, name: str) -> None:
    with pytest.raises(ApiError, match="Invalid resource field value in the request") as caught:
        front.call("GetSecret", secrets.GetSecretRequest(name=name))
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.details[0].reason == "RESOURCE_PROJECT_INVALID"


def test_the_details_of_an_error_travel_as_a_status(front: Front) -> None:
    with pytest.raises(ApiError) as caught:
        front.call("GetSecret", secrets.GetSecretRequest())
    status = caught.value.rpc_status()
    assert status.code == 3
    assert status.details[0].type_url == "type.googleapis.com/google.rpc.BadRequest"


def test_a_page_token_belongs_to_its_call_and_survives_deletions(front: Front) -> None:
    front.make("a", "b", "c", "d")
    first = front.ask("GET", f"{SECRETS}?pageSize=2")[1]
    names = [one["name"][-1] for one in first["secrets"]]
    token = first["nextPageToken"]
    front.ask("DELETE", f"{SECRETS}/a")
    second = front.ask("GET", f"{SECRETS}?pageSize=9&pageToken={token}")[1]
    assert (names, [one["name"][-1] for one in second["secrets"]]) == (["a", "b"], ["c", "d"])
    assert "nextPageToken" not in second
    other = base64.urlsafe_b64encode(b'{"next": 1}').decode()
    for wrong in (
        f"pageToken={token}&filter=name:c",
        "pageToken=junk",
        f"pageToken={other}",
        "pageSize=-1",
    ):
        status, answer = front.ask("GET", f"{SECRETS}?{wrong}")
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT"), wrong


@pytest.mark.parametrize("mask", ["versionAliases,labels.my_1", "version_aliases,labels.my_1"])
def test_a_mask_is_taken_in_both_spellings_and_a_key_as_it_is(front: Front, mask: str) -> None:
    front.make("a", labels={"my_1": "old", "other": "old"})
    assert front.ask("POST", f"{SECRETS}/a:addVersion", {"payload": {"data": "YQ=="}})[0] == 200
    body = {"labels": {"my_1": "new", "other": "new"}, "versionAliases": {"first": 1}}
    status, changed = front.ask("PATCH", f"{SECRETS}/a?updateMask={mask}", body)
    assert status == 200, changed
    assert changed["labels"] == {"my_1": "new", "other": "old"}
    assert changed["versionAliases"] == {"first": "1"}


def test_an_update_mask_names_what_changes(front: Front) -> None:
    front.make("a", labels={"k": "1", "l": "2"}, annotations={"n": "3"})
    body = {"labels": {"k": "9"}, "annotations": {}}
    changed = front.ask("PATCH", f"{SECRETS}/a?updateMask=labels", body)[1]
    assert (changed["labels"], changed["annotations"]) == ({"k": "9"}, {"n": "3"})
    for mask in ("colour", "etag.x", "replication", ""):
        status, _ = front.ask("PATCH", f"{SECRETS}/a?updateMask={mask}", body)
        assert status == 400, mask


def test_masks_reach_into_messages_and_maps() -> None:
    stored = secrets.Secret(name="s", labels={"a": "1", "b": "2"}, etag="e")
    patch = secrets.Secret(labels={"a": "9"}, annotations={"n": "1"})
    one, names = updated(stored, patch, field_mask_pb2.FieldMask(paths=["labels.a"]))
    assert (dict(one.labels), names) == ({"a": "9", "b": "2"}, ["labels.a"])
    all_, names = updated(stored, patch, None)
    assert (dict(all_.labels), dict(all_.annotations), all_.etag) == ({"a": "9"}, {"n": "1"}, "e")
    everything, _ = updated(stored, patch, field_mask_pb2.FieldMask(paths=["annotations", "etag"]))
    assert (everything.etag, dict(everything.labels)) == ("", {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("name:alpha", True),
        ("name=alpha", False),
        ('name = "projects/*/alpha"', True),
        ("labels.team=red AND labels.tier=1", True),
        ("labels.team=blue OR labels.tier=1 AND labels.team=red", True),
        ("labels.team=blue OR (labels.tier=2 AND labels.team=red)", False),
        ("NOT labels.team=blue", True),
        ("-labels.team=red", False),
        ("labels:team labels.team:*", True),
        ("labels:colour", False),
        ("labels.colour=red", False),
        ("labels.colour!=red", True),
        ("create_time > 2026-01-01", True),
        ('createTime < "2026-01-01T00:00:00Z"', False),
        ("expire_time < 2026-01-01", False),
        ("topics.name:*", None),
        ("replication:*", True),
        ("alpha", True),
        ("beta", False),
        ("colour=red", None),
        ("(name:alpha", None),
        ("name:", None),
        ("create_time > soon", None),
        ("name:alpha)", None),
    ],
)
def test_filters(text: str, fits: bool | None) -> None:
    secret = secrets.Secret(
        name="projects/p/alpha",
        labels={"team": "red", "tier": "1"},
        create_time="2026-05-05T00:00:00Z",
        **NEW,
    )
    raw = secrets.Secret.pb(secret)
    if fits is None:
        with pytest.raises(ApiError, match="Invalid filter"):
            matcher(text, raw.DESCRIPTOR, Resolver())(raw)
    else:
        assert matcher(text, raw.DESCRIPTOR, Resolver())(raw) is fits


def test_order_by_several_fields_puts_what_is_missing_first() -> None:
    rows = [("b", "2026-01-02"), ("a", "2026-01-02"), ("c", ""), ("d", "2026-01-01")]
    items = [
        secrets.Secret.pb(secrets.Secret(name=name, create_time=f"{day}T00:00:00Z" if day else None))
        for name, day in rows
    ]
    kind, by = items[0].DESCRIPTOR, "create_time desc, name"
    assert [one.name for one in ordered(items, by, kind, Resolver())] == ["a", "b", "d", "c"]
    assert next(one.name for one in ordered(items, "create_time", kind, Resolver())) == "c"
    for wrong in ("colour", "name sideways"):
        with pytest.raises(ApiError, match="Invalid order_by"):
            ordered(items, wrong, kind, Resolver())


def test_enums_come_as_names_or_as_numbers(front: Front) -> None:
    front.make("a")
    payload = {"payload": {"data": "eA=="}}
    made = front.ask("POST", f"{SECRETS}/a:addVersion", payload)[1]
    number = front.ask("GET", f"{SECRETS}/a/versions/1?%24alt=json%3Benum-encoding%3Dint")[1]
    assert (made["state"], number["state"]) == ("ENABLED", 1)
    assert front.ask("GET", f"{SECRETS}/a?alt=xml")[0] == 400


def test_partial_responses_and_their_masks(front: Front) -> None:
    front.make("a", "b", labels={"k": "v"})
    answer = front.ask("GET", f"{SECRETS}?fields=secrets(labels/k,etag),totalSize")[1]
    assert set(answer) == {"secrets", "totalSize"}
    assert {frozenset(one) for one in answer["secrets"]} == {frozenset({"labels", "etag"})}
    status, answer = front.ask("GET", f"{SECRETS}?fields=secrets/colour")
    assert (status, answer["error"]["message"]) == (400, "Invalid field selection colour")
    assert select(parse_mask("a(b,c/d),e"), {"a": [{"b": 1, "c": {"d": 2, "x": 3}}], "y": 4}) == {
        "a": [{"b": 1, "c": {"d": 2}}]
    }
    assert select(parse_mask("*/b"), {"a": {"b": 1, "c": 2}}) == {"a": {"b": 1}}
    for wrong in ("a(b", "a)", "a(/b)"):
        with pytest.raises(ApiError, match="Invalid field selection"):
            parse_mask(wrong)


def test_a_post_may_stand_for_another_verb(front: Front) -> None:
    front.make("a")
    assert front.ask("POST", f"{SECRETS}/a", x_http_method_override="DELETE")[0] == 200
    assert front.ask("GET", f"{SECRETS}/a")[0] == 404


def test_answers_are_printed_for_people_unless_told(front: Front) -> None:
    front.make("a")
    known = {"authorization": front.token}
    asked = Request("GET", "secretmanager.googleapis.com", f"{SECRETS}/a", headers=known)
    assert front.router(asked).encoded().startswith(b'{\n  "name": ')
    compact = Request(asked.method, asked.host, asked.path, Query.parse("prettyPrint=false"), known)
    assert b"\n" not in front.router(compact).encoded()


def test_operations_are_got_listed_waited_for_and_deleted(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    operations, call = Operations(cloud), Operations(cloud).handlers()
    parent = "projects/acme-ml/locations/europe-west1"
    name = operations.start(parent).name
    assert not call["GetOperation"](longrunning.GetOperationRequest(name=name), None).done
    with pytest.raises(ApiError, match="is not done"):
        call["DeleteOperation"](longrunning.DeleteOperationRequest(name=name), None)
    call["CancelOperation"](longrunning.CancelOperationRequest(name=name), None)
    ended = call["WaitOperation"](longrunning.WaitOperationRequest(name=name), None)
    assert (ended.done, ended.error.code) == (True, 1)
    operations.done(parent)
    asked = longrunning.ListOperationsRequest(name=parent, filter="done=true", page_size=1)
    first = call["ListOperations"](asked, None)
    asked.page_token = first.next_page_token
    assert len(call["ListOperations"](asked, None).operations) == len(first.operations) == 1
    call["DeleteOperation"](longrunning.DeleteOperationRequest(name=name), None)
    with pytest.raises(ApiError, match="does not exist"):
        call["GetOperation"](longrunning.GetOperationRequest(name=name), None)
    cloud.store.close()
