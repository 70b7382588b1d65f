"""Objects made of objects: copies, rewrites and compositions."""

from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.storage_conditions import Conditions
from localcloud.storage_grants import Grants
from localcloud.storage_objects import CONTENT, Objects, Resource, missing, public


class Copies:
    """The caller may read the sources already; writing the target is checked here."""

    def __init__(self, objects: Objects, grants: Grants) -> None:
        self._objects, self._grants = objects, grants

    def compose(self, request: Request) -> Response:
        """objects.compose: up to 32 objects, end to end; the result has no MD5."""
        body, bucket = request.json(), request.params["bucket"]
        if not 0 < len(body["sourceObjects"]) <= 32:
            words = "The number of source components provided must be from 1 to 32."
            raise ApiError("INVALID_ARGUMENT", words, reason="invalid")
        caller = self._grants.caller(request)
        self._grants.check_write(caller, bucket, request.params["name"])
        for source in body["sourceObjects"]:
            self._grants.check(caller, "storage.objects.get", bucket, source["name"])
        parts = [self._source(bucket, source) for source in body["sourceObjects"]]
        data = b"".join(self._objects.data(part) for part in parts)
        head = body.get("destination") or {}
        wanted = {**head, "bucket": bucket, "name": request.params["name"]}
        count = sum(int(part.get("componentCount", 1)) for part in parts)
        content = self._objects.content(data) | {"md5Hash": None, "componentCount": count}
        content |= {"contentType": head.get("contentType")}  # no type where none is given
        return Response(public(self._objects.save(wanted, content, Conditions.of(request.query))))

    def copy(self, request: Request) -> Response:
        """objects.copy"""
        return Response(public(self._copied(request)))

    def rewrite(self, request: Request) -> Response:
        """objects.rewrite, always done in one call"""
        made = public(self._copied(request))
        sizes = {"totalBytesRewritten": made["size"], "objectSize": made["size"]}
        return Response({"kind": "storage#rewriteResponse", "done": True, "resource": made, **sizes})

    def move(self, request: Request) -> Response:
        """objects.move: another name within the bucket, in one step"""
        params, query = request.params, request.query
        target = {"bucket": params["bucket"], "name": params["target"]}
        self._grants.check_write(self._grants.caller(request), *target.values())
        with self._objects.transaction():
            found = self._objects.find(params["bucket"], params["name"])
            Conditions.of(query, source=True).check(found)
            if found is None:
                raise missing(params["bucket"], params["name"])
            content = {key: found[key] for key in CONTENT if key in found}
            made = self._objects.save({**found, **target}, content, Conditions.of(query))
            self._objects.delete(found)
        return Response(public(made))

    def restore(self, request: Request) -> Response:
        """objects.restore: a generation that is deleted, but not yet for good"""
        bucket, name, query = request.params["bucket"], request.params["name"], request.query
        self._grants.check_write(self._grants.caller(request), bucket, name)
        found = self._objects.deleted(bucket, name, query.get("generation", ""))
        if found is None:
            raise missing(bucket, name)
        return Response(public(self._objects.restore(found, Conditions.of(query))))

    def _source(self, bucket: str, source: Resource) -> Resource:
        found = self._objects.find(bucket, source["name"], str(source.get("generation") or ""))
        Conditions.of(source.get("objectPreconditions", {})).check(found)
        if found is None:
            raise missing(bucket, source["name"])
        return found

    def _copied(self, request: Request) -> Resource:
        params, query = request.params, request.query
        self._grants.check_write(self._grants.caller(request), params["to"], params["target"])
        found = self._objects.find(params["bucket"], params["name"], query.get("sourceGeneration", ""))
        Conditions.of(query, source=True).check(found)
        if found is None:
            raise missing(params["bucket"], params["name"])
        wanted = {**found, **request.json(), "bucket": params["to"], "name": params["target"]}
        content = {key: found[key] for key in CONTENT if key in found}
        return self._objects.save(wanted, content, Conditions.of(query))
