"""A container registry by its own API (OCI distribution): blobs, manifests, tags, referrers."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from delivery import google_session
from delivery.patience import BUSY, passing, patient
from flows.errors import InputError, RetrainError

ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
)
TIMEOUT = 60  # seconds without a byte
AGAIN = "run it again: what the registry has is not sent again"
Told = Callable[[int, int], None]


class Stored(NamedTuple):
    """A manifest as the registry lists it; `size` is that of what it names, in bytes."""

    digest: str
    kind: str
    tags: tuple[str, ...]
    uploaded: datetime
    size: int


class Registry:
    """One image name, HOST/PROJECT/REPOSITORY/IMAGE, with the caller's Google identity.

    A registry that cannot answer just now is asked again for two minutes: every call may be repeated.
    Every method raises RetrainError, with the registry's own words, where the registry refuses.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        host, _, path = name.partition("/")
        self._base = f"https://{host}/v2/{path}"
        self._session = google_session.session()

    def manifest(self, reference: str) -> tuple[bytes, str] | None:
        """A manifest's bytes and media type by tag or digest; None where there is none."""
        response = self.call("GET", f"/manifests/{reference}", headers={"Accept": ACCEPT})
        if response.status_code == 404:
            return None
        self.check(response, f"manifest {reference}")
        return response.content, response.headers["Content-Type"]

    def has_blob(self, digest: str) -> bool:
        """Whether the registry has the blob for this image."""
        response = self.call("HEAD", f"/blobs/{digest}")
        if response.status_code == 404:
            return False
        self.check(response, f"blob {digest}")
        return True

    def blob(self, digest: str) -> bytes:
        """A blob's bytes, which are those of its digest."""
        response = self.call("GET", f"/blobs/{digest}")
        self.check(response, f"blob {digest}")
        found = "sha256:" + hashlib.sha256(response.content).hexdigest()
        if found != digest:
            raise RetrainError(f"registry {self.name}: blob {digest} has the bytes of {found}")
        return bytes(response.content)

    def push_blob(self, source: bytes | Path, digest: str, told: Told | None = None) -> bool:
        """Upload bytes, or a file's, unless they are there; whether they were not.

        `told` hears how many bytes of how many have been sent. An upload that breaks goes on from what
        has arrived, where the registry can do so; else it starts again, a few times.
        """
        from delivery.upload import Upload

        if self.has_blob(digest):
            return False
        Upload(self, source, digest, told).send()
        return True

    def push_manifest(self, reference: str, data: bytes, kind: str) -> None:
        """Put a manifest under a tag or its digest. What it names must be there."""
        headers = {"Content-Type": kind}
        response = self.call("PUT", f"/manifests/{reference}", data=data, headers=headers)
        self.check(response, f"manifest {reference}")

    def referrers(self, digest: str, kind: str = "") -> list[dict[str, Any]]:
        """The descriptors of what has the manifest as its subject; of one artifact type, if given."""
        query = f"?{urlencode({'artifactType': kind})}" if kind else ""
        pages = self._pages(f"/referrers/{digest}{query}")
        found = [one for page in pages for one in page.get("manifests") or []]
        return [one for one in found if kind in ("", one.get("artifactType"))]

    def tags(self) -> list[str]:
        """All tags of the image, sorted."""
        return sorted({tag for page in self._pages("/tags/list") for tag in page.get("tags") or []})

    def below(self) -> list[str]:
        """The names of the images below this name, which may be that of a repository."""
        return sorted({one for page in self._pages("/tags/list") for one in page.get("child") or []})

    def stored(self) -> list[Stored]:
        """All manifests of the image, those without a tag among them, in the digests' order.

        Raises InputError for a registry that does not tell their ages, as Google's do.
        """
        found = dict[str, Stored]()
        for page in self._pages("/tags/list"):
            if "manifest" not in page:
                what = f"registry {self.name} does not say how old its images are"
                raise InputError(what, "let the registry's own rules clean it up")
            found |= {digest: _stored(digest, row) for digest, row in page["manifest"].items()}
        return [found[digest] for digest in sorted(found)]

    def delete(self, reference: str) -> bool:
        """Remove a tag, or, by digest, a manifest that no tag names any more; whether it was there."""
        response = self.call("DELETE", f"/manifests/{reference}")
        if response.status_code == 404:
            return False
        self.check(response, f"manifest {reference}")
        return True

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """The response to a call that may be repeated, at a path below the name, or an address."""
        try:
            return patient(lambda: self.once(method, path, **arguments))
        except passing() as error:
            raise self.away(error) from None

    def once(self, method: str, path: str, **arguments: Any) -> Any:
        """The same without patience: raises one of `passing()` where the registry cannot answer."""
        from google.api_core.exceptions import from_http_status

        place = path if "://" in path else self._base + path
        response = self._session.request(method, place, timeout=TIMEOUT, **arguments)
        if response.status_code in BUSY:
            raise from_http_status(response.status_code, response.text[:300])
        return response

    def away(self, error: Exception) -> RetrainError:
        """What to say of a registry that cannot be reached."""
        return RetrainError(f"registry {self.name} does not answer: {error}", AGAIN)

    def check(self, response: Any, what: str) -> None:
        """Raises RetrainError where the registry refused."""
        if response.status_code >= 400:
            raise RetrainError(
                f"registry {self.name}: {what}: {response.status_code} {response.text[:300]}",
                "check that the repository exists and that this account may write to it",
            )

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        """The pages of a list; one that is not there is empty."""
        following: str | None = path
        while following:
            response = self.call("GET", following)
            if response.status_code == 404:
                return
            self.check(response, path.strip("/"))
            yield response.json()
            link = response.links.get("next")
            following = urljoin(response.url, link["url"]) if link else None


def _stored(digest: str, row: dict[str, Any]) -> Stored:
    uploaded = datetime.fromtimestamp(int(row["timeUploadedMs"]) / 1000, UTC)
    size = int(row.get("imageSizeBytes") or 0)
    return Stored(digest, str(row.get("mediaType", "")), tuple(row.get("tag") or ()), uploaded, size)
