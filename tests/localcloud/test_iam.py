"""Who may do what at Google's services: each caller by its own identity, over the wire."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.client import Client
from localcloud.errors import ApiError
from localcloud.store import Store
from tests.conftest import Program
from tests.localcloud.served import new_cloud

pytestmark = pytest.mark.slow
As = Callable[[str, str], Any]

SECRETS = """
from google.api_core import exceptions
from google.cloud import secretmanager
from google.iam.v1 import policy_pb2
clients = [secretmanager.SecretManagerServiceClient(transport=kind) for kind in ("grpc", "rest")]
client, project = clients[0], "projects/test-project"
def tried(call, **fields):
    try:
        return call(**fields) and "done"
    except exceptions.GoogleAPICallError as error:
        return [error.code, error.message, dict(error.metadata or {})]
"""
MAKE = """
for name in names:
    client.create_secret(parent=project, secret_id=name, secret={"replication": {"automatic": {}}})
    client.add_secret_version(parent=f"{project}/secrets/{name}", payload={"data": b"hush"})
"""
GRANT = """
# Version 3, or other tests' conditions would be lost.
seen = {"resource": resource, "options": {"requested_policy_version": 3}}
policy = client.get_iam_policy(request=seen)
policy.version = 3
policy.bindings.add(role=role, members=[f"serviceAccount:{account}"])
client.set_iam_policy(request={"resource": resource, "policy": policy})
"""


MEMBER = "serviceAccount:a@b.iam.gserviceaccount.com"


def account(name: str) -> str:
    return f"{name}@test-project.iam.gserviceaccount.com"


def test_a_secret_is_read_by_whom_it_was_granted_to(program: Program, as_account: As) -> None:
    reader = account("secret-reader")
    read = f"""{SECRETS}
answer = [tried(client.access_secret_version, name=f"{{project}}/secrets/{{name}}/versions/latest")
          for client in clients for name in ("mine", "others", "none")]
"""
    program(f"{SECRETS}names = ['mine', 'others']{MAKE}")
    before = as_account(reader, read)
    name = "projects/test-project/secrets/mine/versions/latest"
    denied = "Permission 'secretmanager.versions.access' denied for resource"
    facts = {"permission": "secretmanager.versions.access", "resource": name}
    assert before[0] == [403, f"{denied} '{name}' (or it may not exist).", facts]
    assert [one[0] for one in before] == [403] * 6
    role = "roles/secretmanager.secretAccessor"
    program(
        f"{SECRETS}resource, role, account = project + '/secrets/mine', {role!r}, {reader!r}\n{GRANT}"
    )
    after = as_account(reader, read)
    assert [one if one == "done" else one[0] for one in after] == ["done", 403, 403] * 2
    assert as_account(account("somebody"), read)[0][0] == 403


def test_permissions_are_told_truly(program: Program, as_account: As) -> None:
    viewer = account("true-viewer")
    program(
        f"{SECRETS}names = ['told']{MAKE}\nresource = project + '/secrets/told'\n"
        f"role, account = 'roles/secretmanager.viewer', {viewer!r}\n{GRANT}"
    )
    ask = f"""{SECRETS}
wanted = ["secretmanager.versions.access", "secretmanager.secrets.get", "secretmanager.versions.list"]
asked = {{"resource": project + "/secrets/told", "permissions": wanted}}
answer = list(client.test_iam_permissions(request=asked).permissions)
"""
    assert as_account(viewer, ask) == ["secretmanager.secrets.get", "secretmanager.versions.list"]
    assert as_account(account("somebody"), ask) == []
    assert len(program(ask)) == 3


def test_policies_that_would_grant_nothing_are_refused(program: Program) -> None:
    answer = program(f"""{SECRETS}names = ['strict']{MAKE}
def put(**binding):
    policy = policy_pb2.Policy(bindings=[{{"members": ["allUsers"], **binding}}])
    wanted = {{"resource": project + "/secrets/strict", "policy": policy}}
    return tried(client.set_iam_policy, request=wanted)
accessor = "roles/secretmanager.secretAccessor"
answer = [put(role="roles/secretmanager.accessor"), put(role=accessor, members=["nobody"]),
          put(role=accessor, condition={{"expression": "true"}}), put(role=accessor)]
