"""What Vertex AI's services for models and endpoints share: their host, names, ids and refusals."""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format

from localcloud.cloud import Cloud
from localcloud.errors import ApiError, bad_request

HOSTS = (r"(?:[a-z0-9-]+-)?aiplatform\.googleapis\.com",)
DENIED = (
    "Permission '{permission}' denied on resource '//aiplatform.googleapis.com/{name}'"
    " (or it may not exist)."
)
KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def location(cloud: Cloud, parent: str) -> str:
    """A location's name with the project by number. Raises where it is not this world's."""
    name = cloud.iam.resource(parent)
    if not name.startswith(f"{cloud.iam.project}/"):
        raise ApiError("PERMISSION_DENIED", f"Permission denied on resource {parent}.")
    if name.split("/")[3] != cloud.world.region:
        raise ApiError("NOT_FOUND", f"The location '{name.split('/')[3]}' is not found.")
    return name


def number(cloud: Cloud, what: str) -> str:
    """An id as Vertex AI gives one where the caller gives none."""
    return str(4_000_000_000_000_000_000 + cloud.store.next_number(what))


def invalid(problems: Iterable[tuple[str, str]]) -> ApiError:
    """INVALID_ARGUMENT as Vertex AI words it: each wrong field, and what is wrong with it."""
    found = list(problems)
    error = bad_request(found)
    words = "\t".join(f"{n}.Field: {field}; Message: {why}" for n, (field, why) in enumerate(found, 1))
    return ApiError("INVALID_ARGUMENT", f"List of found errors:\t{words}\t", details=error.details)


def check_labels(labels: Any, field: str) -> Iterable[tuple[str, str]]:
    """What is wrong with a resource's labels."""
    for key, value in labels.items():
        if not KEY.fullmatch(key) or not VALUE.fullmatch(value):
            yield (
                field,
                f"Label '{key}: {value}' is not allowed: keys and values are [a-z0-9_-]{{0,63}}.",
            )


def generic() -> types.GenericOperationMetadata:
    """What the metadata of every operation begins with."""
    now = datetime.now(UTC)
    return types.GenericOperationMetadata(create_time=now, update_time=now)


def etag(message: Any) -> str:
    """What changes with a message."""
    data = type(message).pb(message).SerializeToString(deterministic=True)
    return hashlib.sha256(data).hexdigest()[:24]


def to_row(message: Any) -> dict[str, Any]:
    """A message as a record; `of_row` is its inverse."""
    return dict(json_format.MessageToDict(type(message).pb(message)))


def of_row(kind: Any, row: dict[str, Any]) -> Any:
    """The message of a record; fields that this local cloud does not know are left out."""
    return kind.wrap(json_format.ParseDict(row, kind.pb()(), ignore_unknown_fields=True))
