"""Faults, as unmodified clients meet them; and the names of calls."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import aws_names
from localcloud.__main__ import main
from localcloud.client import Client, ClientError, free_port
from localcloud.errors import ApiError
from localcloud.faults import Fault, NoAnswerError, perform
from localcloud.http import Query, Request
from localcloud.names import service
from tests.conftest import WORLD, Program

ACCESS = """
import grpc
from google.api_core import exceptions
from google.cloud import secretmanager
manager = secretmanager.SecretManagerServiceClient()
parent = "projects/test-project"
names = [secret.name for secret in manager.list_secrets(parent=parent)]
if not any(name.endswith("/faulty") for name in names):
    automatic = {"replication": {"automatic": {}}}
    manager.create_secret(parent=parent, secret_id="faulty", secret=automatic)
name = f"{parent}/secrets/faulty"
def versions():
    return [int(v.name.rpartition("/")[2]) for v in manager.list_secret_versions(parent=name)]
def add(**more):
    return manager.add_secret_version(parent=name, payload={"data": b"x"}, **more)
"""
BUCKET = """
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
config = Config(retries={"total_max_attempts": 1}, read_timeout=10)
s3 = boto3.client("s3", config=config)
if "faulty" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket="faulty", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
def held():
    return [found["Key"] for found in s3.list_objects_v2(Bucket="faulty").get("Contents", [])]
"""


@pytest.fixture
def arm(cloud: Client) -> Iterator[Callable[..., None]]:
    """Arms faults, for one test."""

    def add(method: str, action: str, nth: int = 1, caller: str = "*") -> None:
        order = {"method": method, "action": action, "nth": nth, "caller": caller}
        cloud.ask("POST", "/faults", order)

    yield add
    cloud.ask("DELETE", "/faults")


Arm = Callable[..., None]


def faults(cloud: Client) -> list[dict[str, Any]]:
    return list(cloud.ask("GET", "/faults")["faults"])


@pytest.mark.parametrize("code", ["503", "UNAVAILABLE"])
def test_error_over_grpc_is_the_service_s_own(arm: Arm, program: Program, code: str) -> None:
    arm("secretmanager.AddSecretVersion", f"error:{code}")
    code = """
before = versions()
try:
    add(retry=None)
except exceptions.ServiceUnavailable as error:
    answer = ["on purpose" in error.message, versions() == before]
"""
    assert program(ACCESS + code) == [True, True]


def test_error_over_http_is_the_service_s_own(arm: Arm, program: Program) -> None:
    arm("s3.PutObject", "error:503")
    arm("storage.buckets.insert", "error:PERMISSION_DENIED")
    arm("github.repos/get", "error:500")
    code = """
from github import Auth, Github, GithubException
from google.api_core.exceptions import Forbidden
from google.cloud import storage
answer = []
try:
    s3.put_object(Bucket="faulty", Key="error", Body=b"x")
except ClientError as error:
    answer.append([error.response["Error"]["Code"], "error" in held()])
try:
    storage.Client().create_bucket("never-made")
except Forbidden as error:
    answer.append([error.errors[0]["reason"], storage.Client().lookup_bucket("never-made")])
try:
    Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"]), retry=None).get_repo("acme/tests")
except GithubException as error:
    answer.append(error.status)
"""
    assert program(BUCKET + code) == [["ServiceUnavailable", False], ["forbidden", None], 500]


def test_hang_never_answers_and_does_nothing(arm: Arm, program: Program, cloud: Client) -> None:
    arm("s3.PutObject", "hang")
    arm("secretmanager.AddSecretVersion", "hang")
    code = """
before = versions()
try:
    quick = boto3.client("s3", config=config.merge(Config(read_timeout=1)))
    quick.put_object(Bucket="faulty", Key="hang", Body=b"x")
except BotoCoreError as error:
    answer = [type(error).__name__]
try:
    add(retry=None, timeout=1)
except exceptions.DeadlineExceeded:
    answer += ["hang" in held(), versions() == before]
"""
    assert program(ACCESS + BUCKET + code) == ["ReadTimeoutError", False, True]
    assert [fault["hit"] for fault in faults(cloud)] == ["owner", "owner"]


def test_lose_reply_does_the_work_and_breaks_off(arm: Arm, program: Program) -> None:
    arm("s3.PutObject", "lose-reply")
    arm("secretmanager.AddSecretVersion", "lose-reply")
    code = """
before = versions()
try:
    s3.put_object(Bucket="faulty", Key="lost", Body=b"x")
except BotoCoreError:
    answer = ["lost" in held()]
try:
    add(retry=None)
except exceptions.ServiceUnavailable:
    answer += [len(versions()) - len(before)]
