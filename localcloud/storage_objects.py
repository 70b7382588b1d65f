"""Cloud Storage's state: buckets, objects, generations, preconditions and checksums."""

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google_crc32c

from localcloud.cloud import Cloud
from localcloud.errors import ApiError

API = "https://www.googleapis.com/storage/v1"
DOWNLOAD = "https://storage.googleapis.com/download/storage/v1"
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
MULTI_REGIONS = ("US", "EU", "ASIA")
SETTABLE = (
    *("contentType", "contentEncoding", "contentDisposition", "contentLanguage", "cacheControl"),
    *("metadata", "customTime", "storageClass", "temporaryHold", "eventBasedHold"),
)

Resource = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """What must hold of an object's generation and metageneration for a call to go on."""

    tests: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Mapping[str, str], source: bool = False) -> "Conditions":
        """The conditions in a query; with `source`, those on a copy's source."""
        prefix = "ifSource" if source else "if"
        names = (
            "GenerationMatch",
            "GenerationNotMatch",
            "MetagenerationMatch",
            "MetagenerationNotMatch",
        )
        return cls({name: int(query[prefix + name]) for name in names if prefix + name in query})

    def check(self, found: Resource | None) -> None:
        """Raises conditionNotMet."""
        for name, wanted in self.tests.items():
            field_name = "metageneration" if name.startswith("Meta") else "generation"
            actual = int(found[field_name]) if found else 0
            if (actual == wanted) == ("Not" in name):
                message = "At least one of the pre-conditions you specified did not hold."
                raise ApiError("FAILED_PRECONDITION", message, status=412, reason="conditionNotMet")


def hashes(data: bytes) -> dict[str, str]:
    """The two checksums that every object carries."""
    crc = google_crc32c.value(data).to_bytes(4, "big")
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return {"crc32c": base64.b64encode(crc).decode(), "md5Hash": base64.b64encode(md5).decode()}


def missing(bucket: str, name: str) -> ApiError:
    """What a read of an object that is not there says."""
    return ApiError("NOT_FOUND", f"No such object: {bucket}/{name}", reason="notFound")


