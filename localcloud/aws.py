"""AWS: moto answers S3, STS and IAM; what S3 holds is kept in the store, since moto forgets it."""

import io
import re
import threading
from typing import Any
from urllib.parse import unquote, urlencode
from xml.sax.saxutils import unescape

from localcloud import s3_state
from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route

KEYS = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
FORM_KEY = re.compile(rb'name="key"\r\n\r\n(.*?)\r\n')
ACCOUNT = "123456789012"  # moto's
DENIED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<Error><Code>{code}</Code><Message>{message}</Message></Error>"
)


class Aws:
    """moto behind the real hosts. Records: "s3-bucket" by name, "s3-object" by bucket and key."""

    hosts = (
        r"(?:.+\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com",
        r"sts(?:\.[a-z0-9-]+)?\.amazonaws\.com",
        r"iam\.amazonaws\.com",
    )

    def __init__(self, cloud: Cloud) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._store, self._world = cloud.store, cloud.world
        s3_state.read_chunks_quickly()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._restore()

    def routes(self) -> list[Route]:
        """Everything goes to moto, which has a table of its own."""
        return [Route("*", "{path*}", self.serve)]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """S3's error body."""
        body = DENIED.format(code=error.reason or "AccessDenied", message=error.message)
        return Response(body.encode(), error.status, {"content-type": "application/xml"})

    def serve(self, request: Request) -> Response:
        """One call; what it changed in S3 is written down before the answer."""
        s3 = ".s3." in f".{request.host}"
        if s3 and not _signed(request):
            raise ApiError("PERMISSION_DENIED", "Access Denied", reason="AccessDenied")
        if not s3 or request.method in ("GET", "HEAD"):
            return self._moto(request)
        with self._lock:
            self._check_upload(request)
            response = self._moto(request)
            if response.status < 300:
                self._keep(request)
        return response

    def _check_upload(self, request: Request) -> None:
        """What moto does not look at: an upload that is not there, and If-None-Match at its end."""
        held = self._backend.buckets.get(_bucket(request))
        if held is None or "uploadId" not in request.query:
            return
        if request.query["uploadId"] not in held.multiparts:
            raise ApiError("NOT_FOUND", "The specified upload does not exist.", reason="NoSuchUpload")
        absent = request.method == "POST" and request.headers.get("if-none-match") == "*"
        if absent and held.keys.get(_names(request)[0]) is not None:
            words = "At least one of the pre-conditions you specified did not hold"
            raise ApiError("FAILED_PRECONDITION", words, status=412, reason="PreconditionFailed")

    def _moto(self, request: Request) -> Response:
        from werkzeug.test import run_wsgi_app

        body, status, headers = run_wsgi_app(self._app, _environ(request), buffered=True)
        kept = {k: v for k, v in headers.items() if k.lower() not in ("connection", "transfer-encoding")}
        return Response(b"".join(body), int(status.split()[0]), kept)

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    def _keep(self, request: Request) -> None:
        """Write down what a call has changed: a bucket's settings, or the objects that it names."""
        bucket = _bucket(request)
        held = self._backend.buckets.get(bucket)
        with self._store.transaction():
            if held is None:
                self._forget(bucket)
                return
            names = _names(request)
            for name in names:
                self._keep_object(held, name)
            if not names:
                self._store.put("s3-bucket", bucket, s3_state.frozen_bucket(held))

    def _keep_object(self, bucket: Any, name: str) -> None:
        versions = bucket.keys.getlist(name, default=[])
        if versions:
            record = s3_state.frozen_object(versions, self._backend.tagger, self._store.put_blob)
            self._store.put("s3-object", f"{bucket.name}/{name}", record)
        else:
            self._store.delete("s3-object", f"{bucket.name}/{name}")

    def _forget(self, bucket: str) -> None:
        self._store.delete("s3-bucket", bucket)
        for name, _ in self._store.list("s3-object", f"{bucket}/"):
            self._store.delete("s3-object", name)

    def _restore(self) -> None:
        for bucket, row in self._store.list("s3-bucket"):
            s3_state.thaw_bucket(self._backend.create_bucket(bucket, row["region"]), row)
        for name, row in self._store.list("s3-object"):
            bucket, _, key = name.partition("/")
            held = self._backend.buckets[bucket]
            whole = row if "versions" in row else s3_state.of_earlier(key, row)
            versions = s3_state.thawed_object(whole, held, self._backend.tagger, self._store.blob)
            held.keys.setlist(key, versions)


def _names(request: Request) -> list[str]:
    """The keys that a call may have changed."""
    path = unquote(request.path).removeprefix("/")
    if _bucket(request) == path.partition("/")[0] and not _virtual(request):
        path = path.partition("/")[2]
    if path:
        return [path]
    if "delete" in request.query:
        return [unescape(key.decode()) for key in KEYS.findall(request.body)]
    return [key.decode() for key in FORM_KEY.findall(request.body)] if request.method == "POST" else []


def _virtual(request: Request) -> bool:
    return ".s3" in request.host


def _signed(request: Request) -> bool:
    """Whether a call carries a signature: in a header, in its address (either version), or in a form."""
    presigned = {"X-Amz-Signature", "Signature"} & request.query.keys()
    form = request.method == "POST" and "multipart/form-data" in request.headers.get("content-type", "")
    return (
        "authorization" in request.headers or bool(presigned) or (form and b"ignature" in request.body)
    )


def _bucket(request: Request) -> str:
    """The bucket that a request names: in its host, or first in its path."""
    before = request.host.partition(".s3")[0]
    return before if before != request.host else unquote(request.path).strip("/").partition("/")[0]


def _environ(request: Request) -> dict[str, Any]:
    """The WSGI environment of a request, as moto reads it."""
    headers = {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in request.headers.items()}
    raw = unquote(request.path, encoding="latin-1")
    return headers | {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": raw,
        "RAW_URI": request.path,
        "QUERY_STRING": urlencode(request.query.pairs),
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": request.host,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
