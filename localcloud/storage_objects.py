"""Cloud Storage's state: buckets, objects, generations, preconditions and checksums."""

import base64
import hashlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import google_crc32c

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.storage_buckets import API, Buckets
from localcloud.storage_conditions import Conditions
from localcloud.storage_settings import after, seconds

DOWNLOAD = "https://storage.googleapis.com/download/storage/v1"
SETTABLE = (
    *("contentType", "contentEncoding", "contentDisposition", "contentLanguage", "cacheControl"),
    *("metadata", "customTime", "storageClass", "temporaryHold", "eventBasedHold"),
)
CONTENT = ("blob", "crc32c", "md5Hash", "size", "componentCount")
PRIVATE = ("blob", "released")  # of a record, for nobody else
BYTES = "application/octet-stream"

Resource = dict[str, Any]


def hashes(data: bytes) -> dict[str, str]:
    """The two checksums that every object carries."""
    crc = google_crc32c.value(data).to_bytes(4, "big")
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    return {"crc32c": base64.b64encode(crc).decode(), "md5Hash": base64.b64encode(md5).decode()}


def missing(bucket: str, name: str) -> ApiError:
    """What a read of an object that is not there says."""
    return ApiError("NOT_FOUND", f"No such object: {bucket}/{name}", reason="notFound")


