"""What a request asks of S3: its bucket and keys, and the actions that it needs a grant for."""

import re
from typing import NamedTuple
from urllib.parse import unquote
from xml.sax.saxutils import unescape

from localcloud.aws_signature import form
from localcloud.http import Request

KEYS = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
# By subresource in the query: the actions of GET, PUT and DELETE; on a bucket, and on an object.
OF_BUCKET = {
    "versions": ("s3:ListBucketVersions", "", ""),
    "uploads": ("s3:ListBucketMultipartUploads", "", ""),
    "location": ("s3:GetBucketLocation", "", ""),
    "policy": ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    "versioning": ("s3:GetBucketVersioning", "s3:PutBucketVersioning", ""),
    "tagging": ("s3:GetBucketTagging", "s3:PutBucketTagging", "s3:PutBucketTagging"),
    "encryption": (
        *("s3:GetEncryptionConfiguration", "s3:PutEncryptionConfiguration"),
        "s3:PutEncryptionConfiguration",
    ),
    "lifecycle": (
        *("s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration"),
        "s3:PutLifecycleConfiguration",
    ),
    "publicAccessBlock": (
        *("s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock"),
        "s3:PutBucketPublicAccessBlock",
    ),
    "ownershipControls": (
        *("s3:GetBucketOwnershipControls", "s3:PutBucketOwnershipControls"),
        "s3:PutBucketOwnershipControls",
    ),
    "acl": ("s3:GetBucketAcl", "s3:PutBucketAcl", ""),
    "cors": ("s3:GetBucketCORS", "s3:PutBucketCORS", "s3:PutBucketCORS"),
    "": ("s3:ListBucket", "s3:CreateBucket", "s3:DeleteBucket"),
}
OF_OBJECT = {
    "uploadId": ("s3:ListMultipartUploadParts", "s3:PutObject", "s3:AbortMultipartUpload"),
    "tagging": ("s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging"),
    "acl": ("s3:GetObjectAcl", "s3:PutObjectAcl", ""),
    "attributes": ("s3:GetObjectAttributes", "", ""),
    "retention": ("s3:GetObjectRetention", "s3:PutObjectRetention", ""),
    "legal-hold": ("s3:GetObjectLegalHold", "s3:PutObjectLegalHold", ""),
    "versionId": ("s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObjectVersion"),
    "": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
}
VERBS = {"GET": 0, "HEAD": 0, "PUT": 1, "POST": 1, "DELETE": 2}
CONTEXT_QUERY = {"prefix": "s3:prefix", "delimiter": "s3:delimiter", "max-keys": "s3:max-keys"}
CONTEXT_HEADERS = {"if-none-match": "s3:if-none-match", "if-match": "s3:if-match"}


class Need(NamedTuple):
    """An action on a resource (an ARN)."""

    action: str
    resource: str


def bucket(request: Request) -> str:
    """The bucket that a request names: in its host, or first in its path."""
    before = request.host.partition(".s3")[0]
    return before if before != request.host else unquote(request.path).strip("/").partition("/")[0]


def names(request: Request) -> list[str]:
    """The keys that a call may have changed."""
    path = unquote(request.path).removeprefix("/")
    if bucket(request) == path.partition("/")[0] and ".s3" not in request.host:
        path = path.partition("/")[2]
    if path:
        return [path]
    if "delete" in request.query:
        return [unescape(key.decode()) for key in KEYS.findall(request.body)]
    posted = form(request).get("key") if request.method == "POST" else None
    return [posted] if posted else []


def arn(bucket: str, key: str = "") -> str:
    """The resource name of a bucket, or of an object in it."""
    return f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")


def needs(request: Request) -> list[Need]:
    """Every action that the request needs; an empty one where S3 has no such call here."""
    place, keys = bucket(request), names(request)
    if not place:
        return [Need("s3:ListAllMyBuckets", "arn:aws:s3:::*")]
    if "delete" in request.query:
        return [Need("s3:DeleteObject", arn(place, key)) for key in keys]
    table = OF_OBJECT if keys else OF_BUCKET
    part = next((name for name in table if name in request.query), "")
    action = table[part][VERBS.get(request.method, 0)]
    found = [Need(action, arn(place, key)) for key in keys] or [Need(action, arn(place))]
    source = unquote(request.headers.get("x-amz-copy-source", "")).lstrip("/").partition("?")[0]
    return found + ([Need("s3:GetObject", f"arn:aws:s3:::{source}")] if source else [])


def context(request: Request) -> dict[str, str]:
    """What conditions of policies may ask of a request."""
    query = {key: request.query[name] for name, key in CONTEXT_QUERY.items() if name in request.query}
    headers = {
        key: request.headers[name] for name, key in CONTEXT_HEADERS.items() if name in request.headers
    }
    return {"aws:SecureTransport": "true", **query, **headers}
