import hashlib
from pathlib import Path
from typing import Any

import pytest

from flows import github, manifest, released, s3, secrets, upload
from flows.errors import InputError
from flows.storage import hash_file

VERSION = "v20261121-084500-abc1234"


class Store(dict[str, bytes]):
    """Objects by address, in the order in which they were written."""

    def put(self, _: Any, address: Any, source: Path | bytes) -> bool:
        self[str(address)] = source if isinstance(source, bytes) else source.read_bytes()
        return True

    def get(self, _: Any, address: Any, limit: int) -> bytes:  # type: ignore[override]
        return self[str(address)]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    made = Store()
    monkeypatch.setattr(released, "client", lambda *_: None)
    monkeypatch.setattr(s3, "put", made.put)
    monkeypatch.setattr(s3, "get", made.get)
    return made


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    monkeypatch.setattr(secrets, "access", lambda *_: (None, 3))
    monkeypatch.setattr(github, "start_workflow", lambda *arguments: calls.append(arguments))
    return calls


def candidate(folder: Path, **changed: Any) -> manifest.Manifest:
    (folder / "model.safetensors").write_bytes(b"weights")
    fields = {
        **{"flow": "recommender", "version": VERSION, "algorithm": "svd", "format": "safetensors"},
        **{"files": {"model.safetensors": hash_file(folder / "model.safetensors")}, "metrics": {"m": 1}},
        **{"verdict": {"passed": True, "reasons": []}, "data": {}, "config": {}, "commit": "a" * 40},
        **{"image": "i@sha256:" + "b" * 64, "pipeline_job": "projects/p/locations/l/pipelineJobs/j"},
        "environment": "local",
    }
    return upload.build(fields | changed)


def destination(champion: str = "", sha256: str = "") -> upload.Destination:
    access, target = released.Access(region="r", secret="s"), upload.Target(repository="o/n", secret="g")
    where = {"champion": champion, "champion_sha256": sha256, "model_store": "s3://store"}
    return upload.Destination(environment="local", project="p", s3=access, github=target, **where)


def test_the_manifest_is_last_and_the_workflow_is_told(
    store: Store, started: list[Any], tmp_path: Path
) -> None:
    done = upload.upload(candidate(tmp_path), tmp_path, destination())
    assert list(store)[-1] == done.manifest == f"s3://store/models/recommender/{VERSION}/manifest.json"
    assert done.sha256 == hashlib.sha256(store[done.manifest]).hexdigest()
    inputs = {"flow": "recommender", "environment": "local"}
    inputs |= {"manifest": done.manifest, "sha256": done.sha256}
    assert started == [("o/n", None, "release-pr.yml", "main", inputs)]
    assert done == upload.upload(candidate(tmp_path), tmp_path, destination())


def test_the_champions_bytes_start_nothing(store: Store, started: list[Any], tmp_path: Path) -> None:
    first = upload.upload(candidate(tmp_path), tmp_path, destination())
    again = candidate(tmp_path, version="v20261122-084500-abc1234")
    assert upload.upload(again, tmp_path, destination(first.manifest, first.sha256)).state == "unchanged"
    assert len(started) == 1


def test_a_champion_of_a_later_schema_is_not_the_candidate(
    store: Store, started: list[Any], tmp_path: Path
) -> None:
    first = upload.upload(candidate(tmp_path), tmp_path, destination())
    later = store[first.manifest].replace(b'"schema": 1', b'"schema": 2')
    address = "s3://store/models/recommender/v20270101-000000-abc1234/manifest.json"
    store[address], sha256 = later, hashlib.sha256(later).hexdigest()
    saved = released.fetch(None, address, sha256, tmp_path / "champion")
    assert saved.version == "v20270101-000000-abc1234"
    assert "Invalid enum value 2 - at `schema`" in saved.obstacle
    again = candidate(tmp_path, version="v20261122-084500-abc1234")
    assert upload.upload(again, tmp_path, destination(address, sha256)).state == "proposed"
    with pytest.raises(InputError, match="its hash is"):
        released.fetch(None, address, first.sha256, tmp_path / "champion")


def test_created_is_the_versions_moment() -> None:
    assert upload.created(VERSION) == "2026-11-21T08:45:00Z"
    with pytest.raises(InputError, match="has no moment"):
        upload.created("v20261341-084500-abc1234")


def test_facts_are_merged_without_what_is_for_people() -> None:
    found = upload.facts(
        {"rows": 3, "summary": "x", "files": ["f"]}, {"rows": 1, "users": 2, "summary": "y"}
    )
    assert found == {"rows": 3, "users": 2}
