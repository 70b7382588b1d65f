"""Cloud Storage's calls of buckets."""

from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.storage_conditions import Conditions
from localcloud.storage_grants import Grants
from localcloud.storage_list import page
from localcloud.storage_objects import Objects


class BucketCalls:
    """Each call from its request to its answer; the caller may do it already."""

    def __init__(self, objects: Objects, grants: Grants) -> None:
        self._objects, self._buckets, self._grants = objects, objects.buckets, grants

    def create(self, request: Request) -> Response:
        """buckets.insert"""
        return Response(self._buckets.create(request.json()))

    def list(self, request: Request) -> Response:
        """buckets.list"""
        query = request.query
        _refuse_deleted(request)
        found, _, token = page(self._buckets.list(query.get("prefix", "")), query)
        body = {"kind": "storage#buckets", "items": found}
        return Response(body | ({"nextPageToken": token} if token else {}))

    def get(self, request: Request) -> Response:
        """buckets.get"""
        _refuse_deleted(request)
        found = self._buckets.get(request.params["bucket"])
        Conditions.of(request.query).check(found)
        return Response(found)

    def patch(self, request: Request) -> Response:
        """buckets.patch and buckets.update; after the latter no other label is there"""
        name, changes = request.params["bucket"], request.json()
        if request.method == "PUT":
            before = self._buckets.get(name).get("labels", {})
            changes |= {"labels": dict.fromkeys(before) | (changes.get("labels") or {})}
        conditions = Conditions.of(request.query)
        return Response(self._objects.change_bucket(name, changes, conditions))

    def lock(self, request: Request) -> Response:
        """buckets.lockRetentionPolicy"""
        return Response(self._buckets.lock(request.params["bucket"], Conditions.of(request.query)))

    def delete(self, request: Request) -> Response:
        """buckets.delete"""
        name = request.params["bucket"]
        Conditions.of(request.query).check(self._buckets.get(name))
        self._objects.delete_bucket(name)
        self._grants.forget(name)
        return Response(status=204)

    def get_policy(self, request: Request) -> Response:
        """buckets.getIamPolicy"""
        return Response(self._grants.policy(request.params["bucket"]))

    def set_policy(self, request: Request) -> Response:
        """buckets.setIamPolicy"""
        return Response(self._grants.set_policy(request.params["bucket"], request.json()))

    def test_permissions(self, request: Request) -> Response:
        """buckets.testIamPermissions"""
        caller, bucket = self._grants.caller(request), request.params["bucket"]
        held = self._grants.held(caller, request.query, bucket)
        return Response({"kind": "storage#testIamPermissionsResponse", "permissions": held})


def _refuse_deleted(request: Request) -> None:
    """Raises UNIMPLEMENTED: buckets are deleted for good."""
    if request.query.get("softDeleted", "").lower() == "true":
        words = "the local cloud does not serve softDeleted of Cloud Storage's buckets"
        raise ApiError("UNIMPLEMENTED", words, reason="notImplemented")
