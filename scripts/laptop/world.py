"""The local cloud's world, as settings.toml's environment `local` names it."""

from collections.abc import Iterator
from contextlib import contextmanager

from delivery import settings
from delivery.settings import Environment
from flows.errors import InputError, RetrainError
from localcloud.client import Client, ClientError
from localcloud.cloud import World

ENVIRONMENT = "local"
ROOT = settings.ROOT / ".local"
CLOUD = ROOT / "cloud"
PROJECT_NUMBER = "100000000001"


def local_environment() -> Environment:
    """The environment that `run` uses."""
    return settings.load().environment(ENVIRONMENT)


def world() -> World:
    """The names that the local cloud answers to."""
    environment = local_environment()
    return World(
        project=environment.project,
        project_number=PROJECT_NUMBER,
        region=environment.region,
        repository=settings.load().repository,
        aws_region=environment.aws_region,
    )


@contextmanager
def told() -> Iterator[None]:
    """The local cloud's own errors as errors of ours."""
    try:
        yield
    except ClientError as error:
        kind = InputError if error.exit_code == InputError.exit_code else RetrainError
        raise kind(str(error)) from None


def client() -> Client:
    """The clone's local cloud."""
    return Client(CLOUD)
