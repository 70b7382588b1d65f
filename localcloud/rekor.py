"""Rekor, Sigstore's public log of signatures: entries, their places in its tree, its word on them."""

import base64
import binascii
import hashlib
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route
from localcloud.sigstore_chain import Chains, Key
from localcloud.store import Store
from localcloud.transparency import key_id

HOST = "rekor.sigstore.dev"
KIND = {"apiVersion": "0.0.1", "kind": "dsse"}


class Rekor:
    """The service. Records: "rekor", entries in their order."""

    hosts: tuple[str, ...] = (HOST.replace(".", r"\."),)

    def __init__(self, cloud: Cloud) -> None:
        self.log = SignatureLog(cloud.store)

    def routes(self) -> list[Route]:
        """The one call that is served."""
        return [Route("POST", "/api/v1/log/entries", self.add)]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """An error as Rekor words it."""
        return Response({"code": error.status, "message": error.message}, error.status)

    def add(self, request: Request) -> Response:
        """An entry for a DSSE envelope; whether its signature holds is not looked at."""
        asked = request.json()
        if {name: asked.get(name) for name in KIND} != KIND:
            raise ApiError("INVALID_ARGUMENT", "the local cloud logs entries of kind dsse 0.0.1")
        try:
            given = asked["spec"]["proposedContent"]
            entry = self.log.add(str(given["envelope"]), str(given["verifiers"][0]))
        except (KeyError, TypeError, IndexError, ValueError) as error:
            message = f"error processing entry: {type(error).__name__}: {error}"
            raise ApiError("INVALID_ARGUMENT", message) from None
        return Response({entry.pop("uuid"): entry}, 201)


class SignatureLog:
    """The log of one local cloud."""

    def __init__(self, store: Store) -> None:
        self._store, self._chains = store, Chains(store)

    @property
    def key(self) -> Key:
        """What it signs with."""
        return self._chains.key(HOST)

    def add(self, envelope: str, verifier: str) -> dict[str, Any]:
        """Take an entry in: envelope as JSON, certificate as PEM in base64. Raises ValueError."""
        body = _canonical({**KIND, "spec": _spec(envelope, verifier)})
        with self._store.transaction():
            leaves = [base64.b64decode(one["leaf"]) for _, one in self._store.list("rekor")]
            index, leaf = len(leaves), hashlib.sha256(b"\0" + body).digest()
            self._store.put("rekor", f"{index:012}", {"leaf": base64.b64encode(leaf).decode()})
        return self._told(body, [*leaves, leaf])

    def _told(self, body: bytes, leaves: list[bytes]) -> dict[str, Any]:
        index, own = len(leaves) - 1, key_id(self.key).hex()
        entry = {"body": base64.b64encode(body).decode(), "integratedTime": int(time.time())}
        entry |= {"logID": own, "logIndex": index}
        promise = self.key.sign(_canonical(entry), ec.ECDSA(hashes.SHA256()))
        root = _root(leaves)
        proof = {
            "checkpoint": self._checkpoint(root, len(leaves)),
            "hashes": [one.hex() for one in _path(index, leaves)],
            "logIndex": index,
            "rootHash": root.hex(),
            "treeSize": len(leaves),
        }
        promised = base64.b64encode(promise).decode()
        verification = {"inclusionProof": proof, "signedEntryTimestamp": promised}
        return {"uuid": leaves[-1].hex(), **entry, "verification": verification}

    def _checkpoint(self, root: bytes, size: int) -> str:
        """The tree's size and root, signed, as a note."""
        text = f"{HOST} - 1\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        signed = base64.b64encode(key_id(self.key)[:4] + signature).decode()
        return f"{text}\n\u2014 {HOST} {signed}\n"


def _spec(envelope: str, verifier: str) -> dict[str, Any]:
    found = json.loads(envelope)
    try:
        payload = base64.b64decode(found["payload"], validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    signatures = [{"signature": one["sig"], "verifier": verifier} for one in found["signatures"]]
    return {
        "envelopeHash": _hash(envelope.encode()),
        "payloadHash": _hash(payload),
        "signatures": signatures,
    }


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _canonical(value: Any) -> bytes:
    """JSON in the one form that is signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _split(size: int) -> int:
    """How many leaves are left of a tree's root: the largest power of two below its size."""
    return 1 << (size - 1).bit_length() - 1


def _root(leaves: list[bytes]) -> bytes:
    """The root of the tree over leaves' hashes."""
    if len(leaves) == 1:
        return leaves[0]
    cut = _split(len(leaves))
    return hashlib.sha256(b"\1" + _root(leaves[:cut]) + _root(leaves[cut:])).digest()


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    """The hashes that lead from a leaf to the root."""
    if len(leaves) == 1:
        return []
    cut = _split(len(leaves))
    if index < cut:
        return [*_path(index, leaves[:cut]), _root(leaves[cut:])]
    return [*_path(index - cut, leaves[cut:]), _root(leaves[:cut])]