"""
    assert program(ACCESS + BUCKET + code) == [True, 1]


def test_twice_does_it_twice_and_gives_the_second_answer(arm: Arm, program: Program) -> None:
    arm("secretmanager.AddSecretVersion", "twice")
    arm("s3.PutObject", "twice")
    code = """
before = versions()
made = int(add().name.rpartition("/")[2])
answer = [len(versions()) - len(before), made == max(versions())]
try:
    s3.put_object(Bucket="faulty", Key="twice", Body=b"x", IfNoneMatch="*")
except ClientError as error:
    answer += [error.response["Error"]["Code"], "twice" in held()]
"""
    assert program(ACCESS + BUCKET + code) == [2, True, "PreconditionFailed", True]


def test_only_the_nth_call_of_that_caller_is_broken(arm: Arm, program: Program, cloud: Client) -> None:
    arm("s3.ListBuckets", "error:500", nth=2)
    arm("s3.*", "hang", caller="job-*")
    code = """
for _ in range(3):
    try:
        answer = [*(answer or []), bool(s3.list_buckets())]
    except ClientError:
        answer.append(False)
"""
    head = BUCKET.split("if ", maxsplit=1)[0]
    assert program(head + code) == [True, False, True]
    assert [(fault["seen"], fault["hit"]) for fault in faults(cloud)] == [(2, "owner"), (0, "")]


def killed(cloud: Client, code: str) -> "subprocess.CompletedProcess[str]":
    """How a program ended that is to be killed."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=cloud.environment().over(dict(os.environ)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("call", ["s3", "grpc"])
def test_kill_caller_kills_the_calling_process(
    arm: Arm, program: Program, cloud: Client, call: str
) -> None:
    program(ACCESS + BUCKET)
    arm("s3.PutObject" if call == "s3" else "secretmanager.AddSecretVersion", "kill:caller")
    act = 's3.put_object(Bucket="faulty", Key="orphan", Body=b"x")' if call == "s3" else "add()"
    ended = killed(cloud, f"import os\n{ACCESS}{BUCKET}{act}")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert "orphan" in program(f"{BUCKET}answer = held()") or call == "grpc"
    assert cloud.status()


def test_kill_cloud_happens_after_the_work(tmp_path: Path, run_in: Callable[[Client, str], Any]) -> None:
    own = Client(tmp_path / "own")
    own.up(WORLD, free_port())
    own.ask("POST", "/faults", {"method": "s3.CreateBucket", "action": "kill:cloud"})
    code = BUCKET.replace("if ", "answer = 'lost'\nif ")
    assert killed(own, code).returncode == 1
    assert own.status() is None
    assert "s3.CreateBucket FAULT 1 kill:cloud" in (own.root / "calls.log").read_text()
    own.up(WORLD, None)
    try:
        assert own.ask("GET", "/faults")["faults"] == []
        assert run_in(own, f"{BUCKET}answer = held()") == []
    finally:
        own.down()


@pytest.mark.parametrize(
    ("method", "action", "says"),
    [
        ("secretmanager.AccesSecretVersion", "hang", "did you mean secretmanager.AccessSecretVersion"),
        ("github.pulls.create", "hang", "github.pulls/create"),
        ("s3.putobject", "twice", "s3.PutObject"),
        ("s3.PutObject", "error:200", "'error:200' is not a fault"),
        ("s3.PutObject", "explode", "lose-reply"),
    ],
)
def test_what_is_not_there_is_refused(
    cloud: Client, capsys: pytest.CaptureFixture[str], method: str, action: str, says: str
) -> None:
    assert main(["--root", str(cloud.root), "fault", "add", method, "--do", action]) == 2
    assert says in capsys.readouterr().err


def test_a_person_arms_lists_and_clears(cloud: Client, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*words: str) -> str:
        assert main(["--root", str(cloud.root), *words]) == 0
        return "".join(capsys.readouterr())

    command("fault", "add", "git.upload-pack", "--do", "kill", "--nth", "3", "--caller", "run-*")
    listed = command("fault", "list")
    assert "git.upload-pack, call 3 of run-*: kill:caller · waits, 0 calls seen" in listed
    assert "1 armed" in command("status")
    assert "1 faults are armed" in command("logs")
    command("fault", "clear")
    assert command("fault", "list") == ""
    assert "armed" not in command("status") + command("logs")


def test_faults_are_for_the_owner_of_the_local_cloud(cloud: Client) -> None:
    program = f"""
import requests
proxies = {{"http": "http://x:x@127.0.0.1:{(cloud.status() or {})["port"]}"}}
session = requests.Session()
session.trust_env = False
answer = session.get("http://localcloud.internal/faults", proxies=proxies)
print(answer.status_code)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "403"


def test_every_call_in_the_log_has_a_name_that_a_fault_takes(
    program: Program, arm: Arm, cloud: Client
) -> None:
    log = cloud.root / "calls.log"
    before = len(log.read_text().splitlines()) if log.exists() else 0  # of other tests
    program(
        ACCESS
        + BUCKET
        + """
