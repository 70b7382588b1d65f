"""What moto holds of S3, as records: each version of an object, and a bucket's settings."""

import io
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

Record = dict[str, Any]
# Objects and uploads that are not finished have records of their own.
NOT_SETTINGS = ("keys", "multiparts")
MADE_BY_CALLS = {"cors", "lifecycle", "encryption", "publicAccessBlock", "tagging"}


def read_chunks_quickly() -> None:
    """moto puts a streamed body together in quadratic time: 25 s for 200 MB."""
    from moto.s3.responses import S3Response

    S3Response._handle_encoded_body = lambda _, body: b"".join(_chunks(body))


def leave_policies_alone() -> None:
    """moto looks at buckets' policies, too, but not at their conditions; they are checked before it."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    FakeBucket.get_permission = lambda *_: PermissionResult.PERMITTED


def _chunks(body: Any) -> Iterator[bytes]:
    stream = io.BytesIO(body) if isinstance(body, bytes) else body
    while body and (size := int(stream.readline().strip() or b"0", 16)):
        yield stream.read(size)
        stream.readline()


def frozen_bucket(bucket: Any) -> Record:
    """A bucket's settings: region, policy, versioning, encryption, …"""
    return {"region": bucket.region_name, "settings": plain(vars(bucket))}


def thaw_bucket(bucket: Any, record: Record) -> None:
    """Give a fresh bucket the recorded settings."""
    vars(bucket).update(fields(record.get("settings", {})))


def frozen_object(versions: list[Any], tagger: Any, keep: Callable[[bytes], str]) -> Record:
    """All versions of one key, oldest first; `keep` stores bytes and gives their name."""
    return {"versions": [_frozen(one, tagger, keep) for one in versions]}


def of_earlier(name: str, record: Record) -> Record:
    """The record of an object that an earlier local cloud wrote: one version, fewer fields."""
    own = {"name": name, "_etag": record["etag"], "_metadata": record["metadata"]}
    return {"versions": [{"fields": own, "blob": record["blob"], "tags": {}}]}


def thawed_object(record: Record, bucket: Any, tagger: Any, read: Callable[[str], bytes]) -> list[Any]:
    """The versions of one key of `bucket`, as moto holds them."""
    return [_thawed(one, bucket, tagger, read) for one in record["versions"]]


def _frozen(version: Any, tagger: Any, keep: Callable[[bytes], str]) -> Record:
    if not hasattr(version, "_value_buffer"):  # a delete marker
        return {"fields": plain(vars(version))}
    tags = tagger.get_tag_dict_for_resource(version.arn)
    return {"fields": plain(vars(version)), "blob": keep(version.value), "tags": tags}


def _thawed(record: Record, bucket: Any, tagger: Any, read: Callable[[str], bytes]) -> Any:
    from moto.s3.models import FakeDeleteMarker, FakeKey

    own = fields(record["fields"])
    if "blob" not in record:
        made = FakeDeleteMarker.__new__(FakeDeleteMarker)
        vars(made).update({"key": None, **own})
        return made
    made = FakeKey(own["name"], read(record["blob"]), bucket.account_id, bucket.region_name)
    made.set_metadata(own.pop("_metadata"), replace=True)
    # Setting the value counts and hashes it anew, which is wrong for an object that came in parts.
    vars(made).update(own)
    tagger.tag_resource(made.arn, [{"Key": k, "Value": v} for k, v in record["tags"].items()])
    return made


def plain(all_fields: Record) -> Record:
    """The fields that JSON can hold; of the others (ACLs, rules) moto's defaults come back."""
    kept = {key: _json(value) for key, value in all_fields.items() if key not in NOT_SETTINGS}
    return {key: value for key, value in kept.items() if value is not NotImplemented}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, bytes):
        return {"$bytes": value.decode("latin-1")}
    if isinstance(value, Mapping):
        return {str(key): one for key, one in value.items() if isinstance(one, str | int)}
    return value if value is None or isinstance(value, str | int | float) else NotImplemented


def fields(record: Record) -> Record:
    """What `plain` made into JSON, as it was."""
    return {key: _value(value) for key, value in record.items()}


def _value(value: Any) -> Any:
    if isinstance(value, dict) and "$time" in value:
        return datetime.fromisoformat(value["$time"])
    if isinstance(value, dict) and "$bytes" in value:
        return value["$bytes"].encode("latin-1")
    return value