resource, role, account = project + "/secrets/strict", accessor, "a@b.iam.gserviceaccount.com"
{GRANT}
bindings = client.get_iam_policy(request={{"resource": resource}}).bindings
answer.append([[one.role, list(one.members)] for one in bindings])
""")
    merged = [["roles/secretmanager.secretAccessor", ["allUsers", MEMBER]]]
    assert answer.pop() == merged
    assert [one if one == "done" else one[0] for one in answer] == [400, 400, 400, "done"]
    assert "roles/secretmanager.accessor is not supported" in answer[0][1]


@pytest.mark.parametrize(
    "member",
    [
        "group:g@example.com",
        "domain:example.com",
        "projectOwner:acme-ml",
        "projectEditor:acme-ml",
        "projectViewer:acme-ml",
        "principal://iam.googleapis.com/x",
        "principalSet://iam.googleapis.com/x",
        "deleted:user:u@example.com",
    ],
)
def test_members_who_would_never_match_are_refused_by_name(tmp_path: Path, member: str) -> None:
    cloud = new_cloud(tmp_path)
    binding = {"role": "roles/storage.objectViewer", "members": [member]}
    with pytest.raises(ApiError, match=f"does not serve .*: {member}"):
        cloud.iam.set("projects/acme-ml", {"bindings": [binding]})
    cloud.store.close()


STORAGE = """
from google.api_core import exceptions
from google.cloud import storage
bucket = storage.Client(project="test-project").bucket("granted")
def tried(call, *given, **named):
    try:
        return call(*given, **named) or "done"
    except exceptions.GoogleAPICallError as error:
        return [error.code, error.message]
"""


def test_objects_are_reached_by_roles_on_their_bucket(program: Program, as_account: As) -> None:
    viewer, creator = account("object-viewer"), account("object-creator")
    program(f"""{STORAGE}
bucket.create()
bucket.blob("there").upload_from_string("x")
policy = bucket.get_iam_policy(requested_policy_version=3)
policy.bindings += [
    {{"role": "roles/storage.objectViewer", "members": {{"serviceAccount:{viewer}"}}}},
    {{"role": "roles/storage.objectCreator", "members": {{"serviceAccount:{creator}"}}}}]
bucket.set_iam_policy(policy)
""")
    attempts = f"""{STORAGE}
answer = [
    tried(bucket.blob("there").download_as_text),
    tried(bucket.blob("new" + os.environ["WHO"]).upload_from_string, "x"),
    tried(bucket.blob("there").upload_from_string, "x"),
    tried(bucket.reload),
    tried(lambda: [one.name for one in bucket.list_blobs(prefix="there")]),
    bucket.test_iam_permissions(["storage.objects.get", "storage.objects.create"])]
"""
    seen = as_account(viewer, attempts)
    denied = f"{viewer} does not have storage.objects.create access to the Google Cloud Storage object."
    assert seen[0] == "x"
    assert seen[1][0] == 403
    assert denied in seen[1][1]
    assert "storage.buckets.get access to the Google Cloud Storage bucket" in seen[3][1]
    assert seen[4:] == [["there"], ["storage.objects.get"]]
    made = as_account(creator, attempts)
    assert [one if one == "done" else one[0] for one in made[:5]] == [403, "done", 403, 403, 403]
    assert "storage.objects.delete access" in made[2][1]  # writing over one deletes it
    assert made[5] == ["storage.objects.create"]


TABLES = """
from google.api_core import exceptions
from google.cloud import bigquery, resourcemanager_v3
google = bigquery.Client(project="test-project")
def tried(call, *given):
    try:
        return call(*given)
    except exceptions.GoogleAPICallError as error:
        return [error.code, error.errors[0]["reason"], error.errors[0]["message"]]
def rows(sql):
    return [list(row.values()) for row in google.query(sql).result()]
"""
ATTEMPTS = """
export = "export data options(uri='gs://denied-exports/*', format='PARQUET') as select * from kept.rows"
answer = [tried(rows, "select a from kept.rows"), tried(rows, "select 1"),
    tried(rows, "insert into kept.rows values (2)"), tried(rows, export),
    tried(lambda: google.get_table("kept.rows").num_rows)]
