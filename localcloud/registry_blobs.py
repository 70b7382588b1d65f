"""Blobs of images: read, sent in one piece or in many, mounted from another image, forgotten."""

import re
import secrets
import threading
from pathlib import Path

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.registry_access import DELETE, PULL, PUSH, Access, digest_of

CHUNK = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/.*)?")
PART = re.compile(r"bytes=(\d*)-(\d*)")
BYTES = "application/octet-stream"


class Blobs:
    """Records: "registry-blob" by host/name@digest, "registry-upload" by session; bytes so far in files.

    An image's blobs are its own: another image may have the same bytes, and nobody who reads only
    one of them learns of it.
    """

    def __init__(self, cloud: Cloud, access: Access) -> None:
        self._store, self._access = cloud.store, access
        self._folder = cloud.root / "registry-uploads"
        self._lock = threading.Lock()  # of a session's file

    def has(self, name: str, digest: str) -> bool:
        """Whether the image has the blob."""
        return self._store.get("registry-blob", f"{name}@{digest}") is not None

    def get(self, request: Request) -> Response:
        """A blob's bytes, or a part of them."""
        name, digest = self._access.name(request, PULL), digest_of(request.params["digest"])
        if not self.has(name, digest):
            raise ApiError("NOT_FOUND", f"blob {digest} is unknown to {name}", reason="BLOB_UNKNOWN")
        path = self._store.blob_path(digest.removeprefix("sha256:"))
        whole = path.stat().st_size
        headers = {"content-type": BYTES, "docker-content-digest": digest, "accept-ranges": "bytes"}
        if request.method == "HEAD":
            return Response(b"", headers={**headers, "content-length": str(whole)})
        start, end = _asked(request, whole)
        if (start, end) == (0, whole):
            return Response(path.read_bytes(), headers=headers)
        headers["content-range"] = f"bytes {start}-{end - 1}/{whole}"
        return Response(_part(path, start, end), 206, headers)

    def delete(self, request: Request) -> Response:
        """The image no longer has the blob."""
        name, digest = self._access.name(request, DELETE), digest_of(request.params["digest"])
        if not self.has(name, digest):
            raise ApiError("NOT_FOUND", f"blob {digest} is unknown to {name}", reason="BLOB_UNKNOWN")
        self._store.delete("registry-blob", f"{name}@{digest}")
        return Response(b"", 202)

    def start(self, request: Request) -> Response:
        """An upload session; or the blob at once: sent whole, or mounted from another image."""
        name = self._access.name(request, PUSH)
        if "digest" in request.query:
            return self._keep(request, name, self._store.put_blob(request.body))
        if self._mounts(request):
            self._store.put("registry-blob", f"{name}@{request.query['mount']}", {})
            return _created(request, request.query["mount"])
        session = secrets.token_hex(16)
        self._folder.mkdir(exist_ok=True)
        self._file(session).touch()
        self._store.put("registry-upload", session, {"name": name})
        return _so_far(f"{request.path.rstrip('/')}/{session}", 0, 202)

    def append(self, request: Request) -> Response:
        """More bytes of a session, in order."""
        session = self._session(request)
        return _so_far(request.path, self._grow(request, session), 202)

    def status(self, request: Request) -> Response:
        """How far a session has come."""
        return _so_far(request.path, self._file(self._session(request)).stat().st_size, 204)

    def cancel(self, request: Request) -> Response:
        """End a session; what it had is gone."""
        self._end(self._session(request))
        return Response(b"", 204)

    def finish(self, request: Request) -> Response:
        """The last bytes, and the digest that all of them have."""
        session, name = self._session(request), self._access.name(request, PUSH)
        digest_of(request.query.get("digest", ""))
        self._grow(request, session)
        with self._lock:
            found = self._store.put_file(self._file(session))
        self._end(session)
        return self._keep(request, name, found)

    def _mounts(self, request: Request) -> bool:
        """Whether the blob is in the image that the caller names, and may read."""
        source, digest = request.query.get("from", ""), request.query.get("mount", "")
        if not source or not digest:
            return False
        try:
            return self.has(self._access.named(request, source, PULL), digest_of(digest))
        except ApiError:
            return False  # then the caller sends it

    def _session(self, request: Request) -> str:
        name, session = self._access.name(request, PUSH), request.params["upload"]
        row = self._store.get("registry-upload", session)
        if row is None or row["name"] != name:
            raise ApiError("NOT_FOUND", "blob upload unknown", reason="BLOB_UPLOAD_UNKNOWN")
        return session

    def _grow(self, request: Request, session: str) -> int:
        """Add the body; the bytes so far. Raises 416 for a chunk that is not the next one."""
        with self._lock, self._file(session).open("ab") as file:
            at, said = file.tell(), request.headers.get("content-range")
            found = CHUNK.fullmatch(said) if said else None
            if said and (
                not found or (int(found[1]), int(found[2]) + 1) != (at, at + len(request.body))
            ):
                words = f"chunk {said} is not the next one: {at} bytes are here"
                raise ApiError("OUT_OF_RANGE", words, 416, "BLOB_UPLOAD_INVALID")
            file.write(request.body)
            return file.tell()

    def _keep(self, request: Request, name: str, found: str) -> Response:
        digest = digest_of(request.query.get("digest", ""))
        if digest != f"sha256:{found}":
            words = f"the bytes are sha256:{found}, not {digest}"
            raise ApiError("INVALID_ARGUMENT", words, reason="DIGEST_INVALID")
        self._store.put("registry-blob", f"{name}@{digest}", {})
        return _created(request, digest)

    def _end(self, session: str) -> None:
        self._store.delete("registry-upload", session)
        self._file(session).unlink(missing_ok=True)

    def _file(self, session: str) -> Path:
        return self._folder / session


def _created(request: Request, digest: str) -> Response:
    location = f"/v2/{request.params['name']}/blobs/{digest}"
    return Response(b"", 201, {"location": location, "docker-content-digest": digest})


def _so_far(place: str, size: int, status: int) -> Response:
    headers = {"location": place, "range": f"0-{max(size - 1, 0)}"}
    return Response(b"", status, {**headers, "docker-upload-uuid": place.rpartition("/")[2]})


def _asked(request: Request, whole: int) -> tuple[int, int]:
    """First byte and the one behind the last; a range that cannot be read is no range (RFC 9110)."""
    found = PART.fullmatch(request.headers.get("range", ""))
    if not found or found[0] == "bytes=-":
        return 0, whole
    first, last = found[1], found[2]
    start, end = (int(first), int(last) + 1 if last else whole) if first else (whole - int(last), whole)
    if start >= min(end, whole):
        raise ApiError("OUT_OF_RANGE", f"{found[0]} of {whole} bytes", 416, "RANGE_INVALID")
    return max(start, 0), min(end, whole)


def _part(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
