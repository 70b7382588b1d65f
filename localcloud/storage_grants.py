"""What a caller may do with buckets and objects, and how Cloud Storage says no."""

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Query, Request
from localcloud.storage_objects import Objects, Resource
from localcloud.storage_signed import SIGNATURES, signer

OF_PROJECT = ("storage.buckets.create", "storage.buckets.list")

# Fields of queries, and of objects, that mean access control lists, keys or retention of their own.
NOT_SERVED = (
    *("predefinedAcl", "predefinedDefaultObjectAcl", "destinationPredefinedAcl"),
    *("kmsKeyName", "destinationKmsKeyName", "enableObjectRetention", "overrideUnlockedRetention"),
)
OF_OBJECT = ("acl", "kmsKeyName", "retention", "contexts")


class Grants:
    """Checks a caller's permissions on buckets; objects have no policies of their own."""

    def __init__(self, cloud: Cloud, objects: Objects) -> None:
        self._cloud, self._objects = cloud, objects

    def caller(self, request: Request) -> str:
        """The principal of a call: its token's, or who signed its address. Raises UNAUTHENTICATED."""
        if any(name in request.query for name in SIGNATURES):
            signed = signer(self._cloud.store, request)
            if signed:
                return signed
        return self._cloud.principal(request.headers.get("authorization", ""))

    def check(self, principal: str, permission: str, bucket: str, name: str = "") -> None:
        """Raises PERMISSION_DENIED. Conditions know the bucket, or the object `name` in it."""
        below = "" if permission in OF_PROJECT else f"/buckets/{bucket}"
        target = f"projects/_{below}" + (f"/objects/{name}" if name else "")
        words = (
            f"{principal} does not have {permission} access to the {_noun(permission)}."
            f" Permission '{permission}' denied on resource (or it may not exist)."
        )
        resource = self._name(bucket) if below else self._cloud.iam.project
        self._cloud.iam.check(principal, permission, resource, words, target)

    def check_write(self, principal: str, bucket: str, name: str) -> None:
        """Making an object; where there is one already, it is deleted by that."""
        self.check(principal, "storage.objects.create", bucket, name)
        if self._cloud.store.get("object", f"{bucket}/{name}"):
            self.check(principal, "storage.objects.delete", bucket, name)

    # -------------------------------------------------------------- a bucket's policy

    def policy(self, bucket: str) -> Resource:
        """The bucket's policy as the JSON API shows it."""
        self._objects.buckets.get(bucket)
        found = self._cloud.iam.policy(self._name(bucket))
        return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket}", **found}

    def set_policy(self, bucket: str, policy: Resource) -> Resource:
        """Replace it. Raises conditionNotMet where its etag is not today's."""
        self._objects.buckets.get(bucket)
        try:
            self._cloud.iam.set(self._name(bucket), policy)
        except ApiError as error:
            if error.code != "ABORTED":
                raise
            words = "At least one of the pre-conditions you specified did not hold."
            raise ApiError("ABORTED", words, status=412, reason="conditionNotMet") from None
        return self.policy(bucket)

    def held(self, principal: str, query: Query, bucket: str) -> list[str]:
        """Those of the query's permissions that the caller has."""
        self._objects.buckets.get(bucket)
        return self._cloud.iam.held(principal, query.all("permissions"), self._name(bucket))

    def forget(self, bucket: str) -> None:
        """The bucket is gone."""
        self._cloud.iam.forget(self._name(bucket))

    def _name(self, bucket: str) -> str:
        return f"projects/{self._objects.buckets.project(bucket)}/buckets/{bucket}"


def _noun(permission: str) -> str:
    if permission in OF_PROJECT:
        return "Google Cloud project"
    of_object = permission.startswith("storage.objects.") and permission != "storage.objects.list"
    return f"Google Cloud Storage {'object' if of_object else 'bucket'}"


def refuse_unserved(request: Request) -> None:
    """Raises UNIMPLEMENTED for what would change an object and is not done here."""
    asked = [name for name in request.headers if name.startswith("x-goog-encryption-")]
    asked += [name for name in NOT_SERVED if name in request.query]
    _refuse(asked)


def refuse_fields(wanted: Resource) -> None:
    """Raises UNIMPLEMENTED for fields of an object that would have no effect."""
    _refuse([name for name in OF_OBJECT if wanted.get(name)])


def _refuse(asked: list[str]) -> None:
    if asked:
        words = f"the local cloud does not serve {', '.join(asked)} of Cloud Storage"
        raise ApiError("UNIMPLEMENTED", words, reason="notImplemented")
