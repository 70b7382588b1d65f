"""The list of what an image holds: real syft on a real OCI layout."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from delivery import layout, referrers, sbom
from delivery.layout import Image, descriptor, digest_of, manifest_of
from flows.errors import RetrainError
from tests.delivery.signers import Shelf

PACKAGE = "usr/local/lib/python3.12/site-packages/requests-2.32.3.dist-info/METADATA"
METADATA = b"Metadata-Version: 2.1\nName: requests\nVersion: 2.32.3\nLicense: Apache-2.0\n"
TAR = "application/vnd.oci.image.layer.v1.tar"


def image(*files: tuple[str, bytes]) -> Image:
    """An image with one layer for each file."""
    layers = [_layer(name, data) for name, data in files]
    config: Any = {"architecture": "amd64", "os": "linux", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
    manifest, encoded = manifest_of(config, [descriptor(TAR, layer) for layer in layers])
    return Image(manifest, {digest_of(one): one for one in (encoded, *layers)})


def _layer(name: str, data: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return raw.getvalue()


def shelf_of(*images: tuple[str, Image], blobs: bool = True) -> Shelf:
    shelf = Shelf()
    for tag, one in images:
        for name in (tag, one.digest):
            shelf.push_manifest(name, one.manifest, one.kind)
        shelf.blobs |= {
            name: data for name, data in one.blobs.items() if blobs and isinstance(data, bytes)
        }
    return shelf


def spdx(shelf: Shelf, digest: str) -> dict[str, Any]:
    [document] = referrers.attached(shelf, digest, sbom.SPDX)
    found: dict[str, Any] = json.loads(document)
    return found


BELOW = image((PACKAGE, METADATA))
WHOLE = image((PACKAGE, METADATA), ("app/flows/train.py", b"pass\n"))


def test_what_an_image_holds_is_listed_once(tmp_path: Path) -> None:
    shelf = shelf_of(("content-1", WHOLE))
    assert sbom.attach(shelf, WHOLE.digest, WHOLE.digest, tmp_path) is True
    found = spdx(shelf, WHOLE.digest)
    assert (found["spdxVersion"], found["name"]) == ("SPDX-2.3", shelf.name)
    packages = {one["name"]: one for one in found["packages"]}
    assert packages["requests"]["versionInfo"] == "2.32.3"
    shelf.blobs.pop(json.loads(WHOLE.manifest)["layers"][0]["digest"])
    assert sbom.attach(shelf, WHOLE.digest, WHOLE.digest, tmp_path) is False


def test_the_flows_own_layer_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = shelf_of(("below-1", BELOW), ("content-1", WHOLE))
    sbom.attach(shelf, BELOW.digest, "below-1", tmp_path)
    monkeypatch.setattr(sbom, "_program", lambda: pytest.fail("syft is called again"))
    assert sbom.attach(shelf, WHOLE.digest, "below-1", tmp_path) is True
    mine, its = spdx(shelf, WHOLE.digest), spdx(shelf, BELOW.digest)
    assert mine["documentNamespace"] == f"https://{shelf.name}@{WHOLE.digest}"
    assert BELOW.digest not in json.dumps(mine)
    assert [one["name"] for one in mine["packages"]] == [one["name"] for one in its["packages"]]


def test_an_image_has_the_same_list_whichever_way_it_came(tmp_path: Path) -> None:
    ways = shelf_of(("below-1", BELOW), ("content-1", WHOLE)), shelf_of(("content-1", WHOLE))
    names = []
    for shelf in ways:
        sbom.attach(shelf, WHOLE.digest, "below-1", tmp_path)
        names.append({(p["name"], p.get("versionInfo")) for p in spdx(shelf, WHOLE.digest)["packages"]})
    assert names[0] == names[1]


def test_the_same_layout_is_the_same_document(tmp_path: Path) -> None:
    for name in ("a", "b"):
        layout.write(WHOLE, tmp_path / name)
    one, other = (sbom.document(tmp_path / name, "base", WHOLE.digest) for name in ("a", "b"))
    assert one == other
    assert str(tmp_path) not in one.decode()


def test_blobs_that_this_machine_has_are_not_asked_for(tmp_path: Path) -> None:
    shelf = shelf_of(("content-1", WHOLE), blobs=False)
    layout.write(WHOLE, tmp_path / "below-1")
    assert sbom.attach(shelf, WHOLE.digest, WHOLE.digest, tmp_path) is True


def test_a_syft_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "PATIENCE", 0)
    layout.write(WHOLE, tmp_path)
    with pytest.raises(RetrainError, match=f"{WHOLE.digest}: syft has not listed"):
        sbom.document(tmp_path, "base", WHOLE.digest)


def test_what_is_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match=f"{WHOLE.digest}: syft cannot list what it holds"):
        sbom.document(tmp_path, "base", WHOLE.digest)


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match="there is no such image"):
        sbom.attach(Shelf(), WHOLE.digest, "below-1", tmp_path)
