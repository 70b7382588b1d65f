"""iam.googleapis.com: workload identity pools and their OpenID Connect providers."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.iam import POOL_RECORD
from localcloud.paging import page
from localcloud.workload_providers import checked

POOLS = "/v1/projects/{project}/locations/{location}/workloadIdentityPools"
POOL = f"{POOLS}/{{pool}}"
PROVIDERS = f"{POOL}/providers"
PROVIDER = f"{PROVIDERS}/{{provider}}"
ID = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")
LIMITS = {"displayName": 32, "description": 256}  # characters
GONE = timedelta(days=30)  # how long what is deleted can be brought back, and its id is taken
PAGE = 50

Record = dict[str, Any]
Call = Callable[[Request, str], Response]
Row = tuple[str, str, str, Call]


class Kind(NamedTuple):
    """What pools and providers differ in."""

    record: str  # in the store
    message: str  # Google's name of the type
    plural: str  # of the field of a list
    id_field: str  # of the query that makes one
    fields: tuple[str, ...]  # that may be changed


POOL_KIND = Kind(
    POOL_RECORD,
    "WorkloadIdentityPool",
    "workloadIdentityPools",
    "workloadIdentityPoolId",
    ("displayName", "description", "disabled"),
)
PROVIDER_KIND = Kind(
    "workload-identity-provider",
    "WorkloadIdentityPoolProvider",
    "workloadIdentityPoolProviders",
    "workloadIdentityPoolProviderId",
    (*POOL_KIND.fields, "attributeMapping", "attributeCondition", "oidc"),
)


class Collection:
    """Pools, or the providers in them. Records: the kind's by resource name, with the project's number.

    Every change is done at once; the operation that it answers with is done when it is looked at.
    """

    def __init__(self, cloud: Cloud, kind: Kind) -> None:
        self._cloud, self._store, self._kind = cloud, cloud.store, kind

    def table(self, below: str, one: str, of: str) -> list[Row]:
        """The calls at a collection and at one of it; `of` begins the names of their permissions."""
        return [
            ("POST", below, f"{of}.create", self.create),
            ("GET", below, f"{of}.list", self.list),
            ("GET", one, f"{of}.get", self.get),
            ("PATCH", one, f"{of}.update", self.patch),
            ("DELETE", one, f"{of}.delete", self.delete),
            ("POST", f"{one}:undelete", f"{of}.undelete", self.undelete),
            ("GET", f"{one}/operations/{{operation}}", f"{of}.get", self.operation),
        ]

    def create(self, request: Request, _: str) -> Response:
        """create: an id that was used in the last 30 days is taken."""
        wanted, name = request.query.get(self._kind.id_field, ""), self._name(request)
        if not ID.fullmatch(wanted):
            words = f"{self._kind.id_field} must match {ID.pattern}: '{wanted}'."
            raise ApiError("INVALID_ARGUMENT", words)
        with self._store.transaction():
            self._check_parent(name)
            if self._store.get(self._kind.record, f"{name}/{wanted}"):
                raise ApiError("ALREADY_EXISTS", "Requested entity already exists")
            made = {"name": f"{name}/{wanted}", "state": "ACTIVE", **self._body(request)}
            return self._saved(made)

    def list(self, request: Request, _: str) -> Response:
        """list: what is deleted only where it is asked for."""
        prefix, query = self._name(request) + "/", request.query
        with_deleted = query.get("showDeleted") == "true"
        rows = [
            row
            for key, row in self._store.list(self._kind.record, prefix)
            if "/" not in key[len(prefix) :]
        ]
        shown = [row for row in rows if with_deleted or row["state"] == "ACTIVE"]
        size, token = int(query.get("pageSize", 0)), query.get("pageToken", "")
        named = [SimpleNamespace(name=row["name"], row=row) for row in shown]
        some, following = page(named, size, token, (PAGE, prefix + str(with_deleted)))
        found = {self._kind.plural: [one.row for one in some]} if some else {}
        return Response(found | ({"nextPageToken": following} if following else {}))

    def get(self, request: Request, _: str) -> Response:
        """get"""
        return Response(self._found(self._name(request)))

    def patch(self, request: Request, _: str) -> Response:
        """patch: the fields that the mask names; one that the body lacks is cleared."""
        with self._store.transaction():
            before, body = self._found(self._name(request)), request.json()
            mask = [one for one in request.query.get("updateMask", "").split(",") if one]
            if not mask:
                raise ApiError("INVALID_ARGUMENT", "The update mask must name a field.")
            after = dict(before)
            for path in mask:
                self._change(after, body, path)
            fields = {key: value for key, value in after.items() if key in self._kind.fields}
            self._check_active(before)
            return self._saved({"name": before["name"], "state": "ACTIVE", **self._checked(fields)})

    def delete(self, request: Request, _: str) -> Response:
        """delete: it can be brought back for 30 days."""
        with self._store.transaction():
            found = self._found(self._name(request))
            self._check_active(found)
            ends = f"{datetime.now(UTC) + GONE:%Y-%m-%dT%H:%M:%SZ}"
            return self._saved({**found, "state": "DELETED", "expireTime": ends})

    def undelete(self, request: Request, _: str) -> Response:
        """undelete"""
        with self._store.transaction():
            found = self._found(self._name(request))
            if found["state"] == "ACTIVE":
                raise ApiError("FAILED_PRECONDITION", f"{found['name']} is not deleted.")
            found.pop("expireTime")
            return self._saved({**found, "state": "ACTIVE"})

    def operation(self, request: Request, _: str) -> Response:
        """operations.get"""
        name = f"{self._name(request)}/operations/{request.params['operation']}"
        found = self._store.get("workload-identity-operation", name)
        if found is None:
            raise ApiError("NOT_FOUND", "Requested entity was not found.")
        return Response({"name": name, "done": True, "response": found})

    def _name(self, request: Request) -> str:
        """The resource that is named. Raises PERMISSION_DENIED for another project, or NOT_FOUND."""
        names, world = request.params, self._cloud.world
        if names["project"] not in (world.project, world.project_number):
            raise ApiError(
                "PERMISSION_DENIED", f"The caller does not have permission on {names['project']}"
            )
        if names["location"] != "global":
            raise ApiError(
                "NOT_FOUND", f"Location {names['location']} is not found: pools are in global."
            )
        place = f"projects/{world.project_number}/locations/global/workloadIdentityPools"
        place += f"/{names['pool']}" if "pool" in names else ""
        if self._kind is PROVIDER_KIND:
            place += "/providers" + (f"/{names['provider']}" if "provider" in names else "")
        return place

    def _check_parent(self, name: str) -> None:
        """Raises NOT_FOUND where a provider's pool is not there."""
        pool = name.removesuffix("/providers")
        if self._kind is PROVIDER_KIND and not is_active(self._store.get(POOL_KIND.record, pool)):
            raise ApiError("NOT_FOUND", f"Identity Pool does not exist ({pool}).")

    def _found(self, name: str) -> Record:
        found = self._store.get(self._kind.record, name)
        if found is None:
            raise ApiError("NOT_FOUND", "Requested entity was not found.")
        return found

    def _check_active(self, found: Record) -> None:
        if found["state"] != "ACTIVE":
            raise ApiError("FAILED_PRECONDITION", f"{found['name']} is deleted.")

    def _body(self, request: Request) -> Record:
        body = request.json()
        if unserved := sorted(set(body) - {*self._kind.fields, "name", "state"}):
            words = f"the local cloud does not serve {unserved[0]} of {self._kind.message}"
            raise ApiError("UNIMPLEMENTED", words)
        return self._checked({key: body[key] for key in self._kind.fields if key in body})

    def _checked(self, fields: Record) -> Record:
        for key, limit in LIMITS.items():
            if len(fields.get(key, "")) > limit:
                words = f"{key} must be less than or equal to {limit} characters."
                raise ApiError("INVALID_ARGUMENT", words)
        return checked(fields) if self._kind is PROVIDER_KIND else fields

    def _change(self, record: Record, body: Mapping[str, Any], path: str) -> None:
        """Take one field of the body, or one below it (oidc.allowedAudiences)."""
        name, _, below = path.partition(".")
        if name not in self._kind.fields or (below and name != "oidc"):
            words = f"Invalid update mask: the local cloud does not change {path}."
            raise ApiError("INVALID_ARGUMENT", words)
        source, target = (body.get(name) or {}, dict(record.get(name, {}))) if below else (body, record)
        key = below or name
        target.pop(key, None)
        if key in source:
            target[key] = source[key]
        if below:
            record[name] = target

    def _saved(self, record: Record) -> Response:
        """The record, kept, as the operation that did it."""
        self._store.put(self._kind.record, record["name"], record)
        name = f"{record['name']}/operations/op{self._store.next_number('workload-identity')}"
        response = {"@type": f"type.googleapis.com/google.iam.v1.{self._kind.message}", **record}
        self._store.put("workload-identity-operation", name, response)
        return Response({"name": name})


def is_active(record: Record | None) -> bool:
    """Whether a pool or a provider is there and may be used."""
    return record is not None and record["state"] == "ACTIVE" and not record.get("disabled")
