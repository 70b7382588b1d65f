"""Cloud Storage's XML API, as signed addresses use it: objects sent, read, listed and deleted."""

from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.storage_conditions import NAMES, Conditions
from localcloud.storage_download import declared_hashes
from localcloud.storage_grants import Grants
from localcloud.storage_list import page
from localcloud.storage_objects import Objects, Resource
from localcloud.storage_xml import SPACE, XML, MultipartUploads, described

Start = Callable[[Request, Resource], Response]
LISTING = {"prefix": "prefix", "delimiter": "delimiter", "max-keys": "maxResults"}
CODES = {
    401: "AuthenticationRequired",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "InvalidBucketState",
    412: "PreconditionFailed",
    416: "InvalidRange",
    501: "NotImplemented",
}


class XmlObjects:
    """Each call checks what it needs by itself: one address has several calls."""

    def __init__(self, objects: Objects, grants: Grants, parts: MultipartUploads, start: Start) -> None:
        self._objects, self._grants, self._parts, self._start = objects, grants, parts, start

    def put(self, request: Request) -> Response:
        """PUT Object, or a part of one"""
        if "partNumber" in request.query:
            self._check(request, "storage.objects.create")
            return self._parts.put_part(request)
        _refuse(request, [name for name in ("x-goog-copy-source",) if name in request.headers])
        wanted, names = self._wanted(request), ("bucket", "name")
        self._grants.check_write(self._grants.caller(request), *(wanted[name] for name in names))
        headers = request.headers
        declared = declared_hashes(headers)
        if "content-md5" in headers:
            declared["md5Hash"] = headers["content-md5"]
        made = self._objects.write(wanted | declared, request.body, _conditions(headers))
        sums = f"crc32c={made['crc32c']},md5={made['md5Hash']}"
        own = {"x-goog-generation": made["generation"], "x-goog-metageneration": "1"}
        return Response(headers={"etag": f'"{made["etag"]}"', "x-goog-hash": sums, **own})

    def post(self, request: Request) -> Response:
        """The start of a resumable upload; a multipart upload's begin and end"""
        if request.headers.get("x-goog-resumable") != "start":
            self._check(request, "storage.objects.create")
            return self._parts.post(request)
        wanted = self._wanted(request)
        started = self._start(request, wanted)
        return Response(status=201, headers=started.headers)

    def delete(self, request: Request) -> Response:
        """DELETE Object, or a multipart upload's end"""
        if "uploadId" in request.query:
            self._check(request, "storage.multipartUploads.abort")
            return self._parts.abort(request)
        self._check(request, "storage.objects.delete")
        with self._objects.transaction():
            found = self._objects.get(request.params["bucket"], request.params["name"], request.query)
            _conditions(request.headers).check(found)
            self._objects.delete(found, "generation" in request.query)
        return Response(status=204)

    def list(self, request: Request) -> Response:
        """GET Bucket: the objects, a page of them at most"""
        signed = [name for name in request.query if name.startswith(("X-Goog-", "GoogleAccessId"))]
        known = {*LISTING, *signed, "Expires", "Signature"}
        _refuse(request, [name for name in request.query if name not in known])
        bucket, prefix = request.params["bucket"], request.query.get("prefix", "")
        asked = {own: request.query[name] for name, own in LISTING.items() if name in request.query}
        found, folders, token = page(self._objects.list(bucket, prefix), asked)
        head = {"Name": bucket, "Prefix": prefix, "IsTruncated": str(bool(token)).lower()}
        inner = [_tag(name, value) for name, value in head.items()]
        inner += [_content(one) for one in found]
        inner += [f"<CommonPrefixes>{_tag('Prefix', one)}</CommonPrefixes>" for one in folders]
        body = f"<?xml version='1.0'?><ListBucketResult {SPACE}>{''.join(inner)}</ListBucketResult>"
        return Response(body.encode(), headers=XML)

    def _check(self, request: Request, permission: str) -> None:
        self._grants.check(self._grants.caller(request), permission, request.params["bucket"])

    def _wanted(self, request: Request) -> Resource:
        bucket, name = request.params["bucket"], request.params["name"]
        self._objects.buckets.get(bucket)
        return {"bucket": bucket, "name": name, **described(request.headers)}


def xml_error(error: ApiError) -> Response:
    """An error as the XML API writes it."""
    code = error.reason if error.reason[:1].isupper() else CODES.get(error.status, "InvalidArgument")
    inner = _tag("Code", code) + _tag("Message", error.message)
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error>{inner}</Error>"
    return Response(body.encode(), error.status, XML)


def _content(found: Resource) -> str:
    fields = {
        "Key": found["name"],
        "Generation": found["generation"],
        "MetaGeneration": found["metageneration"],
        "LastModified": found["updated"],
        "ETag": f'"{found["etag"]}"',
        "Size": found["size"],
    }
    return f"<Contents>{''.join(_tag(name, value) for name, value in fields.items())}</Contents>"


def _tag(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def _conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditions that a call's headers hold."""
    names = {f"x-goog-if-{name.lower().replace('match', '-match')}": name for name in NAMES[::2]}
    return Conditions({name: int(headers[key]) for key, name in names.items() if key in headers})


def _refuse(request: Request, asked: list[str]) -> None:
    if asked:
        name = f"{request.method} https://{request.host}{request.path}"
        words = f"the local cloud does not serve {', '.join(asked)} of {name}"
        raise ApiError("UNIMPLEMENTED", words)