class Objects:
    """Records: "object" by "bucket/name"; "object-version" and "object-soft" (deleted, but not yet for
    good) by that and the generation; bytes among the store's blobs.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store, self.buckets = cloud, cloud.store, Buckets(cloud)

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, one at a time."""
        return self._store.transaction()

    def change_bucket(self, name: str, changes: Resource, conditions: Conditions) -> Resource:
        """Set the given fields of a bucket; how long its objects are kept goes with them."""
        with self._store.transaction():
            made = self.buckets.change(name, changes, conditions)
            if "retentionPolicy" in changes:
                for key, one in self._store.list("object", f"{name}/"):
                    self._store.put("object", key, retained(one, made))
            return made

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket. Raises where it is not."""
        with self._store.transaction():
            if self.list(name, versions=True):
                words = "The bucket you tried to delete is not empty."
                raise ApiError("ALREADY_EXISTS", words, reason="conflict")
            for key, _ in self._store.list("object-soft", f"{name}/"):
                self._store.delete("object-soft", key)
            self.buckets.forget(name)

    def find(self, bucket: str, name: str, generation: str = "") -> Resource | None:
        """The live object or the generation, or None. Raises where the bucket is not there."""
        found = self._store.get("object", f"{bucket}/{name}")
        if found is None:
            self.buckets.get(bucket)
        if found is None or generation not in ("", found["generation"]):
            return self._store.get("object-version", _old(bucket, name, generation))
        return found

    def get(self, bucket: str, name: str, query: Mapping[str, str] | None = None) -> Resource:
        """The object, if it is there and the query's generation and conditions hold."""
        query = query or {}
        generation = query.get("generation", "")
        soft = query.get("softDeleted", "").lower() == "true"
        found = self.deleted(bucket, name, generation) if soft else self.find(bucket, name, generation)
        if found is None:
            raise missing(bucket, name)
        Conditions.of(query).check(found)
        return found

    def deleted(self, bucket: str, name: str, generation: str) -> Resource | None:
        """A generation that is deleted, but not yet for good, or None."""
        self.buckets.get(bucket)
        found = self._store.get("object-soft", _old(bucket, name, generation))
        return found if found and found["hardDeleteTime"] > self._cloud.now() else None

    def list_deleted(self, bucket: str, prefix: str = "") -> list[Resource]:
        """The generations that are deleted, but not yet for good."""
        found, now = self._listed(bucket, prefix, ("object-soft",)), self._cloud.now()
        return [one for one in found if one["hardDeleteTime"] > now]

    def _listed(self, bucket: str, prefix: str, kinds: tuple[str, ...]) -> list[Resource]:
        self.buckets.get(bucket)
        found = [row for kind in kinds for _, row in self._store.list(kind, f"{bucket}/{prefix}")]
        return sorted(found, key=lambda one: (one["name"], int(one["generation"])))

    def list(self, bucket: str, prefix: str = "", versions: bool = False) -> list[Resource]:
        """The objects whose names start with `prefix`, by name; with older generations if asked."""
        return self._listed(bucket, prefix, ("object", "object-version") if versions else ("object",))

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
            before, place = self.find(bucket, name), self.buckets.get(bucket)
            conditions.check(before)
            if before:
                self._check_free(before)
                self._put_away(before)
            generation = max(time.time_ns() // 1000, int(before["generation"]) + 1 if before else 0)
            now = self._cloud.now()
            times = dict.fromkeys(("timeCreated", "timeStorageClassUpdated", "timeFinalized"), now)
            head = {
                "kind": "storage#object",
                "bucket": bucket,
                "name": name,
                "generation": str(generation),
            }
            defaults = {"contentType": BYTES, "storageClass": place["storageClass"]}
            if place.get("defaultEventBasedHold"):
                defaults["eventBasedHold"] = True
            return self._save({**head, **defaults, **own, **content, **times})

    def restore(self, found: Resource, conditions: Conditions) -> Resource:
        """A deleted generation as a new one. Raises where a condition on the live one does not hold."""
        with self._store.transaction():
            content = {key: found[key] for key in CONTENT if key in found}
            made = self.save(found, content, conditions)
            key = _old(found["bucket"], found["name"], found["generation"])
            self._store.delete("object-soft", key)
            return made

    def change(self, found: Resource, changes: Resource) -> Resource:
        """Change an object's metadata; None removes a field."""
        own = {key: changes[key] for key in SETTABLE if key in changes}
        if isinstance(own.get("metadata"), dict):
            merged = {**found.get("metadata", {}), **own["metadata"]}
            own["metadata"] = {key: value for key, value in merged.items() if value is not None}
        if found.get("eventBasedHold") and own.get("eventBasedHold") is False:
            own["released"] = self._cloud.now()
        return self._save({**found, **own})

    def delete(self, found: Resource, for_good: bool = False) -> None:
        """Remove an object (its bytes stay: others may have the same). Raises where it is held.

        In a bucket with versions it stays as an older generation, unless it is removed for good.
        """
        self._check_free(found)
        self._put_away(found, for_good or "timeDeleted" in found)
        key = _old(found["bucket"], found["name"], found["generation"])
        if "timeDeleted" in found:
            self._store.delete("object-version", key)
        else:
            self._store.delete("object", f"{found['bucket']}/{found['name']}")

    def _put_away(self, found: Resource, for_good: bool = False) -> None:
        """Keep what is deleted or written over: as an older generation, or as deleted for a while."""
        bucket, now = self.buckets.get(found["bucket"]), self._cloud.now()
        key = _old(found["bucket"], found["name"], found["generation"])
        kept = seconds(bucket, "softDeletePolicy", "retentionDurationSeconds")
        if bucket.get("versioning", {}).get("enabled") and not for_good:
            self._store.put("object-version", key, found | {"timeDeleted": now})
        elif kept:
            times = {"softDeleteTime": now, "hardDeleteTime": after(now, kept)}
            self._store.put("object-soft", key, found | times)

    def _check_free(self, found: Resource) -> None:
        """Raises PERMISSION_DENIED where an object is held, or kept for some time yet."""
        name = f"Object '{found['bucket']}/{found['name']}'"
        if found.get("temporaryHold") or found.get("eventBasedHold"):
            words = f"{name} is under active hold and cannot be deleted, overwritten or archived."
            raise ApiError("PERMISSION_DENIED", words, reason="forbidden")
        until = found.get("retentionExpirationTime", "")
        if until > self._cloud.now():
            words = f"{name} is subject to bucket's retention policy or object retention"
            rest = f"and cannot be deleted or overwritten until {until}"
            raise ApiError("PERMISSION_DENIED", f"{words} {rest}", reason="retentionPolicyNotMet")

    def _save(self, record: Resource) -> Resource:
        record["metageneration"] = str(int(record.get("metageneration", 0)) + 1)
        tag = f"{record['generation']}/{record['metageneration']}".encode()
        record = {key: value for key, value in record.items() if value is not None}
        record = retained(record, self.buckets.get(record["bucket"]))
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
    return {**{key: value for key, value in found.items() if key not in PRIVATE}, **links}


def retained(found: Resource, bucket: Resource) -> Resource:
    """The object with the time until which its bucket's retention policy keeps it."""
    period = seconds(bucket, "retentionPolicy", "retentionPeriod")
    made = {key: value for key, value in found.items() if key != "retentionExpirationTime"}
    if period and not made.get("eventBasedHold"):
        since = made.get("released") or made["timeCreated"]
        made["retentionExpirationTime"] = after(since, period)
    return made


def _old(bucket: str, name: str, generation: str) -> str:
    """The key of an older generation: names are followed by what no name can hold."""
    return f"{bucket}/{name}\n{generation:0>20}"
