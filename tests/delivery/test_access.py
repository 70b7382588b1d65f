"""What a release may reach: which secret, with which rights, and how refusals are told."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
import requests
from github import GithubException
from moto import mock_aws

from delivery import access, workflow_identity
from delivery.settings import Environment, load
from flows import github, s3, secrets
from flows.errors import RetrainError
from tests.delivery.evidence import WEIGHTS, environment, files

KEYS = secrets.S3Keys(aws_access_key_id="id", aws_secret_access_key="value")
APP = secrets.GitHubApp(app_id=1, installation_id=2, private_key="PEM")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Every secret, client and repository that was asked for, in order."""
    calls: list[tuple[Any, ...]] = []

    def secret(project: str, name: str, kind: type) -> tuple[secrets.Secret, int]:
        calls.append((project, name))
        return KEYS if kind is secrets.S3Keys else APP, 7

    monkeypatch.setattr(secrets, "access", secret)
    monkeypatch.setattr(s3, "s3_client", lambda *given: calls.append(given))
    monkeypatch.setattr(github, "repository", lambda *given: calls.append(given))
    return calls


def test_the_store_is_read_with_the_reader_s_key(
    asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    access.objects(environment())
    assert asked == [("retrain-local", "s3-reader"), ("eu-west-1", KEYS.as_mapping())]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "secret        s3-reader, version 7\n")


@pytest.fixture
def keyless() -> Environment:
    role = {"s3_auth": "web-identity", "s3_release_role": "arn:aws:iam::1:role/reads"}
    made: Environment = msgspec.structs.replace(environment(), **role)
    return made


def test_a_workflow_reads_as_the_readers_role(
    asked: list[tuple[Any, ...]],
    keyless: Environment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(workflow_identity, "keys", lambda region, role: {"for": f"{role} in {region}"})
    access.objects(keyless)
    assert asked == [("eu-west-1", {"for": "arn:aws:iam::1:role/reads in eu-west-1"})]
    assert capsys.readouterr().err == "role          arn:aws:iam::1:role/reads, assumed\n"


def test_a_person_reads_with_what_boto3_finds(
    asked: list[tuple[Any, ...]], keyless: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(workflow_identity.ADDRESS, raising=False)
    access.objects(keyless)
    assert asked == [("eu-west-1", None)]


def test_where_nothing_is_found_it_is_said(
    keyless: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in os.environ:
        if name.startswith(("AWS_", "ACTIONS_")):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(RetrainError, match="there are no AWS credentials here") as told:
        access.objects(keyless).read("models/a", 1)
    assert "id-token: write" in told.value.mend


def test_github_is_reached_as_the_release_app(asked: list[tuple[Any, ...]]) -> None:
    access.repository(load(), environment())
    rights = {"contents": "write", "pull_requests": "write"}
    assert asked == [("retrain-local", "github-release-app"), (APP, "acme/models", rights)]


@pytest.fixture
def bucket() -> Iterator[access.Bucket]:
    with mock_aws():
        client = boto3.client("s3", "eu-west-1", aws_access_key_id="id", aws_secret_access_key="value")
        place: Any = {"LocationConstraint": "eu-west-1"}
        client.create_bucket(Bucket="retrain-local-models", CreateBucketConfiguration=place)
        client.put_object(Bucket="retrain-local-models", Key="models/a/model", Body=WEIGHTS)
        yield access.Bucket(client, "retrain-local-models")


def test_objects_are_read_and_described(bucket: access.Bucket) -> None:
    assert bucket.read("models/a/model", len(WEIGHTS)) == WEIGHTS
    assert bucket.describe("models/a/model") == files()["model.safetensors"]


def test_what_cannot_be_read_is_named(bucket: access.Bucket) -> None:
    with pytest.raises(
        RetrainError, match="s3://retrain-local-models/models/b: there is no such object"
    ):
        bucket.read("models/b", 1)
    with pytest.raises(
        RetrainError, match="s3://retrain-local-models/models/b: there is no such object"
    ):
        bucket.describe("models/b")
    with pytest.raises(RetrainError, match="larger than 1 bytes"):
        bucket.read("models/a/model", 1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GithubException(403, {"message": "Resource not accessible"}), "GitHub says 403: Resource not"),
        (GithubException(500, "<html>"), "GitHub says 500"),
        (requests.ConnectionError("no"), "GitHub cannot be reached: ConnectionError"),
    ],
)
def test_github_s_refusals_are_told(error: Exception, said: str) -> None:
    with pytest.raises(RetrainError, match=f"acme/models: {said}"), access.named("acme/models"):
        raise error
