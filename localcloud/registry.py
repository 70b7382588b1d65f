"""Artifact Registry: the OCI distribution API, and the folder that a pulled image is."""

import base64
import hashlib
import io
import json
import shutil
import tarfile
import threading
from pathlib import Path
from typing import Any

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route

JSON = {"content-type": "application/json"}
REASONS = {401: "UNAUTHORIZED", 404: "NAME_UNKNOWN", 400: "MANIFEST_INVALID", 501: "UNSUPPORTED"}


class Registry:
    """Records: "manifest" by host/name@digest, "tag" by host/name:tag; blobs by their own hash."""

    hosts = (r"[a-z0-9-]+-docker\.pkg\.dev",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store
        self._unpacking = threading.Lock()

    def routes(self) -> list[Route]:
        """The calls that are served; names hold slashes."""
        return [
            Route("GET", "/v2/", self.ping),
            Route("GET", "/v2/{name*}/tags/list", self.list_tags),
            Route("HEAD", "/v2/{name*}/manifests/{reference}", self.get_manifest),
            Route("GET", "/v2/{name*}/manifests/{reference}", self.get_manifest),
            Route("PUT", "/v2/{name*}/manifests/{reference}", self.put_manifest),
            Route("HEAD", "/v2/{name*}/blobs/{digest}", self.get_blob),
            Route("GET", "/v2/{name*}/blobs/{digest}", self.get_blob),
            Route("POST", "/v2/{name*}/blobs/uploads/", self.start_upload),
            Route("PATCH", "/v2/{name*}/blobs/uploads/{upload}", self.append),
            Route("PUT", "/v2/{name*}/blobs/uploads/{upload}", self.finish_upload),
        ]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """The distribution specification's error body."""
        code = "DENIED" if error.status == 403 else error.reason or REASONS.get(error.status, "DENIED")
        challenge = {"www-authenticate": f'Bearer realm="https://{request.host}/v2/token"'}
        body = {"errors": [{"code": code, "message": error.message}]}
        return Response(body, error.status, challenge if error.status == 401 else {})

    def ping(self, request: Request) -> Response:
        """Whether the caller may come in."""
        self._authenticate(request)
        return Response({}, headers={"docker-distribution-api-version": "registry/2.0"})

    def list_tags(self, request: Request) -> Response:
        """All tags of a name."""
        prefix = f"{self._name(request)}:"
        tags = [key.removeprefix(prefix) for key, _ in self._store.list("tag", prefix)]
        return Response({"name": request.params["name"], "tags": tags})

    def get_manifest(self, request: Request) -> Response:
        """A manifest by tag or digest."""
        name, reference = self._name(request), request.params["reference"]
        digest = self._digest(name, reference)
        row = self._store.get("manifest", f"{name}@{digest}") if digest else None
        if row is None:
            raise ApiError(
                "NOT_FOUND", f"manifest {name}:{reference} is unknown", reason="MANIFEST_UNKNOWN"
            )
        headers = {"content-type": row["type"], "docker-content-digest": str(digest)}
        return Response(self._store.blob(row["blob"]), headers=headers)

    def put_manifest(self, request: Request) -> Response:
        """Keep a manifest whose blobs are all here, and point the tag at it."""
        name, reference = self._name(request), request.params["reference"]
        digest = "sha256:" + hashlib.sha256(request.body).hexdigest()
        if reference.startswith("sha256:") and reference != digest:
            raise ApiError("INVALID_ARGUMENT", "digest does not match content", reason="DIGEST_INVALID")
        self._check_blobs(request.json())
        kind = request.headers.get("content-type", "")
        row = {"blob": self._store.put_blob(request.body), "type": kind}
        with self._store.transaction():
            self._store.put("manifest", f"{name}@{digest}", row)
            if not reference.startswith("sha256:"):
                self._store.put("tag", f"{name}:{reference}", {"digest": digest})
        location = f"/v2/{request.params['name']}/manifests/{digest}"
        return Response(b"", 201, {"location": location, "docker-content-digest": digest})

    def get_blob(self, request: Request) -> Response:
        """A blob's bytes."""
        self._authenticate(request)
        digest = request.params["digest"]
        path = self._store.blob_path(digest.removeprefix("sha256:"))
        if not path.exists():
            raise ApiError("NOT_FOUND", f"blob {digest} is unknown", reason="BLOB_UNKNOWN")
        headers = {"content-type": "application/octet-stream", "docker-content-digest": digest}
        return Response(path.read_bytes(), headers=headers)

    def start_upload(self, request: Request) -> Response:
        """An upload session, or the whole blob at once where a digest is given."""
        name = self._name(request)
        if "digest" in request.query:
            return self._keep(request, request.body)
        session = f"upload-{self._store.next_number('registry-upload')}"
        self._store.put("registry-upload", session, {"name": name, "blob": self._store.put_blob(b"")})
        return Response(b"", 202, {"location": f"/v2/{request.params['name']}/blobs/uploads/{session}"})

    def append(self, request: Request) -> Response:
        """More bytes of a session."""
        self._authenticate(request)
        data = self._uploaded(request)
        row = {"name": request.params["name"], "blob": self._store.put_blob(data)}
        self._store.put("registry-upload", request.params["upload"], row)
        return Response(b"", 202, {"location": request.path, "range": f"0-{max(len(data) - 1, 0)}"})

    def finish_upload(self, request: Request) -> Response:
        """The last bytes, and the digest that all of them have."""
        self._authenticate(request)
        response = self._keep(request, self._uploaded(request))
        self._store.delete("registry-upload", request.params["upload"])
        return response

    def folder(self, image: str) -> tuple[Path, dict[str, Any]] | None:
        """The image's files, unpacked once, and its configuration; None where it is not here.

        `image` is a reference by digest or by tag.
        """
        name, sign, reference = image.partition("@") if "@" in image else image.rpartition(":")
        digest = self._digest(name, reference) if sign else None
        row = self._store.get("manifest", f"{name}@{digest}") if digest else None
        if row is None:
            return None
        manifest = json.loads(self._store.blob(row["blob"]))
        config = json.loads(self._store.blob(manifest["config"]["digest"].removeprefix("sha256:")))
        root = self._cloud.root / "images" / str(digest).removeprefix("sha256:")[:16]
        with self._unpacking:
            if not root.exists():
                self._unpack(manifest["layers"], root)
        return root, config.get("config", {})

    def _unpack(self, layers: list[dict[str, Any]], root: Path) -> None:
        part = root.with_name(f"{root.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for layer in layers:
            data = self._store.blob(layer["digest"].removeprefix("sha256:"))
            with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                tar.extractall(part, filter="data")
        part.rename(root)

    def _digest(self, name: str, reference: str) -> str | None:
        if reference.startswith("sha256:"):
            return reference
        found = self._store.get("tag", f"{name}:{reference}")
        return found["digest"] if found else None

    def _name(self, request: Request) -> str:
        self._authenticate(request)
        return f"{request.host}/{request.params['name']}"

    def _uploaded(self, request: Request) -> bytes:
        row = self._store.get("registry-upload", request.params["upload"])
        if row is None:
            raise ApiError("NOT_FOUND", "blob upload unknown", reason="BLOB_UPLOAD_UNKNOWN")
        return self._store.blob(row["blob"]) + request.body

    def _keep(self, request: Request, data: bytes) -> Response:
        digest = request.query.get("digest", "")
        if digest != "sha256:" + hashlib.sha256(data).hexdigest():
            raise ApiError("INVALID_ARGUMENT", "digest does not match content", reason="DIGEST_INVALID")
        self._store.put_blob(data)
        location = f"/v2/{request.params['name']}/blobs/{digest}"
        return Response(b"", 201, {"location": location, "docker-content-digest": digest})

    def _check_blobs(self, manifest: dict[str, Any]) -> None:
        for blob in [manifest.get("config", {}), *manifest.get("layers", [])]:
            digest = str(blob.get("digest", ""))
            if not self._store.blob_path(digest.removeprefix("sha256:")).exists():
                raise ApiError(
                    "INVALID_ARGUMENT", f"blob {digest} is unknown", reason="MANIFEST_BLOB_UNKNOWN"
                )

    def _authenticate(self, request: Request) -> None:
        """Bearer with an access token, or Basic with the user oauth2accesstoken, of who may do this."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        principal = self._cloud.principal(f"Bearer {value}")
        if "name" in request.params:
            verb = "download" if request.method in ("GET", "HEAD") else "upload"
            permission = f"artifactregistry.repositories.{verb}Artifacts"
            project, repository = [*request.params["name"].split("/"), ""][:2]
            region = request.host.removesuffix("-docker.pkg.dev")
            place = f"projects/{project}/locations/{region}/repositories/{repository}"
            self._cloud.iam.check(principal, permission, place, target=place)
