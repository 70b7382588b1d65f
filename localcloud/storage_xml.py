"""The one part of Cloud Storage's XML API that the client's transfer manager uses: multipart uploads."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.storage_conditions import Conditions
from localcloud.storage_download import declared_hashes
from localcloud.storage_grants import Grants
from localcloud.storage_objects import Objects, hashes

XML = {"content-type": "application/xml; charset=UTF-8"}
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
FIELDS = {
    "content-type": "contentType",
    "content-encoding": "contentEncoding",
    "content-disposition": "contentDisposition",
    "content-language": "contentLanguage",
    "cache-control": "cacheControl",
    "x-goog-storage-class": "storageClass",
    "x-goog-custom-time": "customTime",
}
META = "x-goog-meta-"


def described(headers: Mapping[str, str]) -> dict[str, Any]:
    """What a call's headers say of the object that it makes, as the object's fields."""
    own = {key.removeprefix(META): value for key, value in headers.items() if key.startswith(META)}
    found = {field: headers[name] for name, field in FIELDS.items() if headers.get(name)}
    return found | ({"metadata": own} if own else {})


class MultipartUploads:
    """Records: kind "multipart" by upload id, kind "part" by upload id and five-digit number."""

    def __init__(self, cloud: Cloud, objects: Objects, grants: Grants) -> None:
        self._store, self._objects, self._grants = cloud.store, objects, grants

    def post(self, request: Request) -> Response:
        """Begin an upload (`?uploads`) or put its parts together (`?uploadId=`)."""
        if "uploads" in request.query:
            return self._begin(request)
        if "uploadId" in request.query:
            return self._complete(request)
        raise self._unknown(request)

    def put_part(self, request: Request) -> Response:
        """Keep one part."""
        query = request.query
        if "partNumber" not in query:
            raise self._unknown(request)
        self._upload(request)
        own = hashes(request.body)
        for kind, value in declared_hashes(request.headers).items():
            if own[kind] != value:
                raise ApiError("INVALID_ARGUMENT", f"The part's {kind} is {own[kind]}, not {value}.")
        etag = hashlib.md5(request.body, usedforsecurity=False).hexdigest()
        part = {"blob": self._store.put_blob(request.body), "etag": etag}
        self._store.put("part", f"{query['uploadId']}/{int(query['partNumber']):05d}", part)
        sums = f"crc32c={own['crc32c']},md5={own['md5Hash']}"
        return Response(headers={"etag": f'"{etag}"', "x-goog-hash": sums})

    def abort(self, request: Request) -> Response:
        """Forget an upload and its parts."""
        if "uploadId" not in request.query:
            raise self._unknown(request)
        self._upload(request)
        self._forget(request.query["uploadId"])
        return Response(status=204)

    def _begin(self, request: Request) -> Response:
        bucket, name = request.params["bucket"], request.params["name"]
        self._objects.buckets.get(bucket)
        wanted = {"bucket": bucket, "name": name, **described(request.headers)}
        upload = secrets.token_hex(16)
        self._store.put("multipart", upload, wanted)
        return self._answer("InitiateMultipartUploadResult", request, f"<UploadId>{upload}</UploadId>")

    def _complete(self, request: Request) -> Response:
        wanted = self._upload(request)
        self._grants.check_write(self._grants.caller(request), wanted["bucket"], wanted["name"])
        numbers = re.findall(rb"<PartNumber>(\d+)</PartNumber>", request.body)
        keys = [f"{request.query['uploadId']}/{int(number):05d}" for number in numbers]
        parts = [self._store.get("part", key) for key in keys]
        if not parts or None in parts:
            raise ApiError("INVALID_ARGUMENT", "One or more of the specified parts could not be found.")
        data = b"".join(self._store.blob(part["blob"]) for part in parts if part)
        content = self._objects.content(data) | {"md5Hash": None, "componentCount": len(parts)}
        made = self._objects.save(wanted, content, Conditions())
        self._forget(request.query["uploadId"])
        tag = f"<ETag>{escape(made['etag'])}</ETag>"
        return self._answer("CompleteMultipartUploadResult", request, tag)

    def _answer(self, kind: str, request: Request, inner: str) -> Response:
        head = f"<Bucket>{request.params['bucket']}</Bucket><Key>{escape(request.params['name'])}</Key>"
        return Response(
            f"<?xml version='1.0'?><{kind} {SPACE}>{head}{inner}</{kind}>".encode(), headers=XML
        )

    def _upload(self, request: Request) -> dict[str, Any]:
        """The upload's record. Raises NOT_FOUND, also where the address is another object's."""
        found = self._store.get("multipart", request.query["uploadId"])
        if found is None or any(found[key] != request.params[key] for key in ("bucket", "name")):
            raise ApiError("NOT_FOUND", "The specified upload does not exist.", reason="notFound")
        return found

    def _forget(self, upload: str) -> None:
        for key, _ in self._store.list("part", f"{upload}/"):
            self._store.delete("part", key)
        self._store.delete("multipart", upload)

    @staticmethod
    def _unknown(request: Request) -> ApiError:
        name = f"{request.method} https://{request.host}{request.path}"
        return ApiError("UNIMPLEMENTED", f"the local cloud does not serve {name}")
