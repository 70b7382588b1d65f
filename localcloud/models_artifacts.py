"""A model version's artifacts: copied to a bucket that Google manages, from which servers read them."""

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.storage_buckets import Buckets
from localcloud.storage_conditions import Conditions
from localcloud.storage_objects import CONTENT, Objects

TENANT = "999999999999"  # the number of Google's own project, in which no one else has a grant
VIEWER = "roles/storage.objectViewer"
ADDRESS = "gs://"


class Artifacts:
    """The managed bucket of one local cloud; what is in it does not change with the source."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._objects, self._buckets = cloud, Objects(cloud), Buckets(cloud)
        world = cloud.world
        self.bucket = f"caip-tenant-{world.project_number}-{world.region}"
        # Whom a server runs as where its deployment names nobody: an account without any grant.
        self.account = f"custom-online-prediction@{self.bucket}.iam.gserviceaccount.com"

    def copy(self, source: str, place: str) -> str:
        """Copy what is below `source` (gs://…) to `place`; returns the copy's address.

        Raises FAILED_PRECONDITION where nothing is there.
        """
        bucket, _, name = source.removeprefix(ADDRESS).rstrip("/").partition("/")
        prefix = f"{name}/" if name else ""
        found = self._objects.list(bucket, prefix) if self._cloud.store.get("bucket", bucket) else []
        if not found:
            words = f'There are no files under "{source}" to copy.'
            raise ApiError("FAILED_PRECONDITION", words)
        with self._cloud.store.transaction():
            self._ensure()
            for one in found:
                wanted = {"bucket": self.bucket, "name": f"{place}/{one['name'][len(prefix) :]}"}
                content = {key: one[key] for key in CONTENT if key in one}
                self._objects.save(wanted, content, Conditions())
        return self.address(place)

    def address(self, place: str) -> str:
        """Where a copy is."""
        return f"{ADDRESS}{self.bucket}/{place}"

    def forget(self, place: str) -> None:
        """Remove a copy."""
        if self._cloud.store.get("bucket", self.bucket):
            for one in self._objects.list(self.bucket, f"{place}/"):
                self._objects.delete(one, for_good=True)

    def let(self, account: str) -> None:
        """Let an account read the copies, as Vertex AI lets that of a deployment."""
        with self._cloud.store.transaction():
            self._ensure()
            policy = self._cloud.iam.policy(self._resource)
            binding = {"role": VIEWER, "members": [f"serviceAccount:{account}"]}
            self._cloud.iam.set(self._resource, {"bindings": [*policy["bindings"], binding]})

    @property
    def _resource(self) -> str:
        return f"projects/{TENANT}/buckets/{self.bucket}"

    def _ensure(self) -> None:
        if self._cloud.store.get("bucket", self.bucket) is None:
            soft = {"retentionDurationSeconds": "0"}
            wanted = {"name": self.bucket, "softDeletePolicy": soft}
            self._buckets.create(wanted | {"location": self._cloud.world.region}, TENANT)
            self.let(self.account)


def place(model: str, version: int) -> str:
    """Where a version's artifacts are in the managed bucket."""
    return f"{model.rsplit('/', 1)[1]}/{version}/artifacts"
