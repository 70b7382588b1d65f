"""The list of what an image holds: real syft on a real OCI layout."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from delivery import referrers, sbom
from flows.errors import RetrainError
from tests.delivery.signers import DIGEST, Shelf

PACKAGE = "usr/local/lib/python3.12/site-packages/requests-2.32.3.dist-info/METADATA"
METADATA = b"Metadata-Version: 2.1\nName: requests\nVersion: 2.32.3\nLicense: Apache-2.0\n"
OCI = "application/vnd.oci.image"


def layout(folder: Path) -> Path:
    """An image with one package in an OCI layout."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        entry = tarfile.TarInfo(PACKAGE)
        entry.size = len(METADATA)
        tar.addfile(entry, io.BytesIO(METADATA))
    (folder / "blobs" / "sha256").mkdir(parents=True)
    layer = _blob(folder, f"{OCI}.layer.v1.tar", raw.getvalue())
    config: Any = {"architecture": "amd64", "os": "linux", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"]]}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": _blob(folder, f"{OCI}.config.v1+json", json.dumps(config).encode()),
        "layers": [layer],
    }
    named = _blob(folder, f"{OCI}.manifest.v1+json", json.dumps(manifest).encode())
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return folder


def _blob(folder: Path, kind: str, data: bytes) -> dict[str, Any]:
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs" / "sha256" / name).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}


def test_what_an_image_holds_is_listed_once_and_always_the_same(tmp_path: Path) -> None:
    shelf = Shelf()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    assert sbom.attach(shelf, DIGEST, layout(tmp_path / "a")) is True
    [document] = referrers.attached(shelf, DIGEST, sbom.SPDX)
    assert sbom.document(layout(tmp_path / "b"), shelf.name, DIGEST) == document
    assert sbom.attach(shelf, DIGEST, tmp_path / "nothing is read") is False
    found = json.loads(document)
    assert (found["spdxVersion"], found["name"]) == ("SPDX-2.3", shelf.name)
    packages = {one["name"]: one for one in found["packages"]}
    assert packages["requests"]["versionInfo"] == "2.32.3"
    assert str(tmp_path) not in document.decode()


def test_what_is_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match=f"{DIGEST}: syft cannot list what it holds"):
        sbom.attach(Shelf(), DIGEST, tmp_path)
