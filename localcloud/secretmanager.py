"""Secret Manager: secrets, their versions, and access to a payload."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import google_crc32c
from google.cloud.secretmanager_v1 import types
from google.protobuf import empty_pb2

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.rpc import Caller, RpcHandler

State: TypeAlias = types.SecretVersion.State


class SecretManager:
    """Records: kind "secret" by name, kind "secret-version" by name and six-digit number."""

    client = "google.cloud.secretmanager_v1.services.secret_manager_service"
    hosts = (r"secretmanager\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def handlers(self) -> Mapping[str, RpcHandler]:
        """The calls that are served."""
        return {
            "CreateSecret": self.create_secret,
            "GetSecret": self.get_secret,
            "ListSecrets": self.list_secrets,
            "DeleteSecret": self.delete_secret,
            "AddSecretVersion": self.add_secret_version,
            "GetSecretVersion": self.get_secret_version,
            "ListSecretVersions": self.list_secret_versions,
            "AccessSecretVersion": self.access_secret_version,
            "DisableSecretVersion": lambda request, _: self._change(request.name, State.DISABLED),
            "EnableSecretVersion": lambda request, _: self._change(request.name, State.ENABLED),
            "DestroySecretVersion": lambda request, _: self._change(request.name, State.DESTROYED),
        }

    def create_secret(self, request: types.CreateSecretRequest, _: Caller) -> types.Secret:
        """A secret without versions."""
        name = f"{self._parent(request.parent)}/secrets/{request.secret_id}"
        with self._store.transaction():
            if self._store.get("secret", name):
                raise ApiError("ALREADY_EXISTS", f"Secret [{name}] already exists.")
            secret = types.Secret(request.secret, name=name, create_time=datetime.now(UTC))
            self._store.put("secret", name, types.Secret.to_dict(secret))
        return secret

    def get_secret(self, request: types.GetSecretRequest, _: Caller) -> types.Secret:
        """A secret without its payloads."""
        return types.Secret(self._secret(request.name), ignore_unknown_fields=True)

    def list_secrets(self, request: types.ListSecretsRequest, _: Caller) -> types.ListSecretsResponse:
        """All secrets of a project, by name."""
        rows = self._store.list("secret", f"{self._parent(request.parent)}/secrets/")
        secrets = [types.Secret(row, ignore_unknown_fields=True) for _, row in rows]
        return types.ListSecretsResponse(secrets=secrets, total_size=len(secrets))

    def delete_secret(self, request: types.DeleteSecretRequest, _: Caller) -> empty_pb2.Empty:
        """The secret and all its versions."""
        name = self._secret(request.name)["name"]
        with self._store.transaction():
            for key, _version in self._store.list("secret-version", f"{name}/versions/"):
                self._store.delete("secret-version", key)
            self._store.delete("secret", name)
        return empty_pb2.Empty()

    def add_secret_version(
        self, request: types.AddSecretVersionRequest, _: Caller
    ) -> types.SecretVersion:
        """A new enabled version with the payload."""
        data = request.payload.data
        if request.payload.data_crc32c not in (0, google_crc32c.value(data)):
            raise ApiError("INVALID_ARGUMENT", "The payload's checksum does not match its data.")
        with self._store.transaction():
            name = self._secret(request.parent)["name"]
            number = len(self._store.list("secret-version", f"{name}/versions/")) + 1
            record = {"number": number, "state": int(State.ENABLED), "created": self._cloud.now()}
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
        """All versions of a secret, newest first."""
        name = self._secret(request.parent)["name"]
        rows = [row for _, row in self._store.list("secret-version", f"{name}/versions/")][::-1]
        versions = [self._version(f"{name}/versions/{row['number']}", row) for row in rows]
        return types.ListSecretVersionsResponse(versions=versions, total_size=len(versions))

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

    def _change(self, name: str, state: State) -> types.SecretVersion:
        with self._store.transaction():
            full, record = self._find(name)
            record |= {"state": int(state)}
            if state == State.DESTROYED:
                record |= {"data": ""}
            self._write(full.rsplit("/versions/", 1)[0], record)
        return self._version(full, record)

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
        """A version by number or `latest`: its full name and record."""
        secret, _, version = name.partition("/versions/")
        full = self._secret(secret)["name"]
        rows = [row for _, row in self._store.list("secret-version", f"{full}/versions/")]
        wanted = rows[-1:] if version == "latest" else [r for r in rows if str(r["number"]) == version]
        if not wanted:
            missing = f"Secret [{full}] not found or has no versions."
            other = f"Secret Version [{full}/versions/{version}] not found."
            raise ApiError("NOT_FOUND", missing if version == "latest" else other)
        return f"{full}/versions/{wanted[0]['number']}", wanted[0]

    @staticmethod
    def _version(name: str, record: dict[str, Any]) -> types.SecretVersion:
        created = datetime.fromisoformat(record["created"])
        return types.SecretVersion(name=name, state=State(record["state"]), create_time=created)