"""


def test_tables_are_read_by_roles_on_the_project(program: Program, as_account: As) -> None:
    reader = account("table-reader")
    program(f"{TABLES}rows('create schema kept')\nrows('create table kept.rows as select 1 as a')")
    attempts = f"{TABLES}{ATTEMPTS}"
    grant = f"""{TABLES}
client, resource, account = resourcemanager_v3.ProjectsClient(), "projects/test-project", {reader!r}
role = "roles/bigquery.%s"
{GRANT}"""
    before = as_account(reader, attempts)
    assert [one[:2] for one in before] == [[403, "accessDenied"]] * 5
    assert "User does not have bigquery.jobs.create permission in project test-project" in before[0][2]
    program(grant % "jobUser")
    some = as_account(reader, attempts)
    assert some[1] == [[1]]
    assert "User does not have permission to query table test-project:kept.rows" in some[0][2]
    program("from google.cloud import storage\nstorage.Client().create_bucket('denied-exports')")
    program(grant % "dataViewer")
    more = as_account(reader, attempts)
    assert [more[0], more[4]] == [[[1]], 1]
    assert "bigquery.tables.updateData" in more[2][2]
    assert "does not have storage.objects.create access" in more[3][2]


SUBMIT = """
import requests
from google.auth import default
from google.auth.transport.requests import AuthorizedSession
session = AuthorizedSession(default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0])
pipeline = "steps-run-as@test-project.iam.gserviceaccount.com"
address = "https://iam.googleapis.com/v1/projects/test-project/serviceAccounts"
"""


def test_a_job_runs_as_an_account_that_its_submitter_may_act_as(
    program: Program, as_account: As
) -> None:
    submitter = account("submitting")
    submit = f"""{SUBMIT}
from google.api_core import exceptions
from google.cloud import aiplatform_v1
client = aiplatform_v1.PipelineServiceClient(
    client_options={{"api_endpoint": "europe-west1-aiplatform.googleapis.com"}})
spec = {{"root": {{"dag": {{"tasks": {{}}}}}}, "deploymentSpec": {{"executors": {{}}}},
        "pipelineInfo": {{"name": "empty"}}, "schemaVersion": "2.1.0"}}
job = {{"pipeline_spec": spec, "service_account": pipeline,
       "runtime_config": {{"gcs_output_directory": "gs://any"}}}}
try:
    answer = client.create_pipeline_job(
        parent="projects/test-project/locations/europe-west1", pipeline_job=job).service_account
except exceptions.GoogleAPICallError as error:
    answer = [error.code, error.message]
"""
    assert "aiplatform.pipelineJobs.create' denied" in as_account(submitter, submit)[1]
    program(f"""{SUBMIT}
from google.cloud import resourcemanager_v3
client, resource = resourcemanager_v3.ProjectsClient(), "projects/test-project"
role, account = "roles/aiplatform.user", {submitter!r}
{GRANT}""")
    code, words = as_account(submitter, submit)
    assert (code, words.startswith("You do not have permission to act as service_account")) == (
        403,
        True,
    )
    program(f"""{SUBMIT}
session.post(address, json={{"accountId": "steps-run-as"}}).raise_for_status()
bindings = [{{"role": "roles/iam.serviceAccountUser", "members": ["serviceAccount:{submitter}"]}}]
session.post(f"{{address}}/{{pipeline}}:setIamPolicy", json={{"policy": {{"bindings": bindings}}}}
    ).raise_for_status()
""")
    assert as_account(submitter, submit) == account("steps-run-as")


def test_access_tokens_end(cloud: Client, program: Program) -> None:
    token = program("""
from google.auth import default
from google.auth.transport.requests import Request
credentials = default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0]
credentials._create_self_signed_jwt(None)
credentials = credentials.with_always_use_jwt_access(False)
credentials.refresh(Request())
answer = credentials.token
""")
    store = Store(cloud.root)
    record = store.get("token", token)
    assert record is not None
    ask = f"""
import requests
answer = []
for address in ("storage.googleapis.com/storage/v1/b?project=test-project",
                "secretmanager.googleapis.com/v1/projects/test-project/secrets"):
    sent = requests.get("https://" + address, headers={{"authorization": "Bearer {token}"}})
    answer.append([sent.status_code, sent.json().get("error", {{}}).get("message", "")[:43]])
