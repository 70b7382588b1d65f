"""Cloud KMS: key rings, keys that sign, their versions, public keys and signatures."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import google_crc32c
from google.cloud.kms_v1 import types

from localcloud import kms_keys
from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.guard import guarded, policy_handlers
from localcloud.kms_shapes import (
    KEPT,
    State,
    Version,
    algorithm_of,
    digest_of,
    numbered,
    shown_key,
    shown_ring,
    shown_version,
)
from localcloud.masks import updated
from localcloud.paging import answer
from localcloud.rpc import Caller, RpcHandler

ID = re.compile(r"[a-zA-Z0-9_-]{1,63}")
PAGE = 1000

OF, VERSIONS = "cloudkms.cryptoKeys", "cloudkms.cryptoKeyVersions"
# By method: the permission, and the request's field that names the resource.
NEEDS = {
    "CreateKeyRing": ("cloudkms.keyRings.create", "parent"),
    "GetKeyRing": ("cloudkms.keyRings.get", "name"),
    "ListKeyRings": ("cloudkms.keyRings.list", "parent"),
    "CreateCryptoKey": (f"{OF}.create", "parent"),
    "GetCryptoKey": (f"{OF}.get", "name"),
    "ListCryptoKeys": (f"{OF}.list", "parent"),
    "CreateCryptoKeyVersion": (f"{VERSIONS}.create", "parent"),
    "GetCryptoKeyVersion": (f"{VERSIONS}.get", "name"),
    "ListCryptoKeyVersions": (f"{VERSIONS}.list", "parent"),
    "UpdateCryptoKeyVersion": (f"{VERSIONS}.update", "crypto_key_version.name"),
    "DestroyCryptoKeyVersion": (f"{VERSIONS}.destroy", "name"),
    "RestoreCryptoKeyVersion": (f"{VERSIONS}.restore", "name"),
    "GetPublicKey": (f"{VERSIONS}.viewPublicKey", "name"),
    "AsymmetricSign": (f"{VERSIONS}.useToSign", "name"),
    "GetIamPolicy": (f"{OF}.getIamPolicy", "resource"),
    "SetIamPolicy": (f"{OF}.setIamPolicy", "resource"),
}


class Kms:
    """Records: kinds "key-ring" and "crypto-key" by name, "key-version" by key and six-digit number."""

    client = "google.cloud.kms_v1.services.key_management_service"
    hosts = (r"cloudkms\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        handlers: dict[str, RpcHandler] = {
            "CreateKeyRing": self.create_key_ring,
            "GetKeyRing": lambda request, _: shown_ring(self._found("key-ring", request.name)),
            "ListKeyRings": self.list_key_rings,
            "CreateCryptoKey": self.create_crypto_key,
            "GetCryptoKey": lambda request, _: shown_key(self._found("crypto-key", request.name)),
            "ListCryptoKeys": self.list_crypto_keys,
            "CreateCryptoKeyVersion": self.create_crypto_key_version,
            "GetCryptoKeyVersion": lambda request, _: shown_version(self._version(request.name)),
            "ListCryptoKeyVersions": self.list_crypto_key_versions,
            "UpdateCryptoKeyVersion": self.update_crypto_key_version,
            "DestroyCryptoKeyVersion": self.destroy_crypto_key_version,
            "RestoreCryptoKeyVersion": self.restore_crypto_key_version,
            "GetPublicKey": self.get_public_key,
            "AsymmetricSign": self.asymmetric_sign,
            **policy_handlers(self._cloud, self._resource),
        }
        return guarded(self._cloud, handlers, NEEDS)

    def create_key_ring(self, request: types.CreateKeyRingRequest, _: Caller) -> types.KeyRing:
        """An empty key ring; it is there for good."""
        parent = self._parent(request.parent)
        name = f"{parent}/keyRings/{_id(request.key_ring_id, 'key_ring_id')}"
        with self._store.transaction():
            self._new("key-ring", name)
            row = {"name": name, "created": self._cloud.now()}
            self._store.put("key-ring", name, row)
        return shown_ring(row)

    def list_key_rings(self, request: types.ListKeyRingsRequest, _: Caller) -> Any:
        """The key rings of a location, by name, in pages."""
        rows = self._store.list("key-ring", f"{self._parent(request.parent)}/keyRings/")
        return answer(request, types.ListKeyRingsResponse, [shown_ring(row) for _, row in rows], PAGE)

    def create_crypto_key(self, request: types.CreateCryptoKeyRequest, _: Caller) -> types.CryptoKey:
        """A key for signatures with its first version, unless that is left out."""
        ring, asked = self._found("key-ring", request.parent)["name"], request.crypto_key
        name = f"{ring}/cryptoKeys/{_id(request.crypto_key_id, 'crypto_key_id')}"
        algorithm = algorithm_of(asked)
        with self._store.transaction():
            self._new("crypto-key", name)
            row = {"name": name, "created": self._cloud.now(), "labels": dict(asked.labels)}
            row |= {"algorithm": algorithm}
            self._store.put("crypto-key", name, row)
            if not request.skip_initial_version_creation:
                self._add_version(row)
        return shown_key(row)

    def list_crypto_keys(self, request: types.ListCryptoKeysRequest, _: Caller) -> Any:
        """The keys of a ring, by name, in pages."""
        ring = self._found("key-ring", request.parent)["name"]
        rows = self._store.list("crypto-key", f"{ring}/cryptoKeys/")
        return answer(request, types.ListCryptoKeysResponse, [shown_key(row) for _, row in rows], PAGE)

    def create_crypto_key_version(
        self, request: types.CreateCryptoKeyVersionRequest, _: Caller
    ) -> Version:
        """Another version of a key, of the key's algorithm."""
        with self._store.transaction():
            return shown_version(self._add_version(self._found("crypto-key", request.parent)))

    def list_crypto_key_versions(self, request: types.ListCryptoKeyVersionsRequest, _: Caller) -> Any:
        """The versions of a key, oldest first, in pages."""
        key = self._found("crypto-key", request.parent)["name"]
        rows = self._store.list("key-version", f"{key}/cryptoKeyVersions/")
        found = [shown_version(row) for _, row in rows]
        return answer(request, types.ListCryptoKeyVersionsResponse, found, PAGE)

    def update_crypto_key_version(
        self, request: types.UpdateCryptoKeyVersionRequest, _: Caller
    ) -> Version:
        """Enable a version, or disable it."""
        with self._store.transaction():
            row = self._version(request.crypto_key_version.name)
            made, _changed = updated(shown_version(row), request.crypto_key_version, request.update_mask)
            either = (State.ENABLED, State.DISABLED)
            if made.state not in either or row["state"] not in either:
                before, after = State(row["state"]).name, State(made.state).name
                words = f"{row['name']} cannot be changed from {before} to {after}."
                raise ApiError("FAILED_PRECONDITION", words)
            return self._write(row | {"state": int(made.state)})

    def destroy_crypto_key_version(
        self, request: types.DestroyCryptoKeyVersionRequest, _: Caller
    ) -> Version:
        """Schedule a version's end; until then it can be restored."""
        with self._store.transaction():
            row = self._in(request.name, State.ENABLED, State.DISABLED)
            ends = (datetime.now(UTC) + KEPT).isoformat()
            return self._write(row | {"state": int(State.DESTROY_SCHEDULED), "destroyed": ends})

    def restore_crypto_key_version(
        self, request: types.RestoreCryptoKeyVersionRequest, _: Caller
    ) -> Version:
        """Take a scheduled end back; the version is disabled then."""
        with self._store.transaction():
            row = self._in(request.name, State.DESTROY_SCHEDULED)
            row.pop("destroyed")
            return self._write(row | {"state": int(State.DISABLED)})

    def get_public_key(self, request: types.GetPublicKeyRequest, _: Caller) -> types.PublicKey:
        """The half that checks signatures, as PEM."""
        if request.public_key_format not in (0, types.PublicKey.PublicKeyFormat.PEM):
            raise ApiError("INVALID_ARGUMENT", "the local cloud serves public keys as PEM only")
        row = self._in(request.name, State.ENABLED)
        return types.PublicKey(
            pem=row["public"],
            pem_crc32c=google_crc32c.value(row["public"].encode()),
            algorithm=numbered(row["algorithm"]),
            name=row["name"],
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def asymmetric_sign(
        self, request: types.AsymmetricSignRequest, _: Caller
    ) -> types.AsymmetricSignResponse:
        """The signature of a digest by an enabled version."""
        row = self._in(request.name, State.ENABLED)
        digest = digest_of(request, kms_keys.ALGORITHMS[row["algorithm"]].digest)
        signature = kms_keys.signed(row["algorithm"], row["private"], digest)
        return types.AsymmetricSignResponse(
            signature=signature,
            signature_crc32c=google_crc32c.value(signature),
            verified_digest_crc32c="digest_crc32c" in request,
            name=row["name"],
            protection_level=types.ProtectionLevel.SOFTWARE,
        )

    def _add_version(self, key: dict[str, Any]) -> dict[str, Any]:
        below = f"{key['name']}/cryptoKeyVersions/"
        number = len(self._store.list("key-version", below)) + 1
        halves = kms_keys.generated(key["algorithm"])
        row = {"name": f"{below}{number}", "number": number, "algorithm": key["algorithm"]}
        row |= {"state": int(State.ENABLED), "created": self._cloud.now(), **halves}
        self._write(row)
        return row

    def _write(self, row: dict[str, Any]) -> Version:
        key = row["name"].rpartition("/")[0]
        self._store.put("key-version", f"{key}/{row['number']:06d}", row)
        return shown_version(row)

    def _parent(self, parent: str) -> str:
        """A location's name with the project's id, as the real service gives it."""
        world = self._cloud.world
        _, project, _, location = parent.split("/")
        if project not in (world.project, world.project_number):
            raise ApiError("PERMISSION_DENIED", f"Permission denied on resource project {project}.")
        if location not in (world.region, "global"):
            raise ApiError("NOT_FOUND", f"The location '{location}' is not found.")
        return f"projects/{world.project}/locations/{location}"

    def _full(self, name: str) -> str:
        parts = name.split("/")
        return "/".join([self._parent("/".join(parts[:4])), *parts[4:]])

    def _found(self, kind: str, name: str) -> dict[str, Any]:
        found = self._store.get(kind, self._full(name))
        if found is None:
            label = {"key-ring": "KeyRing", "crypto-key": "CryptoKey"}[kind]
            raise ApiError("NOT_FOUND", f"{label} {self._full(name)} not found.")
        return found

    def _resource(self, name: str) -> object:
        """What has a policy of its own: a ring or a key."""
        return self._found("crypto-key" if "/cryptoKeys/" in name else "key-ring", name)

    def _version(self, name: str) -> dict[str, Any]:
        key, _, number = name.partition("/cryptoKeyVersions/")
        own = f"{self._found('crypto-key', key)['name']}/cryptoKeyVersions/"
        found = self._store.get("key-version", f"{own}{int(number):06d}" if number.isdigit() else "")
        if found is None:
            raise ApiError("NOT_FOUND", f"CryptoKeyVersion {own}{number} not found.")
        return found

    def _in(self, name: str, *states: State) -> dict[str, Any]:
        """A version in one of the states. Raises FAILED_PRECONDITION."""
        row = self._version(name)
        if row["state"] not in states:
            words = f"{row['name']} is not enabled, current state is: {State(row['state']).name}."
            raise ApiError("FAILED_PRECONDITION", words)
        return row

    def _new(self, kind: str, name: str) -> None:
        if self._store.get(kind, name):
            label = {"key-ring": "KeyRing", "crypto-key": "CryptoKey"}[kind]
            raise ApiError("ALREADY_EXISTS", f"{label} {name} already exists.")


def _id(given: str, field: str) -> str:
    if not ID.fullmatch(given):
        raise ApiError("INVALID_ARGUMENT", f"{field} '{given}' does not match {ID.pattern}.")
    return given
