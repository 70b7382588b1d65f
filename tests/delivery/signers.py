"""Keys, trust roots and a registry's shelf: what the tests of provenance share."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from delivery.layout import digest_of
from delivery.registry import Registry, Told
from flows.errors import RetrainError

KEY = "projects/acme-ml/locations/europe-west1/keyRings/retrain/cryptoKeys/images/cryptoKeyVersions/1"
IMAGE = json.dumps({"schemaVersion": 2, "layers": []}).encode()
DIGEST = digest_of(IMAGE)
RUN = {
    "GITHUB_REPOSITORY": "acme/models",
    "GITHUB_WORKFLOW_REF": "acme/models/.github/workflows/train.yml@refs/heads/main",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": "abc1234" + "0" * 33,
    "GITHUB_RUN_ID": "42",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_EVENT_NAME": "push",
}


class Signer:
    """A key that signs as Cloud KMS does: a digest, by its name."""

    def __init__(self, version: str = KEY) -> None:
        self.version, self._key = version, ec.generate_private_key(ec.SECP256R1())

    def sign(self, digest: bytes) -> bytes:
        return self._key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))

    def public(self) -> str:
        pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(pem, info).decode()


def trusted(root: Path, signer: Signer, until: str = "") -> None:
    """Write a trust root that names one key."""
    ends = f"until = {until}\n" if until else ""
    text = (
        f"schema = 1\n\n[[keys]]\nname = '{signer.version}'\n{ends}public = '''\n{signer.public()}'''\n"
    )
    (root / "trust").mkdir(exist_ok=True)
    (root / "trust" / "production.toml").write_text(text)


class Shelf(Registry):
    """A registry that holds one image, in memory."""

    name = "europe-west1-docker.pkg.dev/acme-ml/retrain/base"

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[bytes, str]] = {DIGEST: (IMAGE, "application/json")}

    def manifest(self, reference: str) -> tuple[bytes, str] | None:
        return self.manifests.get(reference)

    def has_blob(self, digest: str) -> bool:
        return digest in self.blobs

    def blob(self, digest: str) -> bytes:
        data = self.blobs[digest]
        if digest_of(data) != digest:
            raise RetrainError(f"blob {digest} has the bytes of {digest_of(data)}")
        return data

    def push_blob(self, source: bytes | Path, digest: str, told: Told | None = None) -> bool:
        is_new = digest not in self.blobs
        self.blobs[digest] = source if isinstance(source, bytes) else source.read_bytes()
        return is_new

    def push_manifest(self, reference: str, data: bytes, kind: str) -> None:
        self.manifests[reference] = data, kind

    def referrers(self, digest: str, kind: str = "") -> list[dict[str, Any]]:
        found = {name: json.loads(data) for name, (data, _) in self.manifests.items()}
        return [{"digest": name} for name, one in found.items() if _of(one) == (digest, kind)]


def _of(manifest: Mapping[str, Any]) -> tuple[object, object]:
    return manifest.get("subject", {}).get("digest"), manifest.get("artifactType")