"""
    assert [one[0] for one in program(ask)] == [200, 200]
    store.put("token", token, record | {"expires": 0})
    store.close()
    assert program(ask) == [[401, "Request had invalid authentication credentials"[:43]]] * 2


PREFIX = "projects/_/buckets/shared/objects/mine/"
CONDITION = {"title": "own prefix", "expression": f"resource.name.startsWith('{PREFIX}')"}


def test_a_condition_limits_a_role_to_a_prefix(program: Program, as_account: As) -> None:
    who = account("conditional")
    binding = {"role": "roles/storage.objectUser", "condition": CONDITION}
    program(f"""
from google.cloud import storage
bucket = storage.Client(project="test-project").create_bucket("shared")
for name in ("mine/there", "others/there"):
    bucket.blob(name).upload_from_string("x")
policy = bucket.get_iam_policy(requested_policy_version=3)
policy.version = 3
policy.bindings.append({{**{binding!r}, "members": {{"serviceAccount:{who}"}}}})
bucket.set_iam_policy(policy)
""")
    attempts = f"""{STORAGE.replace("granted", "shared")}
answer = {{}}
for at in ("mine/", "others/", "mine"):
    big = bucket.blob(at + "big")
    big.chunk_size = 262144
    target = bucket.blob(at + "sum")
    answer[at] = [
        tried(bucket.blob(at + "there").download_as_text),
        tried(bucket.blob(at + "new").upload_from_string, "y"),
        tried(big.upload_from_string, "z" * 300000),
        tried(bucket.blob(at + "there").delete)]
mine, others = bucket.blob("mine/new"), bucket.blob("others/there")
answer["compose"] = tried(bucket.blob("mine/sum").compose, [mine, others])
answer["copy"] = tried(bucket.copy_blob, others, bucket, "mine/copy")
answer["own"] = tried(lambda: bucket.blob("mine/sum").compose([mine]))
"""
    answer = as_account(who, attempts)
    found = {
        at: [one if one in ("x", "done") else one[0] for one in some]
        for at, some in answer.items()
        if at not in ("compose", "copy", "own")
    }
    assert found == {"mine/": ["x", "done", "done", "done"], "others/": [403] * 4, "mine": [403] * 4}
    assert [answer[one][0] for one in ("compose", "copy")] == [403, 403]
    assert answer["own"] == "done"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"version": 1}, "must be of version 3"),
        ({"condition": {"expression": "true"}}, "must have a title"),
        ({"condition": {"title": "t", "expression": "request.time > 1"}}, "does not serve request.time"),
        (
            {"condition": {"title": "t", "expression": "resource.name =="}},
            "is invalid: it cannot be read",
        ),
        ({"condition": {"title": "t", "expression": "near(resource.name)"}}, r"the function near\(\)"),
    ],
)
def test_conditions_that_would_not_hold_are_refused(
    tmp_path: Path, policy: dict[str, Any], words: str
) -> None:
    cloud = new_cloud(tmp_path)
    condition = policy.get("condition", CONDITION)
    binding = {"role": "roles/storage.objectViewer", "members": [MEMBER], "condition": condition}
    with pytest.raises(ApiError, match=words):
        cloud.iam.set("projects/acme-ml", {"version": 3, "bindings": [binding]} | policy)
    cloud.store.close()


IMAGES = """
import hashlib
from google.auth import default
from google.auth.transport.requests import AuthorizedSession
session = AuthorizedSession(default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0])
base = "https://europe-west1-docker.pkg.dev/v2/test-project/guarded/base"
found = [session.get(f"{base}/tags/list"), session.post(f"{base}/blobs/uploads/")]
answer = [[one.status_code, one.json()["errors"][0]["code"] if one.status_code > 400 else ""]
          for one in found]
"""


def test_images_are_pulled_and_pushed_by_roles(program: Program, as_account: As) -> None:
    for name, expected in (
        ("reader", [[200, ""], [403, "DENIED"]]),
        ("writer", [[200, ""], [202, ""]]),
    ):
        who = account(f"image-{name}")
        assert as_account(who, IMAGES) == [[403, "DENIED"]] * 2
        program(f"""
from google.cloud import resourcemanager_v3
client, resource = resourcemanager_v3.ProjectsClient(), "projects/test-project"
role, account = "roles/artifactregistry.{name}", {who!r}
{GRANT}""")
        assert as_account(who, IMAGES) == expected
