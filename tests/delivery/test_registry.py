"""The registry's client: what it sends, what it spares, and how it comes through faults."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery import patience, upload
from delivery.registry import Registry
from flows.errors import InputError, RetrainError
from localcloud.client import Client

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
BIG = os.urandom(1 << 18)  # above what is sent again as a whole, as the tests have it


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Watched:
    """The calls to the registry since the last look, by their names; and its faults."""

    def __init__(self, cloud: Client) -> None:
        self._cloud, self._log = cloud, cloud.root / "calls.log"
        self.calls()

    def breaks(self, method: str, action: str, nth: int = 1) -> None:
        self._cloud.ask("POST", "/faults", {"method": method, "action": action, "nth": nth})

    def calls(self) -> list[str]:
        lines = self._log.read_text().splitlines()
        seen, self._seen = getattr(self, "_seen", 0), len(lines)
        names = [line.split()[2] for line in lines[seen:] if " FAULT " not in line]
        return [name.removeprefix("registry.") for name in names if name.startswith("registry.")]


@pytest.fixture
def watched(cloud: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(upload, "PAUSE", 0)
    monkeypatch.setattr(upload, "SMALL", len(BIG) - 1)
    yield Watched(cloud)
    cloud.ask("DELETE", "/faults")


def manifest(registry: Registry, **more: Any) -> bytes:
    registry.push_blob(b"{}", digest(b"{}"))
    config = {"mediaType": EMPTY, "digest": digest(b"{}"), "size": 2}
    made = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], **more}
    return json.dumps(made).encode()


def test_a_small_blob_is_sent_in_one_request_and_only_once(registry: Registry, watched: Watched) -> None:
    assert registry.push_blob(b"small", digest(b"small"))
    assert watched.calls() == ["blobs.head", "uploads.start", "uploads.finish"]
    assert not registry.push_blob(b"small", digest(b"small"))
    assert watched.calls() == ["blobs.head"]
    assert registry.blob(digest(b"small")) == b"small"
    with pytest.raises(RetrainError, match="blob sha256:aa"):
        registry.blob("sha256:" + "a" * 64)


def test_a_large_file_is_sent_in_one_piece_and_says_how_far_it_is(
    registry: Registry, watched: Watched, tmp_path: Path
) -> None:
    file, told = tmp_path / "layer", list[tuple[int, int]]()
    file.write_bytes(BIG)
    assert registry.push_blob(file, digest(BIG), lambda sent, size: told.append((sent, size)))
    # Artifact Registry takes no second chunk.
    assert watched.calls() == ["blobs.head", "uploads.start", "uploads.append", "uploads.finish"]
    assert told == sorted(told)
    assert told[-1] == (len(BIG), len(BIG))
    assert registry.blob(digest(BIG)) == BIG


@pytest.mark.parametrize("action", ["lose-reply", "error:UNAVAILABLE", "twice"])
@pytest.mark.parametrize("call", ["blobs.head", "uploads.start", "uploads.append", "uploads.finish"])
def test_a_large_blob_arrives_whatever_breaks(
    registry: Registry, watched: Watched, call: str, action: str
) -> None:
    watched.breaks(f"registry.{call}", action)
    registry.push_blob(BIG, digest(BIG))
    assert registry.blob(digest(BIG)) == BIG


def test_what_has_arrived_is_not_sent_again(registry: Registry, watched: Watched) -> None:
    watched.breaks("registry.uploads.append", "lose-reply")
    registry.push_blob(BIG, digest(BIG))
    calls = watched.calls()
    assert calls.count("uploads.append") == 1
    assert calls[-2:] == ["uploads.status", "uploads.finish"]


def test_a_registry_that_keeps_nothing_gets_all_again(registry: Registry, watched: Watched) -> None:
    watched.breaks("registry.uploads.append", "lose-reply")
    watched.breaks("registry.uploads.status", "error:404")
    registry.push_blob(BIG, digest(BIG))
    assert watched.calls().count("uploads.append") == 2
    assert registry.blob(digest(BIG)) == BIG


def test_a_push_that_breaks_off_again_and_again_is_told(registry: Registry, watched: Watched) -> None:
    for _ in range(upload.TRIES):
        watched.breaks("registry.uploads.finish", "error:UNAVAILABLE")
    with pytest.raises(RetrainError, match=r"does not answer: 503(.|\n)*run it again"):
        registry.push_blob(b"unlucky", digest(b"unlucky"))
    assert registry.push_blob(b"unlucky", digest(b"unlucky")), "again: it goes on"


def test_a_registry_that_is_down_is_told(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    registry.manifest("v1")  # so that there is a token
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(
        RetrainError, match=rf"registry {registry.name} does not answer(.|\n)*run it again"
    ):
        registry.manifest("v1")


def test_bytes_that_are_not_the_digest_s_are_refused_at_once(
    registry: Registry, watched: Watched
) -> None:
    with pytest.raises(RetrainError, match=r"400 (.|\n)*DIGEST_INVALID"):
        registry.push_blob(b"other", digest(b"one"))
    assert watched.calls().count("uploads.finish") == 1


def test_tags_and_ages_are_listed_and_what_is_deleted_is_gone(registry: Registry) -> None:
    data, bare = manifest(registry), manifest(registry, annotations={"a": "b"})
    registry.push_manifest("one", data, MANIFEST)
    registry.push_manifest("two", data, MANIFEST)
    registry.push_manifest(digest(bare), bare, MANIFEST)
    assert registry.tags() == ["one", "two"]
    found = {one.digest: (one.tags, one.kind, one.size) for one in registry.stored()}
    assert found == {digest(data): (("one", "two"), MANIFEST, 2), digest(bare): ((), MANIFEST, 2)}
    with pytest.raises(RetrainError, match="still referenced by tag"):
        registry.delete(digest(data))
    assert [registry.delete(one) for one in ("one", "two", digest(data))] == [True] * 3
    assert not registry.delete(digest(data))
    assert [one.digest for one in registry.stored()] == [digest(bare)]
    assert Registry(registry.name.removesuffix("/base")).below() == ["base"]


def test_what_is_about_an_image_is_found_by_its_type(registry: Registry) -> None:
    data = manifest(registry)
    registry.push_manifest("one", data, MANIFEST)
    subject = {"mediaType": MANIFEST, "digest": digest(data), "size": len(data)}
    sbom = manifest(registry, subject=subject, artifactType="application/spdx+json")
    registry.push_manifest(digest(sbom), sbom, MANIFEST)
    assert [one["digest"] for one in registry.referrers(digest(data))] == [digest(sbom)]
    assert len(registry.referrers(digest(data), "application/spdx+json")) == 1
    assert registry.referrers(digest(data), "application/other") == []
    assert registry.referrers(digest(sbom)) == []


def test_a_registry_without_ages_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_pages", lambda _: iter([{"name": "base", "tags": ["one"]}]))
    with pytest.raises(InputError, match="does not say how old its images are"):
        registry.stored()
