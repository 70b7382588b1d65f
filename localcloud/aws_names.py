"""Which operation a call to AWS is, as botocore's own models describe S3, STS and IAM."""

from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from localcloud.http import Request

QUERY = ("sts", "iam")  # services whose operation stands in the form

# What moto does as S3 does, and what is kept over a restart; the rest is refused by name.
S3 = frozenset(
    [
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateBucket",
        "CreateMultipartUpload",
        "DeleteBucket",
        "DeleteBucketCors",
        "DeleteBucketEncryption",
        "DeleteBucketLifecycle",
        "DeleteBucketPolicy",
        "DeleteBucketTagging",
        "DeleteObject",
        "DeleteObjectTagging",
        "DeleteObjects",
        "DeletePublicAccessBlock",
        "GetBucketAcl",
        "GetBucketCors",
        "GetBucketEncryption",
        "GetBucketLifecycleConfiguration",
        "GetBucketLocation",
        "GetBucketPolicy",
        "GetBucketTagging",
        "GetBucketVersioning",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectTagging",
        "GetPublicAccessBlock",
        "HeadBucket",
        "HeadObject",
        "ListBuckets",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PutBucketCors",
        "PutBucketEncryption",
        "PutBucketLifecycleConfiguration",
        "PutBucketPolicy",
        "PutBucketTagging",
        "PutBucketVersioning",
        "PutObject",
        "PutObjectTagging",
        "PutPublicAccessBlock",
        "UploadPart",
        "UploadPartCopy",
    ]
)
# The other two services' calls, as far as they are let through.
STS = frozenset({"AssumeRoleWithWebIdentity", "GetCallerIdentity"})
SAME = {"GetBucketLifecycle": "GetBucketLifecycleConfiguration"}  # an older name of the same call
SAME |= {"PutBucketLifecycle": "PutBucketLifecycleConfiguration", "PostObject": "PutObject"}


class Operation(NamedTuple):
    """An S3 operation: what tells its calls from others'. `depth`: 0 service, 1 bucket, 2 object."""

    name: str
    method: str
    depth: int
    query: frozenset[str]
    headers: frozenset[str]


def name(request: Request) -> str:
    """The call's operation, for example "s3.PutObject"; "s3.METHOD" where it is none."""
    service = next((one for one in QUERY if request.host.startswith(one)), "s3")
    if service != "s3":
        return f"{service}.{request.form().get('Action', request.method)}"
    depth, method = _depth(request), request.method
    fitting = [
        one
        for one in _operations()
        if (one.method, one.depth) == (method, depth)
        and one.query <= request.query.keys()
        and one.headers <= request.headers.keys()
    ]
    best = max(fitting, key=lambda one: len(one.query) + len(one.headers), default=None)
    return f"s3.{best.name if best else method}"


@cache
def names() -> frozenset[str]:
    """Every operation of the three services."""
    return frozenset(
        f"{service}.{name}" for service in ("s3", *QUERY) for name in _model(service).operation_names
    )


def _depth(request: Request) -> int:
    virtual = bool(request.host.partition(".s3")[1])
    path = unquote(request.path).strip("/")
    return min(int(virtual) + (bool(path) + ("/" in path and not virtual)), 2)


@cache
def _operations() -> tuple[Operation, ...]:
    model = _model("s3")
    return tuple(_operation(model.operation_model(name)) for name in model.operation_names)


def _operation(model: Any) -> Operation:
    path, _, query = model.http["requestUri"].partition("?")
    words = {key for key, _ in parse_qsl(query, keep_blank_values=True)} - {"x-id"}
    shape = model.input_shape
    members = {n: shape.members[n].serialization for n in shape.required_members} if shape else {}
    words |= {s["name"] for s in members.values() if s.get("location") == "querystring"}
    headers = {s["name"].lower() for s in members.values() if s.get("location") == "header"}
    depth = path.count("{")
    return Operation(model.name, model.http["method"], depth, frozenset(words), frozenset(headers))


def _model(service: str) -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(service)
