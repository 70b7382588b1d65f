"""An OCI image as bytes and files: its manifest, its blobs, and the layout folder that engines write."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.errors import InputError, RetrainError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
PLATFORM = {"os": "linux", "architecture": "amd64"}
ATTESTATION = "vnd.docker.reference.type"  # buildx's annotation of what is no image
Blob = bytes | Path


@dataclass(frozen=True)
class Image:
    """A manifest and the blobs that it names; one that is missing is where the manifest came from."""

    manifest: bytes
    blobs: Mapping[str, Blob] = field(default_factory=dict)
    kind: str = MANIFEST_TYPE

    @property
    def digest(self) -> str:
        """The manifest's digest, by which the image is used."""
        return digest_of(self.manifest)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """Its layers as the manifest names them, from the base upwards."""
        return list(json.loads(self.manifest)["layers"])

    @property
    def config(self) -> dict[str, Any]:
        """Its configuration: one of the blobs."""
        data = self.blobs[json.loads(self.manifest)["config"]["digest"]]
        decoded: dict[str, Any] = json.loads(data if isinstance(data, bytes) else data.read_bytes())
        return decoded


def digest_of(data: bytes) -> str:
    """The name of a blob or a manifest."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(kind: str, data: bytes) -> dict[str, Any]:
    """What a manifest says of a blob."""
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def manifest_of(config: Mapping[str, Any], layers: list[dict[str, Any]]) -> tuple[bytes, bytes]:
    """The manifest with that configuration and those layers, and the configuration's bytes."""
    encoded = json.dumps(config, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, encoded),
        "layers": layers,
    }
    return json.dumps(manifest, sort_keys=True).encode(), encoded


def chosen(manifest: bytes, where: str) -> str | None:
    """The digest of the linux/amd64 manifest in an index; None where `manifest` is none.

    Raises InputError where it has no such one.
    """
    listed = json.loads(manifest).get("manifests")
    if listed is None:
        return None
    for entry in listed:
        platform = entry.get("platform") or PLATFORM
        if platform.items() >= PLATFORM.items() and ATTESTATION not in entry.get("annotations", {}):
            return str(entry["digest"])
    raise InputError(f"{where}: it has no image for linux/amd64", "build it for that platform")


def read(folder: Path) -> Image:
    """The image in a layout folder. Raises RetrainError for a folder of another form."""
    try:
        data: bytes = (folder / "index.json").read_bytes()
        while digest := chosen(data, str(folder)):
            data = blob(folder, digest).read_bytes()
        manifest = json.loads(data)
        names = [entry["digest"] for entry in (manifest["config"], *manifest["layers"])]
    except (OSError, ValueError, KeyError) as error:
        raise RetrainError(f"{folder} holds no image: {error}") from None
    return Image(data, {name: blob(folder, name) for name in names}, manifest["mediaType"])


def write(image: Image, folder: Path) -> None:
    """The image as a layout folder, whose files may be links to those of another one."""
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    for digest, data in {**image.blobs, image.digest: image.manifest}.items():
        _keep(data, blob(folder, digest))
    entry = {**descriptor(image.kind, image.manifest), "platform": PLATFORM}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def _keep(data: Blob, place: Path) -> None:
    if place.exists():
        return
    if isinstance(data, bytes):
        place.write_bytes(data)
        return
    try:
        os.link(data, place)
    except OSError:  # another disk
        shutil.copyfile(data, place)


def blob(folder: Path, digest: str) -> Path:
    """A blob's file in a layout folder."""
    return folder / "blobs" / digest.replace(":", "/")
