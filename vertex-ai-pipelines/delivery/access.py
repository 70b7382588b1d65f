"""What a release may reach: the model store as its reader, GitHub as the release App."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from delivery import workflow_identity
from delivery.branch import message_of
from delivery.settings import Environment, Settings
from flows import github, s3, secrets
from flows.errors import RetrainError
from flows.manifest import File
from flows.storage import Address

AGAIN = "start release-pr.yml again"
RIGHTS = {"contents": "write", "pull_requests": "write"}


class Bucket:
    """The model store's objects in S3."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def read(self, key: str, limit: int) -> bytes:
        """An object of at most `limit` bytes. Raises RetrainError where it is not there or larger."""
        return s3.get(self._client, self._address(key), limit)

    def describe(self, key: str) -> File:
        """An object's hash and size. Raises RetrainError where it is not there."""
        from botocore.exceptions import ClientError

        try:
            return s3.digest(self._client, self._address(key))
        except ClientError:
            raise RetrainError(f"{self._address(key)}: there is no such object", "train again") from None

    def _address(self, key: str) -> Address:
        return Address.parse(f"s3://{self._name}/{key}", "s3")


def objects(environment: Environment) -> Bucket:
    """The environment's model store, by the reader's key or as the readers' role."""
    return Bucket(_client(environment, "s3_reader", "s3_release_role"), environment.bucket)


def deployer(environment: Environment) -> Any:
    """A client of S3 that reads models and writes channels, by deploy's own key or role."""
    return _client(environment, "s3_deploy", "s3_deploy_role")


def _client(environment: Environment, secret: str, role: str) -> Any:
    if environment.s3_auth == "secret":
        keys = _secret_keys(environment, str(getattr(environment.secrets, secret)))
    else:
        keys = _role_keys(environment, str(getattr(environment, role)))
    return s3.s3_client(environment.aws_region, keys)


def _secret_keys(environment: Environment, name: str) -> Mapping[str, str] | None:
    secret, version = secrets.access(environment.project, name, secrets.S3Keys)
    print(f"secret        {name}, version {version}", file=sys.stderr)
    return secret.as_mapping()


def _role_keys(environment: Environment, role: str) -> Mapping[str, str] | None:
    """Keys for this job's identity; None outside of a workflow, where boto3 finds what a person has."""
    keys = workflow_identity.keys(environment.aws_region, role)
    if keys:
        print(f"role          {role}, assumed", file=sys.stderr)
    return keys


def repository(found: Settings, environment: Environment) -> Any:
    """The repository, as the release App may change it for the next hour."""
    name = environment.secrets.github_release
    app, version = secrets.access(environment.project, name, secrets.GitHubApp)
    print(f"secret        {name}, version {version}", file=sys.stderr)
    return github.repository(app, found.repository, RIGHTS)


def by_app(written: Any) -> bool:
    """Whether an App or a workflow wrote that issue or comment: our marks count in those alone."""
    return bool(written.user and written.user.type == "Bot")


@contextmanager
def named(what: str, again: str = AGAIN) -> Iterator[None]:
    """GitHub's refusals and broken connections as RetrainError about `what`; `again` mends them."""
    import requests
    from github import GithubException

    try:
        yield
    except GithubException as error:
        raise RetrainError(
            f"{what}: GitHub says {error.status}: {message_of(error)}",
            f"{again}; for 403 and 404, look at the permissions of the App or job that asks",
        ) from None
    except requests.RequestException as error:
        why = f"GitHub cannot be reached: {type(error).__name__}"
        raise RetrainError(f"{what}: {why}", again) from None
