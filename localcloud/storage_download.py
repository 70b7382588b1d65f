"""Sending an object's bytes: ranges, checksums and stored compression."""

import gzip
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from localcloud.errors import ApiError
from localcloud.http import Response

RANGE = re.compile(r"bytes=(\d*)-(\d*)")

Resource = dict[str, Any]


def respond(found: Resource, data: bytes, asked: Mapping[str, str]) -> Response:
    """The bytes, or the range of them that was asked for."""
    headers = _headers(found, len(data))
    if found.get("contentEncoding") == "gzip" and "gzip" not in asked.get("accept-encoding", ""):
        headers.pop("content-encoding")
        return Response(gzip.decompress(data), headers=headers)
    span = _span(asked.get("range", ""), len(data))
    if span is None:
        return Response(data, headers=headers)
    first, end = span
    headers["content-range"] = f"bytes {first}-{end - 1}/{len(data)}"
    return Response(data[first:end], status=206, headers=headers)


def renamed(sent: Response, query: Mapping[str, str]) -> Response:
    """The answer with the headers that a signed address asks for."""
    names = ("content-type", "content-disposition")
    asked = {name: query[f"response-{name}"] for name in names if f"response-{name}" in query}
    return replace(sent, headers={**sent.headers, **asked})


def check_etag(found: Resource, headers: Mapping[str, str]) -> None:
    """Raises conditionNotMet where If-Match or If-None-Match does not hold."""
    wanted, unwanted = (
        [one.strip(' "') for one in headers.get(name, "").split(",")]
        for name in ("if-match", "if-none-match")
    )
    if (wanted != [""] and found["etag"] not in wanted) or found["etag"] in unwanted:
        message = "At least one of the pre-conditions you specified did not hold."
        raise ApiError("FAILED_PRECONDITION", message, status=412, reason="conditionNotMet")


def declared_hashes(headers: Mapping[str, str]) -> dict[str, str]:
    """The checksums that an upload's x-goog-hash declares, as an object's fields."""
    names = {"crc32c": "crc32c", "md5": "md5Hash"}
    pairs = (item.strip().partition("=") for item in headers.get("x-goog-hash", "").split(","))
    return {names[kind]: value for kind, _, value in pairs if kind in names}


def _headers(found: Resource, size: int) -> dict[str, str]:
    md5 = f",md5={found['md5Hash']}" if found.get("md5Hash") else ""
    updated = datetime.fromisoformat(found["updated"])
    headers = {
        "content-type": found.get("contentType", "application/octet-stream"),
        "etag": found["etag"],
        "accept-ranges": "bytes",
        "last-modified": format_datetime(updated, usegmt=True),
        "x-goog-generation": found["generation"],
        "x-goog-metageneration": found["metageneration"],
        "x-goog-hash": f"crc32c={found['crc32c']}{md5}",
        "x-goog-storage-class": found["storageClass"],
        "x-goog-stored-content-encoding": found.get("contentEncoding", "identity"),
        "x-goog-stored-content-length": str(size),
    }
    optional = {"contentEncoding": "content-encoding", "contentDisposition": "content-disposition"}
    optional |= {"cacheControl": "cache-control", "contentLanguage": "content-language"}
    return headers | {name: found[key] for key, name in optional.items() if key in found}


def _span(text: str, size: int) -> tuple[int, int] | None:
    """First and past-last byte of a Range header. Raises where no byte is in it."""
    found = RANGE.fullmatch(text.strip())
    if not found or found[1] == found[2] == "":
        return None
    first = int(found[1]) if found[1] else max(size - int(found[2]), 0)
    end = min(int(found[2]) + 1, size) if found[1] and found[2] else size
    if first >= end:
        words = f"The requested range cannot be satisfied: {text} of {size} bytes."
        raise ApiError("INVALID_ARGUMENT", words, status=416, reason="requestedRangeNotSatisfiable")
    return first, end
