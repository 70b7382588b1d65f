"""Cloud Storage's buckets: their records and settings."""

import base64
import re

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.storage_conditions import Conditions
from localcloud.storage_settings import (
    Resource,
    check_served,
    filled,
    location_type,
    merged,
)

API = "https://www.googleapis.com/storage/v1"
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
ACCESS: Resource = {
    "uniformBucketLevelAccess": {"enabled": True},
    "publicAccessPrevention": "inherited",
}


class Buckets:
    """Records: "bucket" by name."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def get(self, name: str) -> Resource:
        """The bucket's resource. Raises NOT_FOUND."""
        found = self._store.get("bucket", name)
        if found is None:
            raise ApiError("NOT_FOUND", "The specified bucket does not exist.", reason="notFound")
        return found

    def list(self, prefix: str = "") -> list[Resource]:
        """All buckets of the project, by name."""
        number = self._cloud.world.project_number
        rows = (row for _, row in self._store.list("bucket", prefix))
        return [row for row in rows if row["projectNumber"] == number]

    def project(self, name: str) -> str:
        """The number of the project that a bucket is in; of the world's where there is no bucket."""
        found = self._store.get("bucket", name) or {}
        return str(found.get("projectNumber", self._cloud.world.project_number))

    def create(self, wanted: Resource, project: str = "") -> Resource:
        """A new bucket, in the world's project or in another one. Raises ALREADY_EXISTS."""
        name = wanted.get("name", "")
        if not BUCKET_NAME.fullmatch(name):
            raise ApiError("INVALID_ARGUMENT", f"Invalid bucket name: '{name}'", reason="invalid")
        check_served(wanted)
        now, location = self._cloud.now(), (wanted.get("location") or "US").upper()
        first = {
            "kind": "storage#bucket",
            "id": name,
            "selfLink": f"{API}/b/{name}",
            "projectNumber": project or self._cloud.world.project_number,
            "storageClass": "STANDARD",
            "timeCreated": now,
            "iamConfiguration": ACCESS,
        }
        made = merged(first, wanted | {"location": location})
        made["locationType"] = location_type(made)
        with self._store.transaction():
            if self._store.get("bucket", name):
                words = (
                    "Your previous request to create the named bucket succeeded and you already own it."
                )
                raise ApiError("ALREADY_EXISTS", words, reason="conflict")
            return self._save(filled({}, made, now))

    def change(self, name: str, changes: Resource, conditions: Conditions) -> Resource:
        """Set the given fields; None removes one, a table is merged."""
        check_served(changes)
        with self._store.transaction():
            before = self.get(name)
            conditions.check(before)
            fixed = {key: before[key] for key in ("name", "location", "locationType")}
            made = merged(before, changes) | fixed
            if not made.get("labels"):
                made.pop("labels", None)
            return self._save(filled(before, made, self._cloud.now()))

    def lock(self, name: str, conditions: Conditions) -> Resource:
        """Make the retention policy one that can only grow. Raises where there is none."""
        with self._store.transaction():
            if not self.get(name).get("retentionPolicy"):
                words = "Bucket cannot be locked without a retention policy."
                raise ApiError("INVALID_ARGUMENT", words, reason="invalid")
            return self.change(name, {"retentionPolicy": {"isLocked": True}}, conditions)

    def forget(self, name: str) -> None:
        """Remove the record."""
        self._store.delete("bucket", name)

    def _save(self, bucket: Resource) -> Resource:
        number = int(bucket.get("metageneration", 0)) + 1
        tag = base64.b64encode(str(number).encode()).decode()
        bucket |= {"metageneration": str(number), "etag": tag, "updated": self._cloud.now()}
        self._store.put("bucket", bucket["name"], bucket)
        return bucket
