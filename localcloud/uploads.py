"""Google's upload protocol, shared by Cloud Storage and BigQuery: multipart and resumable."""

import json
import re
import secrets
import threading
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response

RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class Upload(NamedTuple):
    """What arrived: the JSON part, the bytes and their type."""

    metadata: dict[str, Any]
    data: bytes
    content_type: str


Finish = Callable[[dict[str, Any], Request, bytes], Response]


def multipart(request: Request) -> Upload:
    """The two parts of a multipart/related body. Raises INVALID_ARGUMENT."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str):
        raise ApiError("INVALID_ARGUMENT", "Missing multipart boundary.", reason="badRequest")
    delimiter = b"--" + boundary.encode()
    end = request.body.rfind(delimiter + b"--")
    middle = request.body.find(delimiter, len(delimiter))
    if not 0 < middle < end:
        raise ApiError("INVALID_ARGUMENT", "Malformed multipart body.", reason="badRequest")
    _, document = _part(request.body[len(delimiter) : middle])
    content_type, data = _part(request.body[middle + len(delimiter) : end])
    return Upload(json.loads(document), data, content_type)


def _part(part: bytes) -> tuple[str, bytes]:
    """A part's content type and body; the line break before the next delimiter belongs to neither."""
    head, _, body = part.partition(b"\r\n\r\n")
    found = re.search(rb"(?im)^content-type:\s*([^\r\n]+)", head)
    return found[1].decode().strip() if found else "", body.removesuffix(b"\r\n")


class Sessions:
    """Resumable sessions. Records: kind "upload" by id; the bytes so far in a file."""

    def __init__(self, cloud: Cloud, finish: Finish) -> None:
        self._store, self._finish = cloud.store, finish
        self._folder = cloud.root / "uploads"
        self._lock = threading.Lock()

    def start(self, request: Request, record: dict[str, Any]) -> Response:
        """A new session that will be finished with `record`; its address is in `Location`."""
        session = secrets.token_urlsafe(24)
        self._folder.mkdir(exist_ok=True)
        self._path(session).touch()
        self._store.put("upload", session, record)
        address = f"https://{request.host}{request.path}?uploadType=resumable&upload_id={session}"
        return Response(status=200, headers={"location": address, "x-guploader-uploadid": session})

    def knows(self, request: Request) -> bool:
        """Whether the request's address is that of a session of its bucket."""
        record = self._store.get("upload", request.query.get("upload_id", ""))
        return record is not None and record.get("bucket") == request.params["bucket"]

    def put(self, request: Request) -> Response:
        """A chunk, the last chunk, or the question how far the session is."""
        session = request.query.get("upload_id", "")
        with self._lock:
            record = self._store.get("upload", session)
            if record is None:
                raise ApiError("NOT_FOUND", f"Upload session {session} not found.", reason="notFound")
            if "response" in record:
                return Response(record["response"])
            if not self._append(session, request):
                return self._incomplete(session)
            return self._complete(session, record, request)

    def cancel(self, request: Request) -> Response:
        """Forget the session. Raises NOT_FOUND."""
        session = request.query.get("upload_id", "")
        if self._store.get("upload", session) is None:
            raise ApiError("NOT_FOUND", f"Upload session {session} not found.", reason="notFound")
        self._store.delete("upload", session)
        self._path(session).unlink(missing_ok=True)
        return Response(status=499)

    def _path(self, session: str) -> Path:
        return self._folder / re.sub(r"[^\w-]", "", session)

    def _append(self, session: str, request: Request) -> bool:
        """Write what is new; whether this was the end."""
        path = self._path(session)
        have = path.stat().st_size
        text = request.headers.get("content-range", "")
        found = RANGE.fullmatch(text) if text else None
        if text and not found:
            raise ApiError("INVALID_ARGUMENT", f"Failed to parse Content-Range header: {text}")
        first, total = (int(found[1] or have), found[3]) if found else (0, str(len(request.body)))
        if first <= have:
            with path.open("ab") as file:
                file.write(request.body[have - first :])
        return total == str(path.stat().st_size)

    def _incomplete(self, session: str) -> Response:
        have = self._path(session).stat().st_size
        return Response(status=308, headers={"range": f"bytes=0-{have - 1}"} if have else {})

    def _complete(self, session: str, record: dict[str, Any], request: Request) -> Response:
        path = self._path(session)
        response = self._finish(record, request, path.read_bytes())
        # A client that lost this answer asks again and must get the same.
        self._store.put("upload", session, {**record, "response": response.body})
        path.unlink()
        return response
