"""What several tests of the local cloud talk to."""

from collections.abc import Iterator

import pytest

from localcloud.client import Client
from tests.localcloud.servers import Models


@pytest.fixture(scope="module")
def models(cloud: Client) -> Iterator[Models]:
    """A module's models and endpoints; no server of theirs stays at work."""
    made = Models(cloud)
    yield made
    made.clear()


@pytest.fixture(scope="module")
def model(models: Models) -> str:
    """A model whose servers are healthy."""
    return models.upload()
