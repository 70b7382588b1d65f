"""AWS: moto answers S3 and IAM behind grants of our own; what it holds is kept, since it forgets."""

import io
import threading
from typing import Any
from urllib.parse import unquote, urlencode

from localcloud import aws_errors, aws_names, iam_state, s3_form, s3_state
from localcloud.aws_documents import check_document
from localcloud.aws_errors import refusal
from localcloud.aws_keys import ACCOUNT, Keys
from localcloud.aws_signature import authenticate
from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Query, Request, Response, Route
from localcloud.s3_grants import S3Grants
from localcloud.s3_request import bucket, names
from localcloud.s3_uploads import OF_UPLOAD, Uploads
from localcloud.sts import Sts


class Aws:
    """moto behind the real hosts. Records: "s3-bucket" by name, "s3-object" by bucket and key."""

    hosts = (
        r"(?:.+\.)?s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com",
        r"sts(?:\.[a-z0-9-]+)?\.amazonaws\.com",
        r"iam\.amazonaws\.com",
    )

    def __init__(self, cloud: Cloud) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self._store, self._keys = cloud.store, Keys(cloud)
        self._uploads = Uploads(cloud.store)
        self._grants, self._sts = S3Grants(self._keys), Sts(cloud, self._keys)
        s3_state.read_chunks_quickly()
        s3_state.leave_policies_alone()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._restore()

    def routes(self) -> list[Route]:
        """Everything goes to moto, which has a table of its own."""
        return [Route("*", "{path*}", self.serve)]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """The service's own error body."""
        return aws_errors.body(_service(request), error)

    def serve(self, request: Request) -> Response:
        """One call; what it changed is written down before the answer."""
        serve = {"s3": self._s3, "iam": self._iam, "sts": self._sts.serve}
        return serve[_service(request)](request)

    def _s3(self, sent: Request) -> Response:
        request = s3_form.plain(sent) if s3_form.is_form(sent) else sent
        principal = authenticate(request, self._keys, bucket(request))
        _check_served(request)
        self._grants.check(principal, request, self._backend.buckets.get(bucket(request)))
        if request.method in ("GET", "HEAD"):
            return self._moto(request)
        if aws_names.name(request) == "s3.PutBucketPolicy":
            check_document(request.body, "bucket")
        with self._lock:
            self._check_upload(request)
            response = self._moto(request)
            if response.status < 300:
                self._keep(request)
        return response

    def _iam(self, request: Request) -> Response:
        fields = request.form() | request.query
        action = fields.get("Action", "")
        self._grants.check_iam(authenticate(request, self._keys), action)
        if action.startswith(iam_state.READ):
            return self._moto(request)
        if action not in iam_state.KEPT:
            raise refusal("InvalidAction", f"the local cloud does not serve iam:{action}")
        for name in iam_state.DOCUMENTS & fields.keys():
            trusts = action in iam_state.TRUSTING
            check_document(fields[name], "trust" if trusts else "identity")
        with self._lock:
            response = self._moto(request)
            self._store.put("aws-iam", ACCOUNT, iam_state.frozen(self._keys.iam))
        return response

    def _check_upload(self, request: Request) -> None:
        """What moto does not look at: an upload that is not there, and If-None-Match at its end."""
        held, upload = self._backend.buckets.get(bucket(request)), request.query.get("uploadId", "")
        if held is None or not upload:
            return
        there = held.keys.get(names(request)[0])
        if request.method == "POST" and upload == getattr(getattr(there, "multipart", None), "id", ""):
            return  # it was completed already, by this very call, it may be: moto gives the same answer
        if upload not in held.multiparts:
            raise ApiError("NOT_FOUND", "The specified upload does not exist.", reason="NoSuchUpload")
        absent = request.method == "POST" and request.headers.get("if-none-match") == "*"
        if absent and there is not None:
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
        place, keys = bucket(request), names(request)
        held = self._backend.buckets.get(place)
        with self._store.transaction():
            if held is None:
                self._forget(place)
                return
            if any(name in request.query for name in OF_UPLOAD):
                self._uploads.keep(request, held)
            if "partNumber" not in request.query:
                for key in keys:
                    self._keep_object(held, key)
            if not keys:
                self._store.put("s3-bucket", place, s3_state.frozen_bucket(held))
                self._keep_setting(place, request)

    def _keep_setting(self, place: str, request: Request) -> None:
        """Settings that are more than words are kept as the calls that made them."""
        for setting in s3_state.MADE_BY_CALLS & request.query.keys():
            if request.method == "DELETE":
                self._store.delete("s3-setting", f"{place}/{setting}")
            else:
                self._store.put("s3-setting", f"{place}/{setting}", {"body": request.body.hex()})

    def _restore_setting(self, name: str, body: str) -> None:
        place, _, setting = name.partition("/")
        host, query = f"{place}.s3.amazonaws.com", Query([(setting, "")])
        self._moto(Request("PUT", host, "/", query, {"host": host}, bytes.fromhex(body)))

    def _keep_object(self, bucket: Any, name: str) -> None:
        versions = bucket.keys.getlist(name, default=[])
        if versions:
            record = s3_state.frozen_object(versions, self._backend.tagger, self._store.put_blob)
            self._store.put("s3-object", f"{bucket.name}/{name}", record)
        else:
            self._store.delete("s3-object", f"{bucket.name}/{name}")

    def _forget(self, bucket: str) -> None:
        self._store.delete("s3-bucket", bucket)
        self._uploads.forget(bucket)
        for kind in ("s3-object", "s3-setting"):
            for name, _ in self._store.list(kind, f"{bucket}/"):
                self._store.delete(kind, name)

    def _restore(self) -> None:
        if record := self._store.get("aws-iam", ACCOUNT):
            iam_state.thaw(self._keys.iam, record)
        for name, row in self._store.list("s3-bucket"):
            s3_state.thaw_bucket(self._backend.create_bucket(name, row["region"]), row)
        for name, row in self._store.list("s3-setting"):
            self._restore_setting(name, row["body"])
        for name, row in self._store.list("s3-object"):
            place, _, key = name.partition("/")
            held = self._backend.buckets[place]
            whole = row if "versions" in row else s3_state.of_earlier(key, row)
            versions = s3_state.thawed_object(whole, held, self._backend.tagger, self._store.blob)
            held.keys.setlist(key, versions)
        self._uploads.restore(self._backend.buckets)


def _check_served(request: Request) -> None:
    """Raises NotImplemented for a call of S3 that is not served; a browser's form has no name there."""
    called = aws_names.name(request).removeprefix("s3.")
    if aws_names.SAME.get(called, called) not in aws_names.S3 and called not in ("POST", "OPTIONS"):
        words = f"the local cloud does not serve s3:{called}"
        raise refusal("NotImplemented", words, 501)


def _service(request: Request) -> str:
    service = request.host.partition(".")[0]
    return service if service in ("iam", "sts") and ".s3" not in request.host else "s3"


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
