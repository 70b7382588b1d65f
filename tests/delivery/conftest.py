"""What several tests of delivery talk to."""

from pathlib import Path

import pytest

from delivery.registry import Registry
from localcloud.environment import Environment


@pytest.fixture
def registry(owner: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """An image's name on the local cloud, new to this test."""
    for name in owner.unset:
        monkeypatch.delenv(name, raising=False)
    for name, value in owner.set.items():
        monkeypatch.setenv(name, value)
    return Registry(f"europe-west1-docker.pkg.dev/test-project/{tmp_path.name.lower()}/base")
