"""A workflow's job at Google, over the wire, with nothing but GitHub's word: google-auth as it is."""

import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import PRODUCT, Program

pytestmark = pytest.mark.slow

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
NUMBER = "100000000009"
PROVIDER = f"projects/{NUMBER}/locations/global/workloadIdentityPools/github/providers/github"
# The test's own environments, and what provisioning does for them, twice.
SETTINGS = f"""
sys.path.insert(0, os.path.join(os.environ["PYTHONPATH"], "..", "scripts"))
sys.path.insert(0, os.path.join(os.environ["PYTHONPATH"], ".."))
import msgspec
from delivery import federation, grants, settings
from laptop import grant
secrets = settings.Secrets(**{{one: "federated-" + one.replace("_", "-") for one in
    ("github_notify", "github_release", "s3_writer", "s3_reader", "s3_deploy")}})
released = msgspec.structs.replace(settings.load().environment("local"), project="test-project",
    pipeline_account="federated@test-project.iam.gserviceaccount.com", secrets=secrets,
    artifact_registry="europe-west1-docker.pkg.dev/test-project/images",
    pipeline_root="gs://federated", serving_bucket="gs://federated-serving",
    workload_identity_provider={PROVIDER!r})
branches = msgspec.structs.replace(released, name="experiment", ends_at="evaluate", pipeline_root="gs://federated/branches",
    artifact_registry="europe-west1-docker.pkg.dev/test-project/branches",
    pipeline_account="experiment@test-project.iam.gserviceaccount.com")
environments, trusted = (released, branches), federation.repository("acme/tests")
"""
PROVISION = f"""{SETTINGS}
from google.cloud import secretmanager, storage
client = storage.Client(project="test-project")
bucket, _ = client.create_bucket("federated"), client.create_bucket("federated-serving")
bucket.blob("others").upload_from_string("x")
manager, parent = secretmanager.SecretManagerServiceClient(), "projects/test-project"
for name in msgspec.to_builtins(secrets).values():
    manager.create_secret(parent=parent, secret_id=name, secret={{"replication": {{"automatic": {{}}}}}})
    manager.add_secret_version(parent=f"{{parent}}/secrets/{{name}}", payload={{"data": b"hush"}})
before = [what for one in environments for what, _ in federation.lacking(one, trusted)]
for _ in range(2):
    for one in environments:
        grant.google(one)
        grant.workflows(one, trusted)
answer = [before, [what for one in environments for what, _ in federation.lacking(one, trusted)]]
"""
# What a job tries, with a credentials file as google-github-actions/auth writes it.
JOB = f"""
import json, os, tempfile, urllib.parse
import google.auth, requests
from google.api_core.exceptions import Forbidden
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import secretmanager, storage
def credentials(account, audience="https://iam.googleapis.com/{PROVIDER}"):
    address = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"]
    content = {{
        "type": "external_account",
        "audience": "//iam.googleapis.com/{PROVIDER}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-"
            f"/serviceAccounts/{{account}}@test-project.iam.gserviceaccount.com:generateAccessToken",
        "credential_source": {{
            "url": f"{{address}}&audience={{urllib.parse.quote(audience, safe='')}}",
            "headers": {{"Authorization": "Bearer " + os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}},
            "format": {{"type": "json", "subject_token_field_name": "value"}}}}}}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(content, file)
        file.flush()
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        return google.auth.load_credentials_from_file(file.name, scopes=scopes)[0]
def tried(call):
    try:
        return call() or "done"
    except (GoogleAuthError, Forbidden) as error:
        return str(error)
def secret(who, name):
    client = secretmanager.SecretManagerServiceClient(credentials=who)
    path = f"projects/test-project/secrets/federated-{{name}}/versions/latest"
    return client.access_secret_version(name=path).payload.data.decode()
def write(who, name):
    storage.Client(project="test-project", credentials=who).bucket("federated").blob(name
        ).upload_from_string("x")
def push(who, repository):
    address = f"https://europe-west1-docker.pkg.dev/v2/test-project/{{repository}}/base/blobs/uploads/"
    return "done" if AuthorizedSession(who).post(address).status_code == 202 else "refused"
def jobs(who):
    address = "https://europe-west1-aiplatform.googleapis.com/v1"
    place = "projects/test-project/locations/europe-west1"
    found = AuthorizedSession(who).get(f"{{address}}/{{place}}/pipelineJobs")
    return "jobs" if found.status_code == 200 else "refused"
accounts = ["workflow-train", "workflow-tick", "workflow-release-pr", "workflow-deploy", "experiment"]
answer = {{one: tried(lambda: credentials(one).refresh(Request())) for one in accounts}}
answer["machine"] = requests.get("http://metadata.google.internal/").status_code
answer["audience"] = tried(lambda: credentials(accounts[0], "sts.amazonaws.com").refresh(Request()))
for one in accounts:
    if answer[one] == "done":
        who = credentials(one)
        answer["can " + one] = [
            tried(lambda: secret(who, "github-release")), tried(lambda: secret(who, "s3-reader")),
            tried(lambda: write(who, "new")), tried(lambda: write(who, "branches/new")),
            jobs(who), push(who, "images"), push(who, "branches")]
print("ANSWER " + json.dumps(answer))
"""
PRESS = """
import io, time, zipfile
import requests
from github import Auth, Github, InputGitTreeElement as Element, UnknownObjectException
token = os.environ["GITHUB_TOKEN"]
repo = Github(auth=Auth.Token(token)).get_repo("acme/tests")
try:
    repo.get_branch("main")
except UnknownObjectException:
    repo.create_file("README.md", "Begin", "tests", branch="main")
head = repo.get_branch("main").commit
elements = [Element(path, "100755", "blob", content=text) for path, text in files.items()]
tree = repo.create_git_tree(elements, repo.get_git_tree(head.sha))
commit = repo.create_git_commit("federation", tree, [repo.get_git_commit(head.sha)])
repo.get_git_ref("heads/main").edit(commit.sha, force=True)
repo.create_git_ref("refs/heads/topic", commit.sha)
def run(name, branch):
    workflow = repo.get_workflow(name)
    workflow.create_dispatch(branch, throw=True)
    found = workflow.get_runs(branch=branch)[0]
    while found.status != "completed":
        time.sleep(0.3)
        found = repo.get_workflow_run(found.id)
    data = requests.get(found.logs_url, headers={"authorization": f"token {token}"}).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return "\\n".join(archive.read(one).decode() for one in archive.namelist())
wanted = [("train.yml", "main"), ("release-pr.yml", "main"), ("train.yml", "topic")]
answer = {f"{name} {branch}": run(name, branch) for name, branch in wanted}
"""
Tried = dict[str, Any]


