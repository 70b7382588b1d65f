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
    optional: frozenset[str]  # what else its query may have


def name(request: Request) -> str:
    """The call's operation, for example "s3.PutObject"; "s3.METHOD" where it is none."""
    service = next((one for one in QUERY if request.host.startswith(one)), "s3")
    if service != "s3":
        return f"{service}.{request.form().get('Action', request.method)}"
    best = _s3(request)
    return f"s3.{best.name if best else request.method}"


def conflicting(request: Request) -> list[str]:
    """Words of the query that make other operations of S3 than the call's: moto may do one of them."""
    best = _s3(request)
    words = frozenset[str]().union(*(one.query for one in _operations()))
    own = best.query | best.optional if best else frozenset[str]()
    return sorted(words & request.query.keys() - own)


@cache
def names() -> frozenset[str]:
    """Every operation of the three services."""
    return frozenset(
        f"{service}.{name}" for service in ("s3", *QUERY) for name in _model(service).operation_names
    )


def _s3(request: Request) -> Operation | None:
    """The operation that asks for most of what the request has."""
    depth, method = _depth(request), request.method
    fitting = [
        one
        for one in _operations()
        if (one.method, one.depth) == (method, depth)
        and one.query <= request.query.keys()
        and one.headers <= request.headers.keys()
    ]
    return max(fitting, key=lambda one: len(one.query) + len(one.headers), default=None)


def _depth(request: Request) -> int:
    path = unquote(request.path).removeprefix("/")
    if ".s3" in request.host:
        return 1 + bool(path)
    bucket, _, key = path.partition("/")
    return bool(bucket) + bool(key)


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
    optional = {
        member.serialization["name"]
        for member in (shape.members.values() if shape else ())
        if member.serialization.get("location") == "querystring"
    }
    sets = (frozenset(some) for some in (words, headers, optional))
    return Operation(model.name, model.http["method"], path.count("{"), *sets)


def _model(service: str) -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(service)