class Objects:
    """Records: "bucket", "object" by "bucket/name", "object-version"; bytes among the store's blobs."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def bucket(self, name: str) -> Resource:
        """The bucket's resource. Raises NOT_FOUND."""
        found = self._store.get("bucket", name)
        if found is None:
            raise ApiError("NOT_FOUND", "The specified bucket does not exist.", reason="notFound")
        return found

    def buckets(self, prefix: str = "") -> list[Resource]:
        """All buckets, by name."""
        return [row for _, row in self._store.list("bucket", prefix)]

    def create_bucket(self, wanted: Resource) -> Resource:
        """A new bucket. Raises ALREADY_EXISTS."""
        name, location = wanted.get("name", ""), wanted.get("location", "US").upper()
        if not BUCKET_NAME.fullmatch(name):
            raise ApiError("INVALID_ARGUMENT", f"Invalid bucket name: '{name}'", reason="invalid")
        now = self._cloud.now()
        made = {
            "kind": "storage#bucket",
            "id": name,
            "selfLink": f"{API}/b/{name}",
            "projectNumber": self._cloud.world.project_number,
            "storageClass": "STANDARD",
            "locationType": "multi-region" if location in MULTI_REGIONS else "region",
            "timeCreated": now,
            "updated": now,
            "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}},
            **{key: value for key, value in wanted.items() if value is not None},
            "location": location,
        }
        with self._store.transaction():
            if self._store.get("bucket", name):
                words = (
                    "Your previous request to create the named bucket succeeded and you already own it."
                )
                raise ApiError("ALREADY_EXISTS", words, reason="conflict")
            return self._save_bucket(made)

    def change_bucket(self, name: str, changes: Resource, conditions: Conditions) -> Resource:
        """Set the given fields; None removes one."""
        with self._store.transaction():
            bucket = self.bucket(name)
            conditions.check(bucket)
            merged = {**bucket, **changes, "name": name, "location": bucket["location"]}
            # A label is removed by None; one that is not named stays.
            labels = {**bucket.get("labels", {}), **(changes.get("labels") or {})}
            merged["labels"] = {key: value for key, value in labels.items() if value is not None} or None
            return self._save_bucket({key: value for key, value in merged.items() if value is not None})

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket. Raises where it is not."""
        with self._store.transaction():
            self.bucket(name)
            if self.list(name, versions=True):
                words = "The bucket you tried to delete is not empty."
                raise ApiError("ALREADY_EXISTS", words, reason="conflict")
            self._store.delete("bucket", name)

    def _save_bucket(self, bucket: Resource) -> Resource:
        number = int(bucket.get("metageneration", 0)) + 1
        tag = base64.b64encode(str(number).encode()).decode()
        bucket |= {"metageneration": str(number), "etag": tag, "updated": self._cloud.now()}
        self._store.put("bucket", bucket["name"], bucket)
        return bucket

    def find(self, bucket: str, name: str, generation: str = "") -> Resource | None:
        """The live object or the generation, or None. Raises where the bucket is not there."""
        found = self._store.get("object", f"{bucket}/{name}")
        if found is None:
            self.bucket(bucket)
        if found is None or generation not in ("", found["generation"]):
            return self._store.get("object-version", _old(bucket, name, generation))
        return found

    def get(self, bucket: str, name: str, query: Mapping[str, str] | None = None) -> Resource:
        """The object, if it is there and the query's generation and conditions hold."""
        query = query or {}
        found = self.find(bucket, name, query.get("generation", ""))
        if found is None:
            raise missing(bucket, name)
        Conditions.of(query).check(found)
        return found

    def list(self, bucket: str, prefix: str = "", versions: bool = False) -> list[Resource]:
        """The objects whose names start with `prefix`, by name; with older generations if asked."""
        self.bucket(bucket)
        kinds = ("object", "object-version") if versions else ("object",)
        found = [row for kind in kinds for _, row in self._store.list(kind, f"{bucket}/{prefix}")]
        return sorted(found, key=lambda one: (one["name"], int(one["generation"])))

    def data(self, found: Resource) -> bytes:
        """An object's bytes."""
        return self._store.blob(found["blob"])

    def path(self, found: Resource) -> Path:
        """The file that holds an object's bytes: to read, never to write."""
        return self._store.blob_path(found["blob"])

    def write(self, wanted: Resource, data: bytes, conditions: Conditions) -> Resource:
        """A new generation of `wanted` (bucket, name, and what may be set). Checks declared hashes."""
        own = hashes(data)
        for key, label in (("md5Hash", "MD5"), ("crc32c", "CRC32C")):
            if wanted.get(key, own[key]) != own[key]:
                words = f'Provided {label} hash "{wanted[key]}" doesn\'t match calculated {label} hash'
                raise ApiError("INVALID_ARGUMENT", f'{words} "{own[key]}".', reason="invalid")
        return self.save(wanted, self.content(data, own), conditions)

    def content(self, data: bytes, sums: dict[str, str] | None = None) -> Resource:
        """Keep bytes; the fields of an object that has them."""
        return {"blob": self._store.put_blob(data), **(sums or hashes(data)), "size": str(len(data))}

    def save(self, wanted: Resource, content: Resource, conditions: Conditions) -> Resource:
        """A new generation whose content (blob, hashes, size) is known already."""
        bucket, name = wanted["bucket"], wanted["name"]
        own = {key: wanted[key] for key in SETTABLE if wanted.get(key) is not None}
        with self._store.transaction():
            before = self.find(bucket, name)
            conditions.check(before)
            self._archive(before)
            generation = max(time.time_ns() // 1000, int(before["generation"]) + 1 if before else 0)
            now = self._cloud.now()
            times = dict.fromkeys(("timeCreated", "timeStorageClassUpdated", "timeFinalized"), now)
            head = {
                "kind": "storage#object",
                "bucket": bucket,
                "name": name,
                "generation": str(generation),
            }
            defaults = {"contentType": "application/octet-stream", "storageClass": "STANDARD"}
            return self._save({**head, **defaults, **own, **content, **times})

    def change(self, found: Resource, changes: Resource) -> Resource:
        """Change an object's metadata; None removes a field."""
        own = {key: changes[key] for key in SETTABLE if key in changes}
        if isinstance(own.get("metadata"), dict):
            merged = {**found.get("metadata", {}), **own["metadata"]}
            own["metadata"] = {key: value for key, value in merged.items() if value is not None}
        return self._save({**found, **own})

    def _archive(self, found: Resource | None) -> None:
        """Keep a live object as an older generation, where its bucket has versions."""
        if found and self.bucket(found["bucket"]).get("versioning", {}).get("enabled"):
            old = found | {"timeDeleted": self._cloud.now()}
            self._store.put(
                "object-version", _old(found["bucket"], found["name"], found["generation"]), old
            )

    def delete(self, found: Resource, for_good: bool = False) -> None:
        """Remove an object (its bytes stay: others may have the same). Raises where it is held.

        In a bucket with versions it stays as an older generation, unless it is removed for good.
        """
        if found.get("temporaryHold") or found.get("eventBasedHold"):
            words = f"Object '{found['bucket']}/{found['name']}' is under active hold"
            raise ApiError("PERMISSION_DENIED", f"{words} and cannot be deleted.", reason="forbidden")
        if "timeDeleted" in found:
            self._store.delete(
                "object-version", _old(found["bucket"], found["name"], found["generation"])
            )
            return
        if not for_good:
            self._archive(found)
        self._store.delete("object", f"{found['bucket']}/{found['name']}")

    def _save(self, record: Resource) -> Resource:
        record["metageneration"] = str(int(record.get("metageneration", 0)) + 1)
        tag = f"{record['generation']}/{record['metageneration']}".encode()
        record = {key: value for key, value in record.items() if value is not None}
        record |= {"etag": base64.b64encode(tag).decode(), "updated": self._cloud.now()}
        bucket, name = record["bucket"], record["name"]
        if "timeDeleted" in record:
            self._store.put("object-version", _old(bucket, name, record["generation"]), record)
        else:
            self._store.put("object", f"{bucket}/{name}", record)
        return record


def public(found: Resource) -> Resource:
    """An object's resource as a client sees it."""
    address = f"b/{found['bucket']}/o/{quote(found['name'], safe='')}"
    links = {
        "id": f"{found['bucket']}/{found['name']}/{found['generation']}",
        "selfLink": f"{API}/{address}",
        "mediaLink": f"{DOWNLOAD}/{address}?generation={found['generation']}&alt=media",
    }
    return {**{key: value for key, value in found.items() if key != "blob"}, **links}


def _old(bucket: str, name: str, generation: str) -> str:
    """The key of an older generation: names are followed by what no name can hold."""
    return f"{bucket}/{name}\n{generation:0>20}"