from github import Auth, Github
from google.cloud import bigquery, storage
storage.Client().create_bucket("named").blob("a/b").upload_from_string(b"x")
list(bigquery.Client().list_datasets())
s3.put_object(Bucket="faulty", Key="named", Body=b"x")
list(Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"])).get_repo("acme/tests").get_pulls())
"""
    )
    lines = [line.split() for line in log.read_text().splitlines()[before:]]
    names = {words[2] for words in lines if not words[2].startswith("localcloud.")}
    assert {
        "secretmanager.ListSecrets",
        "storage.objects.insert",
        "bigquery.datasets.list",
        "s3.PutObject",
        "github.pulls/list",
        "oauth2.token",
    } <= names
    for name in names:
        arm(name, "hang", caller="nobody")


@pytest.mark.parametrize(
    ("method", "host", "path", "query", "headers", "expected"),
    [
        ("GET", "s3.eu-west-1.amazonaws.com", "/", {}, {}, "s3.ListBuckets"),
        ("PUT", "b.s3.eu-west-1.amazonaws.com", "/", {}, {}, "s3.CreateBucket"),
        ("PUT", "b.s3.amazonaws.com", "/k/l", {}, {}, "s3.PutObject"),
        ("PUT", "s3.amazonaws.com", "/b/k", {"x-id": "PutObject"}, {}, "s3.PutObject"),
        ("PUT", "b.s3.amazonaws.com", "/k", {}, {"x-amz-copy-source": "b/x"}, "s3.CopyObject"),
        ("POST", "b.s3.amazonaws.com", "/k", {"uploads": ""}, {}, "s3.CreateMultipartUpload"),
        ("PUT", "b.s3.amazonaws.com", "/k", {"uploadId": "1", "partNumber": "1"}, {}, "s3.UploadPart"),
        ("POST", "b.s3.amazonaws.com", "/k", {"uploadId": "1"}, {}, "s3.CompleteMultipartUpload"),
        ("DELETE", "b.s3.amazonaws.com", "/k", {"uploadId": "1"}, {}, "s3.AbortMultipartUpload"),
        ("GET", "b.s3.amazonaws.com", "/", {"list-type": "2"}, {}, "s3.ListObjectsV2"),
        ("GET", "b.s3.amazonaws.com", "/", {"versioning": ""}, {}, "s3.GetBucketVersioning"),
        ("POST", "b.s3.amazonaws.com", "/", {"delete": ""}, {}, "s3.DeleteObjects"),
        ("HEAD", "b.s3.amazonaws.com", "/k", {}, {}, "s3.HeadObject"),
    ],
)
def test_calls_to_s3_have_the_vendor_s_names(
    method: str, host: str, path: str, query: dict[str, str], headers: dict[str, str], expected: str
) -> None:
    assert aws_names.name(Request(method, host, path, Query(query.items()), headers)) == expected


def test_calls_to_sts_and_iam_have_the_vendor_s_names() -> None:
    body = b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
    request = Request("POST", "sts.eu-west-1.amazonaws.com", "/", body=body)
    assert aws_names.name(request) == "sts.AssumeRoleWithWebIdentity"


def test_a_service_is_called_by_one_name_wherever_it_is() -> None:
    hosts = ("europe-west1-aiplatform.googleapis.com", "aiplatform.googleapis.com")
    assert {service(host) for host in hosts} == {"aiplatform"}
    assert service("europe-west1-docker.pkg.dev") == "registry"
    assert json.dumps([service("github.com"), service("api.github.com")]) == '["git", "github"]'


def test_the_inner_plane_itself_cannot_be_broken(cloud: Client) -> None:
    with pytest.raises(ClientError, match="no call is named"):
        cloud.ask("POST", "/faults", {"method": "localcloud.status", "action": "hang"})


@pytest.mark.parametrize(
    ("action", "outcome", "times"),
    [("lose-reply", NoAnswerError, 1), ("twice", ApiError, 2), ("kill:cloud", ApiError, 2)],
)
def test_a_call_that_is_refused_is_broken_too(
    monkeypatch: pytest.MonkeyPatch, action: str, outcome: type[Exception], times: int
) -> None:
    calls, killed = list[str](), list[int]()
    monkeypatch.setattr(os, "kill", lambda process, _: killed.append(process))

    def refused() -> None:
        calls.append("work")
        raise ApiError("NOT_FOUND", "no such thing")

    with pytest.raises(outcome):
        perform(Fault(1, "any", action), "x.googleapis.com", (0, 0), refused)
    assert calls == ["work"] * times
    assert killed == ([os.getpid()] if action == "kill:cloud" else [])
