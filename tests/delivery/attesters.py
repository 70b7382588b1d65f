"""A Sigstore and a GitHub that has things attested: what the tests of GitHub's attestations share."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from delivery import dsse, statement
from delivery.bundle import KIND
from localcloud import fulcio, timestamp_message, timestamps, trusted_root
from localcloud.rekor import SignatureLog
from localcloud.sigstore_chain import Chains
from localcloud.store import Store
from localcloud.transparency import CertificateLog
from tests.delivery.signers import DIGEST, RUN, Shelf

NUMBER, OWNER = 1234, 5678
WORKFLOW = RUN["GITHUB_WORKFLOW_REF"]
CLAIMS = {
    "iss": "https://token.actions.githubusercontent.com",
    "job_workflow_ref": WORKFLOW,
    "job_workflow_sha": RUN["GITHUB_SHA"],
    "runner_environment": "github-hosted",
    "repository": "acme/models",
    "sha": RUN["GITHUB_SHA"],
    "ref": "refs/heads/main",
    "repository_id": str(NUMBER),
    "repository_owner": "acme",
    "repository_owner_id": str(OWNER),
    "workflow": "train",
    "workflow_ref": WORKFLOW,
    "workflow_sha": RUN["GITHUB_SHA"],
    "event_name": "push",
    "run_id": "42",
    "run_attempt": "1",
    "repository_visibility": "private",
}


@dataclass
class Attester:
    """One Sigstore; `is_public`: the instance whose signatures are in a log."""

    store: Store
    is_public: bool = False
    claims: dict[str, str] = field(default_factory=lambda: dict(CLAIMS))
    time: datetime | None = None  # of the timestamp, if not now

    def root(self) -> dict[str, Any]:
        """Its trusted root."""
        return (trusted_root.public if self.is_public else trusted_root.private)(self.store)

    def bundle(self, said: bytes | None = None) -> dict[str, Any]:
        """What attests that this run has built the image, or `said`."""
        key = ec.generate_private_key(ec.SECP256R1())
        said = said or json.dumps(self.statement()).encode()
        chain = Chains(self.store).signer(fulcio.PUBLIC if self.is_public else fulcio.PRIVATE)
        log = CertificateLog(self.store) if self.is_public else None
        leaf = fulcio.issued(chain, self.claims, key.public_key(), log)
        signature = key.sign(dsse.signed_bytes(dsse.IN_TOTO, said), ec.ECDSA(hashes.SHA256()))
        envelope = {"payload": text(said), "payloadType": dsse.IN_TOTO}
        envelope |= {"signatures": [{"sig": text(signature)}]}  # type: ignore[dict-item]
        material: dict[str, Any] = {
            "certificate": {"rawBytes": text(leaf.public_bytes(serialization.Encoding.DER))}
        }
        if self.is_public:
            pem = leaf.public_bytes(serialization.Encoding.PEM)
            material["tlogEntries"] = [self._entry(envelope, text(pem))]
        else:
            material["timestampVerificationData"] = {"rfc3161Timestamps": [self.stamp(signature)]}
        return {"mediaType": KIND, "verificationMaterial": material, "dsseEnvelope": envelope}

    def statement(self, names: Sequence[str] = (Shelf.name,), digest: str = DIGEST) -> dict[str, Any]:
        """What GitHub's action says of the image under each of the names."""
        said = json.loads(statement.made(Shelf.name, digest))
        said["subject"] = [{"name": name, "digest": {"sha256": digest[7:]}} for name in names]
        return dict(said)

    def stamp(self, signature: bytes) -> dict[str, str]:
        """A timestamp, as it stands in a bundle."""
        chain = Chains(self.store).stamper(timestamps.HOST)
        digest = hashlib.sha256(signature).digest()
        stamped = timestamp_message.stamped(chain, digest, self.time or datetime.now(UTC))
        return {"signedTimestamp": text(stamped)}

    def _entry(self, envelope: dict[str, Any], pem: str) -> dict[str, Any]:
        """A log's entry, as it stands in a bundle."""
        found = SignatureLog(self.store).add(json.dumps(envelope), pem)
        proof, promise = (found["verification"][n] for n in ("inclusionProof", "signedEntryTimestamp"))
        return {
            "logIndex": str(found["logIndex"]),
            "logId": {"keyId": text(bytes.fromhex(found["logID"]))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(found["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": promise},
            "inclusionProof": {
                "logIndex": str(proof["logIndex"]),
                "rootHash": text(bytes.fromhex(proof["rootHash"])),
                "treeSize": str(proof["treeSize"]),
                "hashes": [text(bytes.fromhex(one)) for one in proof["hashes"]],
                "checkpoint": {"envelope": proof["checkpoint"]},
            },
            "canonicalizedBody": found["body"],
        }


def trusting(root: Path, *trusted: Attester, number: int = NUMBER, owner: int = OWNER) -> None:
    """Write the files that trust these, for a repository of those numbers."""
    (root / "trust").mkdir(exist_ok=True)
    lines = [json.dumps(one.root()) for one in trusted]
    (root / "trust" / "production.jsonl").write_text("".join(f"{line}\n" for line in lines))
    numbers = f"schema = 1\nrepository_id = {number}\nowner_id = {owner}\n"
    (root / "trust" / "production.toml").write_text(numbers)


def text(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()
