"""AWS: moto answers S3, STS and IAM; what S3 holds is kept in the store, since moto forgets it."""

import io
import threading
from typing import Any
from urllib.parse import unquote, urlencode

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route

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
        if s3 and "authorization" not in request.headers and "X-Amz-Signature" not in request.query:
            raise ApiError("PERMISSION_DENIED", "Access Denied", reason="AccessDenied")
        if not s3 or request.method in ("GET", "HEAD"):
            return self._moto(request)
        with self._lock:
            response = self._moto(request)
            if response.status < 300:
                self._keep(_bucket(request))
        return response

    def _moto(self, request: Request) -> Response:
        from werkzeug.test import run_wsgi_app

        body, status, headers = run_wsgi_app(self._app, _environ(request), buffered=True)
        kept = {k: v for k, v in headers.items() if k.lower() not in ("connection", "transfer-encoding")}
        return Response(b"".join(body), int(status.split()[0]), kept)

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends[ACCOUNT]["aws"]

    def _keep(self, bucket: str) -> None:
        """Make the store's records of a bucket equal to what moto holds."""
        held = self._backend.buckets.get(bucket)
        with self._store.transaction():
            known = {key: row["etag"] for key, row in self._store.list("s3-object", f"{bucket}/")}
            if held is None:
                self._store.delete("s3-bucket", bucket)
            else:
                self._store.put("s3-bucket", bucket, {"region": held.region_name})
            now = {f"{bucket}/{name}": key for name, key in held.keys.items()} if held else {}
            for name in known.keys() - now.keys():
                self._store.delete("s3-object", name)
            for name, key in now.items():
                if known.get(name) != key.etag:
                    self._store.put("s3-object", name, self._record(key))

    def _record(self, key: Any) -> dict[str, Any]:
        return {
            "blob": self._store.put_blob(key.value),
            "etag": key.etag,
            "metadata": dict(key.metadata),
            "checksum": [key.checksum_algorithm, key.checksum_value],
        }

    def _restore(self) -> None:
        for bucket, row in self._store.list("s3-bucket"):
            self._backend.create_bucket(bucket, row["region"])
        for name, row in self._store.list("s3-object"):
            bucket, _, key = name.partition("/")
            held = self._backend.put_object(bucket, key, self._store.blob(row["blob"]))
            held.set_metadata(row["metadata"], replace=True)
            held.checksum_algorithm, held.checksum_value = row["checksum"]


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
        "QUERY_STRING": urlencode(dict(request.query)),
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
