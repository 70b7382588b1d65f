"""Secret Manager: secrets, their versions, and access to a payload."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import google_crc32c
from google.cloud.secretmanager_v1 import types
from google.protobuf import empty_pb2

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.guard import guarded, policy_handlers
from localcloud.masks import updated
from localcloud.paging import answer
from localcloud.rpc import Caller, RpcHandler

State: TypeAlias = types.SecretVersion.State
SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
VERSION_ID = re.compile(r"[A-Za-z0-9_-]+")
LARGEST = 65536  # bytes of a payload
PAGE = 25000

# By method: the permission, and the request's field that names the resource.
NEEDS = {
    "CreateSecret": ("secretmanager.secrets.create", "parent"),
    "GetSecret": ("secretmanager.secrets.get", "name"),
    "ListSecrets": ("secretmanager.secrets.list", "parent"),
    "UpdateSecret": ("secretmanager.secrets.update", "secret.name"),
    "DeleteSecret": ("secretmanager.secrets.delete", "name"),
    "AddSecretVersion": ("secretmanager.versions.add", "parent"),
    "GetSecretVersion": ("secretmanager.versions.get", "name"),
    "ListSecretVersions": ("secretmanager.versions.list", "parent"),
    "AccessSecretVersion": ("secretmanager.versions.access", "name"),
    "DisableSecretVersion": ("secretmanager.versions.disable", "name"),
    "EnableSecretVersion": ("secretmanager.versions.enable", "name"),
    "DestroySecretVersion": ("secretmanager.versions.destroy", "name"),
    "GetIamPolicy": ("secretmanager.secrets.getIamPolicy", "resource"),
    "SetIamPolicy": ("secretmanager.secrets.setIamPolicy", "resource"),
}


class SecretManager:
    """Records: kind "secret" by name, kind "secret-version" by name and six-digit number."""

    client = "google.cloud.secretmanager_v1.services.secret_manager_service"
    hosts = (r"secretmanager\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        handlers: dict[str, RpcHandler] = {
            "CreateSecret": self.create_secret,
            "GetSecret": self.get_secret,
            "ListSecrets": self.list_secrets,
            "UpdateSecret": self.update_secret,
            "DeleteSecret": self.delete_secret,
            "AddSecretVersion": self.add_secret_version,
            "GetSecretVersion": self.get_secret_version,
            "ListSecretVersions": self.list_secret_versions,
            "AccessSecretVersion": self.access_secret_version,
            "DisableSecretVersion": lambda request, _: self._change(request, State.DISABLED),
            "EnableSecretVersion": lambda request, _: self._change(request, State.ENABLED),
            "DestroySecretVersion": lambda request, _: self._change(request, State.DESTROYED),
            **policy_handlers(self._cloud, self._secret),
        }
        return guarded(self._cloud, handlers, NEEDS)

    def create_secret(self, request: types.CreateSecretRequest, _: Caller) -> types.Secret:
        """A secret without versions."""
        name = f"{self._parent(request.parent)}/secrets/{request.secret_id}"
        if not SECRET_ID.fullmatch(request.secret_id):
            raise ApiError("INVALID_ARGUMENT", f"Secret ids must match {SECRET_ID.pattern}.")
        if not types.Replication.pb(request.secret.replication).WhichOneof("replication"):
            raise ApiError("INVALID_ARGUMENT", "secret.replication cannot be empty.")
        with self._store.transaction():
            if self._store.get("secret", name):
                raise ApiError("ALREADY_EXISTS", f"Secret [{name}] already exists.")
            secret = types.Secret(request.secret, name=name, create_time=datetime.now(UTC))
            return self._save(secret)

    def get_secret(self, request: types.GetSecretRequest, _: Caller) -> types.Secret:
        """A secret without its payloads."""
        return _shown(self._secret(request.name))

    def list_secrets(self, request: types.ListSecretsRequest, _: Caller) -> types.ListSecretsResponse:
        """The secrets of a project that pass the filter, by name, in pages."""
        rows = self._store.list("secret", f"{self._parent(request.parent)}/secrets/")
        return answer(request, types.ListSecretsResponse, [_shown(row) for _, row in rows], PAGE)

    def update_secret(self, request: types.UpdateSecretRequest, _: Caller) -> types.Secret:
        """The fields that the mask names, replaced."""
        with self._store.transaction():
            before = _shown(self._secret(request.secret.name))
            _same_etag(request.secret.etag, before.etag)
            secret, changed = updated(before, request.secret, request.update_mask)
            numbers = {self._number(secret.name, str(n)) for n in secret.version_aliases.values()}
            if "version_aliases" in changed and 0 in numbers:
                raise ApiError("FAILED_PRECONDITION", "An alias names a version that does not exist.")
            return self._save(secret)

    def delete_secret(self, request: types.DeleteSecretRequest, _: Caller) -> empty_pb2.Empty:
        """The secret, all its versions and its policy."""
        with self._store.transaction():
            found = _shown(self._secret(request.name))
            _same_etag(request.etag, found.etag)
            for key, _version in self._store.list("secret-version", f"{found.name}/versions/"):
                self._store.delete("secret-version", key)
            self._cloud.iam.forget(found.name)
            self._store.delete("secret", found.name)
        return empty_pb2.Empty()

    def add_secret_version(
        self, request: types.AddSecretVersionRequest, _: Caller
    ) -> types.SecretVersion:
        """A new enabled version with the payload."""
        data = request.payload.data
        if not 0 < len(data) <= LARGEST:
            words = f"Secret payloads have 1 to {LARGEST} bytes; this one has {len(data)}."
            raise ApiError("INVALID_ARGUMENT", words)
        if request.payload.data_crc32c not in (0, google_crc32c.value(data)):
            raise ApiError("INVALID_ARGUMENT", "The payload's checksum does not match its data.")
        with self._store.transaction():
            name = self._secret(request.parent)["name"]
            number = len(self._store.list("secret-version", f"{name}/versions/")) + 1
            record = {"number": number, "state": int(State.ENABLED), "created": self._cloud.now()}
            record |= {"checked": "data_crc32c" in request.payload}
            self._write(name, record | {"data": data.hex()})
        return self._version(f"{name}/versions/{number}", record)

    def get_secret_version(
        self, request: types.GetSecretVersionRequest, _: Caller
    ) -> types.SecretVersion:
        """A version's state."""
        return self._version(*self._find(request.name))

    def list_secret_versions(
        self, request: types.ListSecretVersionsRequest, _: Caller
    ) -> types.ListSecretVersionsResponse:
        """The versions of a secret that pass the filter, newest first, in pages."""
        name = self._secret(request.parent)["name"]
        rows = [row for _, row in self._store.list("secret-version", f"{name}/versions/")][::-1]
        versions = [self._version(f"{name}/versions/{row['number']}", row) for row in rows]
        return answer(request, types.ListSecretVersionsResponse, versions, PAGE)

    def access_secret_version(
        self, request: types.AccessSecretVersionRequest, _: Caller
    ) -> types.AccessSecretVersionResponse:
        """The payload of an enabled version; `latest` is the newest, enabled or not."""
        name, record = self._find(request.name)
        if record["state"] != State.ENABLED:
            state = State(record["state"]).name
            raise ApiError("FAILED_PRECONDITION", f"Secret Version [{name}] is in {state} state.")
        data = bytes.fromhex(record["data"])
        payload = types.SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        return types.AccessSecretVersionResponse(name=name, payload=payload)

    def _change(self, request: Any, state: State) -> types.SecretVersion:
        with self._store.transaction():
            full, record = self._find(request.name)
            _same_etag(request.etag, self._version(full, record).etag)
            if record["state"] == State.DESTROYED:
                words = f"Secret Version [{full}] is in DESTROYED state."
                raise ApiError("FAILED_PRECONDITION", words)
            record |= {"state": int(state)}
            if state == State.DESTROYED:
                record |= {"data": "", "destroyed": self._cloud.now()}
            self._write(full.rsplit("/versions/", 1)[0], record)
        return self._version(full, record)

    def _save(self, secret: types.Secret) -> types.Secret:
        """Write a secret down; its record always carries what a client may see."""
        if secret.ttl:
            secret.expire_time, secret.ttl = datetime.now(UTC) + secret.ttl, None
        record = json.loads(types.Secret.to_json(secret, preserving_proto_field_name=True))
        self._store.put("secret", secret.name, record)
        return _shown(record)

    def _write(self, secret: str, record: dict[str, Any]) -> None:
        self._store.put("secret-version", f"{secret}/versions/{record['number']:06d}", record)

    def _parent(self, parent: str) -> str:
        """A project's canonical name: by number, as the real service gives it."""
        world = self._cloud.world
        if parent not in (f"projects/{world.project}", f"projects/{world.project_number}"):
            raise ApiError("PERMISSION_DENIED", f"Permission denied on resource project {parent}.")
        return f"projects/{world.project_number}"

    def _secret(self, name: str) -> dict[str, Any]:
        parts = name.split("/secrets/")
        if len(parts) != 2:
            raise ApiError("INVALID_ARGUMENT", f"The name '{name}' is not a secret's.")
        full = f"{self._parent(parts[0])}/secrets/{parts[1]}"
        found = self._store.get("secret", full)
        if found is None:
            raise ApiError("NOT_FOUND", f"Secret [{full}] not found or has no versions.")
        return found

    def _find(self, name: str) -> tuple[str, dict[str, Any]]:
        """A version by number, alias or `latest`: its full name and record."""
        secret, _, version = name.partition("/versions/")
        full = self._secret(secret)["name"]
        if not VERSION_ID.fullmatch(version):
            raise ApiError("INVALID_ARGUMENT", f"The version '{version}' is no number and no alias.")
        rows = self._store.list("secret-version", f"{full}/versions/")
        number = rows[-1][1]["number"] if rows and version == "latest" else self._number(full, version)
        found = self._store.get("secret-version", f"{full}/versions/{number:06d}")
        if not found:
            missing = f"Secret [{full}] not found or has no versions."
            other = f"Secret Version [{full}/versions/{version}] not found."
            raise ApiError("NOT_FOUND", missing if version == "latest" else other)
        return f"{full}/versions/{number}", found

    def _number(self, secret: str, version: str) -> int:
        """The number of a version that is there, named by number or alias; 0 where it is not."""
        aliases = _shown(self._secret(secret)).version_aliases
        number = int(version) if version.isdigit() else int(aliases.get(version, 0))
        return number if self._store.get("secret-version", f"{secret}/versions/{number:06d}") else 0

    @staticmethod
    def _version(name: str, record: dict[str, Any]) -> types.SecretVersion:
        destroyed = record.get("destroyed")
        made = types.SecretVersion(
            name=name,
            state=State(record["state"]),
            create_time=datetime.fromisoformat(record["created"]),
            destroy_time=datetime.fromisoformat(destroyed) if destroyed else None,
            replication_status={"automatic": {}},
            client_specified_payload_checksum=record.get("checked", False),
        )
        made.etag = _etag(types.SecretVersion.serialize(made))
        return made


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:14]}"'


def _same_etag(given: str, actual: str) -> None:
    if given not in ("", actual):
        words = f"The etag {given} is not that of the current state, {actual}."
        raise ApiError("FAILED_PRECONDITION", words)


def _shown(record: dict[str, Any]) -> types.Secret:
    """A secret as a client sees it; records of an older local cloud have times in another form."""
    secret = types.Secret.from_json(json.dumps(record), ignore_unknown_fields=True)
    secret.etag = ""
    secret.etag = _etag(json.dumps(types.Secret.to_dict(secret), sort_keys=True).encode())
    return secret
