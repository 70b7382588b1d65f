"""What a request asks of S3: its bucket and keys, and the actions that it needs a grant for."""

from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree

from localcloud import aws_names, s3_form
from localcloud.aws_errors import refusal
from localcloud.http import Query, Request

# The actions of operations, where they are named otherwise. A form that is posted has no operation.
ACTIONS = {
    **dict.fromkeys(("HeadBucket", "ListObjects", "ListObjectsV2"), "ListBucket"),
    **dict.fromkeys(("CompleteMultipartUpload", "CopyObject", "CreateMultipartUpload"), "PutObject"),
    **dict.fromkeys(("UploadPart", "UploadPartCopy", "POST"), "PutObject"),
    **dict.fromkeys(("PutBucketCors", "DeleteBucketCors"), "PutBucketCORS"),
    **dict.fromkeys(("PutBucketEncryption", "DeleteBucketEncryption"), "PutEncryptionConfiguration"),
    **dict.fromkeys(
        ("PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"), "PutLifecycleConfiguration"
    ),
    **dict.fromkeys(("PutPublicAccessBlock", "DeletePublicAccessBlock"), "PutBucketPublicAccessBlock"),
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteObjects": "DeleteObject",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListParts": "ListMultipartUploadParts",
}
OF_VERSION = ("GetObject", "DeleteObject")  # actions with another name where a version is named
CONTEXT_QUERY = {"prefix": "s3:prefix", "delimiter": "s3:delimiter", "max-keys": "s3:max-keys"}
CONTEXT_HEADERS = {"if-none-match": "s3:if-none-match", "if-match": "s3:if-match"}


class Need(NamedTuple):
    """An action on a resource (an ARN)."""

    action: str
    resource: str


class Doomed(NamedTuple):
    """What DeleteObjects is to delete: a key, or one version of it."""

    key: str
    version: str


def bucket(request: Request) -> str:
    """The bucket that a request names: in its host, or first in its path."""
    before = request.host.partition(".s3")[0]
    path = unquote(request.path).removeprefix("/")
    return before if before != request.host else path.partition("/")[0]


def names(request: Request) -> list[str]:
    """The keys that a call may have changed."""
    path = unquote(request.path).removeprefix("/")
    key = path if ".s3" in request.host else path.partition("/")[2]
    if key:
        return [key]
    operation = _operation(request)
    if operation == "DeleteObjects":
        return [one.key for one in _doomed(request.body)]
    posted = s3_form.fields(request).get("key") if s3_form.is_form(request) else None
    return [posted] if posted else []


def _operation(request: Request) -> str:
    name = aws_names.name(request).removeprefix("s3.")
    return aws_names.SAME.get(name, name)


class _Builder(ElementTree.TreeBuilder):
    """Without document types, and so without entities of the sender's."""

    def doctype(self, name: str, *_: object) -> None:
        raise ValueError(f"a document type is declared: {name}")


def _doomed(body: bytes) -> list[Doomed]:
    """What the body of DeleteObjects names. Raises MalformedXML."""
    try:
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314
        parser.feed(body)
        objects = parser.close().findall("{*}Object")
        found = [Doomed(_text(one, "Key"), _text(one, "VersionId")) for one in objects]
    except (ElementTree.ParseError, ValueError):
        found = []
    if not found or not all(one.key for one in found):
        raise refusal("MalformedXML", "The XML you provided was not well-formed or did not validate")
    return found


def _text(element: Any, name: str) -> str:
    """The text of a child that stands there once at most. Raises ValueError."""
    children = element.findall(f"{{*}}{name}")
    if len(children) > 1 or any(len(child) or child.attrib for child in children):
        raise ValueError(name)
    return str(children[0].text or "") if children else ""


def arn(bucket: str, key: str = "") -> str:
    """The resource name of a bucket, or of an object in it."""
    return f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")


def needs(request: Request) -> list[Need]:
    """Every action that the request needs, at least one. Raises what S3 raises where it is none."""
    if mixed := aws_names.conflicting(request):
        raise refusal("InvalidArgument", f"Conflicting query string parameters: {', '.join(mixed)}")
    place, operation = bucket(request), _operation(request)
    if operation == "OPTIONS":
        operation = "HeadObject" if names(request) else "HeadBucket"
    action = ACTIONS.get(operation, operation)
    if operation == "DeleteObjects":
        doomed = _doomed(request.body)
        return [Need(_of_version(action, one.version), arn(place, one.key)) for one in doomed]
    if operation == "ListBuckets":
        return [Need(f"s3:{action}", arn("*"))]
    keys = names(request)
    if not place or (operation == "POST" and (not keys or request.query)):
        raise refusal("InvalidArgument", "The request names no bucket, or no object where it needs one.")
    version = request.query.get("versionId", "")
    source = request.headers.get("x-amz-copy-source", "")
    own = Need(_of_version(action, version), arn(place, *keys))
    return [own, _read(source)] if source else [own]


def _of_version(action: str, version: str) -> str:
    return f"s3:{action}{'Version' if version and action in OF_VERSION else ''}"


def _read(source: str) -> Need:
    """What copying needs of its source: a path, encoded, and maybe ?versionId="""
    path, _, query = source.partition("?")
    found = unquote(path).lstrip("/")
    return Need(_of_version("GetObject", Query.parse(query).get("versionId", "")), arn(found))


def context(request: Request) -> dict[str, str]:
    """What conditions of policies may ask of a request."""
    query = {key: request.query[name] for name, key in CONTEXT_QUERY.items() if name in request.query}
    headers = {
        key: request.headers[name] for name, key in CONTEXT_HEADERS.items() if name in request.headers
    }
    return {"aws:SecureTransport": "true", **query, **headers}
