"""What the Model Registry's versions are to a roll-out."""

from types import SimpleNamespace
from typing import Any

import pytest

from delivery import model_registry, settings
from delivery.model_registry import ModelRegistry

FACTS = "manifest s3://b/m.json\nsha256 ab\nimage base@sha256:cd"


def one(number: int, version: str, *aliases: str) -> Any:
    described = f"linnerud {version}\n{FACTS}"
    return SimpleNamespace(version_id=number, version_description=described, version_aliases=aliases)


def test_of_two_that_are_one_by_name_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [one(1, "v1"), one(2, "v2"), one(10, "v2", "v2"), one(11, "v3")]
    client = SimpleNamespace(list_model_versions=lambda **_: found)
    monkeypatch.setattr(model_registry, "_client", lambda _: client)
    registry = ModelRegistry(settings.load().environment("local"), "linnerud")
    assert [(v.version, v.number) for v in registry.versions()] == [
        ("v3", "11"),
        ("v2", "2"),
        ("v1", "1"),
    ]
    second = registry.version("v2")
    assert second
    assert second.aliases == frozenset(), "the second one's: they are to be moved"
