"""Artifact Registry: the OCI distribution API, and the folder that a pulled image is.

All of the specification's version 1.1 is served. Artifact Registry itself takes no blob in several
chunks: a client that is to work there sends each in one request, or in one PATCH and one PUT.
"""

import io
import json
import shutil
import tarfile
import threading
from pathlib import Path
from typing import Any

from localcloud import registry_access
from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route
from localcloud.registry_access import Access
from localcloud.registry_blobs import Blobs
from localcloud.registry_manifests import Manifests


class Registry:
    """Every image of every repository; records are those of Blobs and Manifests."""

    hosts = (r"[a-z0-9-]+-docker\.pkg\.dev",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store
        self._access = Access(cloud)
        self._blobs = Blobs(cloud, self._access)
        self._manifests = Manifests(cloud, self._access, self._blobs)
        self._unpacking = threading.Lock()

    def routes(self) -> list[Route]:
        """The calls that are served; names hold slashes."""
        blobs, manifests, name = self._blobs, self._manifests, "/v2/{name*}"
        return [
            Route("GET", "/v2/", self.ping),
            Route("GET", "/v2/token", self._access.exchange),
            Route("GET", f"{name}/tags/list", manifests.tags),
            Route("GET", f"{name}/referrers/{{digest}}", manifests.referrers),
            Route("HEAD", f"{name}/manifests/{{reference}}", manifests.get),
            Route("GET", f"{name}/manifests/{{reference}}", manifests.get),
            Route("PUT", f"{name}/manifests/{{reference}}", manifests.put),
            Route("DELETE", f"{name}/manifests/{{reference}}", manifests.delete),
            Route("HEAD", f"{name}/blobs/{{digest}}", blobs.get),
            Route("GET", f"{name}/blobs/{{digest}}", blobs.get),
            Route("DELETE", f"{name}/blobs/{{digest}}", blobs.delete),
            Route("POST", f"{name}/blobs/uploads/", blobs.start),
            Route("GET", f"{name}/blobs/uploads/{{upload}}", blobs.status),
            Route("PATCH", f"{name}/blobs/uploads/{{upload}}", blobs.append),
            Route("PUT", f"{name}/blobs/uploads/{{upload}}", blobs.finish),
            Route("DELETE", f"{name}/blobs/uploads/{{upload}}", blobs.cancel),
        ]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """The distribution specification's error body."""
        return registry_access.refuse(request, error)

    def ping(self, request: Request) -> Response:
        """Whether the caller may come in."""
        self._access.principal(request)
        return Response({}, headers={"docker-distribution-api-version": "registry/2.0"})

    def folder(self, image: str) -> tuple[Path, dict[str, Any]] | None:
        """The image's files, unpacked once, and its configuration; None where it is not here.

        `image` is a reference by digest or by tag.
        """
        name, sign, reference = image.partition("@") if "@" in image else image.rpartition(":")
        digest = self._manifests.digest(name, reference) if sign else None
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