def workflow(name: str) -> dict[str, str]:
    """A workflow file and the script that it runs."""
    steps = f"[{{uses: {CHECKOUT}}}, {{run: ./scripts/{name}}}]"
    job = f"{{runs-on: ubuntu-24.04, permissions: {{contents: read, id-token: write}}, steps: {steps}}}"
    script = (
        f"#!/bin/sh\nexport PYTHONPATH={PRODUCT}\nexec {sys.executable} -W ignore - <<'END'\n{JOB}END\n"
    )
    return {
        f".github/workflows/{name}.yml": f"name: {name}\non: workflow_dispatch\njobs: {{one: {job}}}\n",
        f"scripts/{name}": script,
    }


@pytest.fixture(scope="module")
def ran(program: Program) -> Callable[[str], Tried]:
    """What each run's job could do, by workflow file and branch."""
    before, after = program(PROVISION)
    assert len(before) == 7  # a provider each, and five users
    assert after == []
    logs = program(f"files = {workflow('train') | workflow('release-pr')!r}\n{PRESS}")

    def of(name: str) -> Tried:
        found = re.search(r"ANSWER (\{.*\})", logs[name])
        assert found, logs[name]
        return dict(json.loads(found[1]))

    return of


DENIED = re.compile(r"code\W+403.*iam\.serviceAccounts\.getAccessToken\W+ denied on resource")


def became(tried: Tried) -> list[str]:
    """The accounts that a job could be; the others were refused by name."""
    accounts = [name for name in tried if name.startswith(("workflow-", "experiment"))]
    refused = [name for name in accounts if tried[name] != "done"]
    assert all(DENIED.search(tried[name]) for name in refused), tried
    assert tried["machine"] == 404  # on no machine of Google's
    assert "invalid_grant: The audience in ID Token [sts.amazonaws.com]" in tried["audience"]
    return [name for name in accounts if name not in refused]


def could(tried: Tried, account: str) -> list[bool]:
    """Whether it read the release App's key and S3's, wrote above and below the prefix, saw jobs, and
    pushed to main's images and to those of branches.
    """
    return [one in ("hush", "done", "jobs") for one in tried[f"can {account}"]]


def test_a_workflow_on_main_is_its_own_account_or_a_branch_s(ran: Callable[[str], Tried]) -> None:
    train, release = ran("train.yml main"), ran("release-pr.yml main")
    assert became(train) == ["workflow-train", "experiment"]
    assert became(release) == ["workflow-release-pr", "experiment"]
    assert could(train, "workflow-train") == [False, False, False, False, True, True, False]
    assert could(release, "workflow-release-pr") == [True, True, False, False, True, False, False]


def test_a_branch_is_the_account_for_branches_alone(ran: Callable[[str], Tried]) -> None:
    topic = ran("train.yml topic")
    assert became(topic) == ["experiment"]
    assert could(topic, "experiment") == [False, True, False, True, True, False, True]


@pytest.mark.usefixtures("ran")
def test_what_keeps_workflows_out_or_lets_others_in_is_said(program: Program) -> None:
    answer = program(f"""{SETTINGS}
place = {PROVIDER!r}.replace("providers/github", "providers/other")
one = msgspec.structs.replace(released, workload_identity_provider=place)
strangers = federation.configuration(grants.Repository("acme/tests", 1, 2)) | {{"disabled": True}}
grant._made(grant._session(), place, "workloadIdentityPoolProviderId", strangers)
answer = [list(federation.lacking(one, trusted))]
grant.workflows(one, trusted)
after = [what for what, _ in federation.lacking(one, trusted)]
renamed = trusted._replace(name="acme/renamed")
answer.append(list(federation.lacking(branches, trusted)) + list(federation.lacking(released, renamed)))
answer.append(after)
""")
    [[what, mend]] = answer[0]
    assert what.endswith("its attributeCondition, disabled is not as it has to be")
    assert "providers update-oidc" in mend
    [left] = answer[2]  # provisioning mends it, but enables nothing that somebody disabled
    assert left.endswith("its disabled is not as it has to be")
    wrong = [what for what, _ in answer[1]]
    assert len(wrong) == 8  # for each of four accounts, one that may not be it and one that may
    assert "acme/renamed/.github/workflows/train.yml@refs/heads/main may not be it" in wrong[0]
    assert "acme/tests/.github/workflows/train.yml@refs/heads/main may be it, too" in wrong[1]
    assert "remove-iam-policy-binding workflow-train@" in answer[1][1][1]
