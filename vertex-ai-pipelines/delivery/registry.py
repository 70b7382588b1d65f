"""A container registry by its own API (OCI distribution): blobs, manifests, tags."""

from typing import Any
from urllib.parse import urljoin

from flows.errors import RetrainError

ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
)
TIMEOUT = 60  # seconds a call


class Registry:
    """One image name, HOST/PROJECT/REPOSITORY/IMAGE, with the caller's Google identity.

    Every method raises RetrainError, with the registry's own words, where the registry refuses.
    """

    def __init__(self, name: str) -> None:
        import google.auth
        from google.auth.transport.requests import AuthorizedSession

        self.name = name
        host, _, path = name.partition("/")
        self._base = f"https://{host}/v2/{path}"
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        self._session = AuthorizedSession(credentials)

    def manifest(self, reference: str) -> tuple[bytes, str] | None:
        """A manifest's bytes and media type by tag or digest; None where there is none."""
        response = self._call("GET", f"/manifests/{reference}", headers={"Accept": ACCEPT})
        if response.status_code == 404:
            return None
        self._check(response, f"manifest {reference}")
        return response.content, response.headers["Content-Type"]

    def push_blob(self, data: bytes, digest: str) -> None:
        """Upload `data` unless it is there."""
        if self._call("HEAD", f"/blobs/{digest}").status_code == 200:
            return
        started = self._call("POST", "/blobs/uploads/")
        self._check(started, f"blob {digest}")
        place = urljoin(started.url, started.headers["Location"])
        place += ("&" if "?" in place else "?") + f"digest={digest}"
        kind = {"Content-Type": "application/octet-stream"}
        self._check(self._session.put(place, data=data, headers=kind, timeout=TIMEOUT), f"blob {digest}")

    def push_manifest(self, reference: str, data: bytes, kind: str) -> None:
        """Put a manifest under a tag or its digest."""
        response = self._call(
            "PUT", f"/manifests/{reference}", data=data, headers={"Content-Type": kind}
        )
        self._check(response, f"manifest {reference}")

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        return self._session.request(method, self._base + path, timeout=TIMEOUT, **arguments)

    def _check(self, response: Any, what: str) -> None:
        if response.status_code >= 400:
            raise RetrainError(
                f"registry {self.name}: {what}: {response.status_code} {response.text[:300]}",
                "check that the repository exists and that this account may write to it",
            )
