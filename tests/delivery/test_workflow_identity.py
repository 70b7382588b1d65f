"""A workflow's job and AWS, over the wire: GitHub's token, STS's answers, and what the keys reach."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from localcloud.client import Client
from localcloud.github.job_identity import HOST, ISSUER
from localcloud.store import Store
from tests.conftest import PRODUCT, Program

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/"
AUDIENCE = "sts.amazonaws.com"
SUBJECT = "repo:acme/tests:ref:refs/heads/main"
FILE = "acme/tests/.github/workflows/reads.yml@refs/heads/main"
# What laptop.grant does, for roles of this repository and of another one.
ROLES = """
import boto3
sys.path.insert(0, os.path.join(os.environ["PYTHONPATH"], "..", "scripts"))
sys.path.insert(0, os.path.join(os.environ["PYTHONPATH"], ".."))
from delivery import federation, grants
from laptop import grant
ours = federation.repository("acme/tests")
def document(actions):
    statement = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:s3:::released/models/*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
iam, s3 = boto3.client("iam"), boto3.client("s3")
theirs = grants.Repository("acme/others", ours.number + 1, ours.owner)
for name, repository in (("ours", ours), ("theirs", theirs)):
    arn = f"arn:aws:iam::123456789012:role/{name}"
    role = grants.Role(arn, grants.github_trust(arn, repository, "reads"), document(["s3:GetObject"]))
    for _ in range(2):
        grant.identity_provider(iam, role)
        grant.aws_role(iam, role)
s3.create_bucket(Bucket="released", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
for key in ("models/f/v/manifest.json", "channels/local/f.json"):
    s3.put_object(Bucket="released", Key=key, Body=b"{}")
answer = [ours.owner, ours.number]
"""
WORKFLOW = """\
name: reads
on: workflow_dispatch
jobs:
  one:
    permissions: {contents: read, id-token: write}
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - run: ./scripts/reads
  two:
    needs: one
    permissions: {id-token: write}
    runs-on: ubuntu-24.04
    steps:
      - uses: aws-actions/configure-aws-credentials@e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3
        with: {aws-region: eu-west-1, role-to-assume: "arn:aws:iam::123456789012:role/ours"}
      - env:
          READ: boto3.client("s3").get_object(Bucket="released", Key="models/f/v/manifest.json")
        run: PYTHON -W ignore -c "import boto3; $READ"
""".replace("PYTHON", sys.executable)
JOB = (
    f"#!/bin/sh\nexport PYTHONPATH={PRODUCT} PYTHONWARNINGS=ignore\nexec {sys.executable} - <<'END'\n"
    """
import json, os
from botocore.exceptions import ClientError
from delivery import workflow_identity
from flows import s3, web_identity
from flows.errors import RetrainError
def tried(call, *given, **fields):
    try:
        return call(*given, **fields) and "done"
    except RetrainError as error:
        return f"{error.what} ({error.mend})"
    except ClientError as error:
        return error.response["Error"]["Code"]
role, answer = "arn:aws:iam::123456789012:role/", {}
for name in ("ours", "theirs", "none"):
    answer[name] = tried(workflow_identity.keys, "eu-west-1", role + name)
other = workflow_identity.identity_token("somebody.else")
answer["audience"] = tried(
    web_identity.exchange, "eu-west-1", role + "ours", other, workflow_identity.MENDS)
store = s3.s3_client("eu-west-1", workflow_identity.keys("eu-west-1", role + "ours"))
for key in ("models/f/v/manifest.json", "channels/local/f.json"):
    answer[key] = tried(store.get_object, Bucket="released", Key=key)
os.environ[workflow_identity.BEARER] = "wrong"
answer["stranger"] = tried(workflow_identity.keys, "eu-west-1", role + "ours")
there = {"Bucket": "released", "Key": "models/f/v/manifest.json"}
answer["writes"] = [tried(store.put_object, **there, Body=b""), tried(store.delete_object, **there),
    tried(store.list_objects_v2, Bucket="released")]
print(json.dumps(answer))
END
"""
)
# Commits a workflow and its script, presses the button, and gives the log's last line.
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
files = [Element(path, "100755", "blob", content=text) for path, text in files.items()]
tree = repo.create_git_tree(files, repo.get_git_tree(head.sha))
commit = repo.create_git_commit("reads", tree, [repo.get_git_commit(head.sha)])
repo.get_git_ref("heads/main").edit(commit.sha, force=True)
workflow = repo.get_workflow("reads.yml")
workflow.create_dispatch("main", throw=True)
run = workflow.get_runs()[0]
while run.status != "completed":
    time.sleep(0.3)
    run = repo.get_workflow_run(run.id)
data = requests.get(run.logs_url, headers={"authorization": f"token {token}"}).content
with zipfile.ZipFile(io.BytesIO(data)) as found:
    answer = [run.conclusion, found.read(found.namelist()[0]).decode()]
"""


@pytest.fixture(scope="module")
def roles(program: Program) -> tuple[int, int]:
    """Roles for GitHub's tokens, of this repository and another one; this one's owner and number."""
    owner, number = program(ROLES)
    return owner, number


@pytest.fixture
def busy(cloud: Client) -> Iterator[None]:
    """GitHub's first answer to a job that asks who it is: try again."""
    order = {"method": "actions.idtoken", "action": "error:503", "nth": 1, "caller": "run-*"}
    cloud.ask("POST", "/faults", order)
    yield
    [fault] = cloud.ask("GET", "/faults")["faults"]
    cloud.ask("DELETE", "/faults")
    assert fault["hit"]


@pytest.mark.usefixtures("roles", "busy")
def test_a_job_reads_models_with_nothing_but_its_identity(program: Program) -> None:
    files = {".github/workflows/reads.yml": WORKFLOW, "scripts/reads": JOB}
    conclusion, log = program(f"files = {files!r}\n{PRESS}")
    assert conclusion == "success", log
    answer = json.loads(log.splitlines()[-1].partition(" ")[2])
    refused = "AWS refuses it to this identity:"
    denied = f"{refused} AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
    for name in ("theirs", "none"):
        assert answer[name].startswith(f"{ROLE}{name}: {denied} (the role's trust policy must name")
    assert answer["audience"].startswith(
        f"{ROLE}ours: {refused} InvalidIdentityToken: Incorrect token audience (does the role's account"
    )
    assert answer["ours"] == answer["models/f/v/manifest.json"] == "done"
    assert answer["channels/local/f.json"] == "AccessDenied"
    assert answer["stranger"] == (
        "GitHub gives this job no identity token for sts.amazonaws.com: it answers 401"
        " (start the workflow again)"
    )
    assert answer["writes"] == ["AccessDenied"] * 3


def signed(cloud: Client, **changed: Any) -> str:
    """A token that is signed as the local GitHub's are."""
    store = Store(cloud.root)
    keys = store.get("signing-key", HOST)
    store.close()
    assert keys is not None
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "iat": now, "exp": now + 300}
    claims |= {"job_workflow_ref": FILE} | changed
    return jwt.encode(claims, keys["private"], "RS256")


def test_sts_checks_a_token_before_it_gives_keys(
    cloud: Client, program: Program, roles: tuple[int, int]
) -> None:
    program(
        "import requests\nrequests.get('https://token.actions.githubusercontent.com/.well-known/jwks')"
    )
    now, (owner, number) = int(time.time()), roles
    numbered = f"repo:acme@{owner}/tests@{number}:ref:refs/heads/main"
    unsigned = jwt.encode(
        {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": now + 300}, "", algorithm="none"
    )
    tokens = {
        "good": signed(cloud),
        "numbered": signed(cloud, sub=numbered),
        "another of this name": signed(cloud, sub=numbered.replace(f"@{number}:", f"@{number + 1}:")),
        "audience": signed(cloud, aud="another"),
        "branch": signed(cloud, sub="repo:acme/tests:ref:refs/heads/other"),
        "repository": signed(cloud, sub="repo:acme/others:ref:refs/heads/main"),
        "fork": signed(cloud, sub="repo:stranger/tests:ref:refs/heads/main"),
        "pull request": signed(cloud, sub="repo:acme/tests:pull_request"),
        "environment": signed(cloud, sub="repo:acme/tests:environment:production"),
        "another workflow": signed(cloud, job_workflow_ref=FILE.replace("reads", "tick")),
        "no workflow": signed(cloud, job_workflow_ref=None),
        "ended": signed(cloud, exp=now - 1),
        "as Google": signed(cloud, iss="https://accounts.google.com"),
        "unsigned": unsigned,
        "cut": signed(cloud).rpartition(".")[0] + ".",
    }
    answer = program(
        f"tokens, role = {tokens!r}, {ROLE + 'ours'!r}"
        + """
import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
sts, answer = boto3.client("sts", config=Config(signature_version=UNSIGNED)), {}
for name, token in tokens.items():
    try:
        made = sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="retrain", WebIdentityToken=token)
        answer[name] = [made["Provider"], made["Audience"], made["SubjectFromWebIdentityToken"]]
    except ClientError as error:
        problem = error.response
        answer[name] = [problem["ResponseMetadata"]["HTTPStatusCode"], problem["Error"]["Code"]]
"""
    )
    provider = f"arn:aws:iam::123456789012:oidc-provider/{HOST}"
    denied, invalid = [403, "AccessDenied"], [400, "InvalidIdentityToken"]
    assert answer == {
        "good": [provider, AUDIENCE, SUBJECT],
        "numbered": [provider, AUDIENCE, numbered],
        **dict.fromkeys(("branch", "repository", "fork", "pull request", "environment"), denied),
        **dict.fromkeys(("another of this name", "another workflow", "no workflow"), denied),
        **{"audience": invalid, "as Google": invalid},
        **{"unsigned": invalid, "cut": invalid, "ended": [400, "ExpiredTokenException"]},
    }
