"""Who may do what: IAM policies on resources; a grant on a resource holds for all that is below it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from localcloud.errors import ApiError, error_info
from localcloud.roles import ROLES, grants
from localcloud.store import Store

Policy = dict[str, Any]
EMPTY: Policy = {"version": 1, "etag": "ACAB", "bindings": []}
EVERYONE = ("allUsers", "allAuthenticatedUsers")
MEMBER = re.compile(r"(user|serviceAccount):\S+")
NOT_SERVED = re.compile(r"(group|domain|project(Owner|Editor|Viewer)|deleted):\S+|principal(Set)?://\S+")


class Names(Protocol):
    """The names of a world, as far as they matter here."""

    @property
    def project(self) -> str: ...

    @property
    def project_number(self) -> str: ...

    @property
    def owner(self) -> str: ...


class Iam:
    """Records: kind "iam-policy" by resource, for example "projects/NUMBER/secrets/NAME"."""

    def __init__(self, store: Store, world: Names) -> None:
        self._store, self._world = store, world

    @property
    def project(self) -> str:
        """The one project's resource name, by number."""
        return f"projects/{self._world.project_number}"

    def resource(self, name: str) -> str:
        """A resource's name with the project by number: "projects/-" is the one project, too."""
        for project in (self._world.project, "-"):
            if name == f"projects/{project}" or name.startswith(f"projects/{project}/"):
                return self.project + name.removeprefix(f"projects/{project}")
        return name

    def policy(self, name: str) -> Policy:
        """A resource's own policy; empty until one is set, but for a project's."""
        return self._store.get("iam-policy", self.resource(name)) or self._first(self.resource(name))

    def _first(self, name: str) -> Policy:
        """As a new project comes: an owner, and the account of machines that are given none."""
        if name != self.project:
            return dict(EMPTY)
        machines = f"serviceAccount:{self._world.project_number}-compute@developer.gserviceaccount.com"
        owner = f"serviceAccount:{self._world.owner}"
        first = (("roles/owner", owner), ("roles/editor", machines))
        return {**EMPTY, "bindings": [{"role": role, "members": [who]} for role, who in first]}

    def set(self, name: str, policy: Mapping[str, Any]) -> Policy:
        """Replace a policy. Raises ABORTED where another change came between (the etag says so)."""
        bindings = _merged(policy.get("bindings", []))
        with self._store.transaction():
            before = self.policy(name)["etag"]
            if policy.get("etag") not in (None, "", before):
                words = "There were concurrent policy changes. Please retry the whole read-modify-write."
                raise ApiError("ABORTED", words)
            digest = hashlib.sha256(json.dumps([before, bindings]).encode()).digest()
            made = {"version": 1, "etag": base64.b64encode(digest[:9]).decode(), "bindings": bindings}
            self._store.put("iam-policy", self.resource(name), made)
        return made

    def forget(self, name: str) -> None:
        """A resource is gone: another one of its name starts without grants."""
        self._store.delete("iam-policy", self.resource(name))

    def allows(self, principal: str, permission: str, name: str) -> bool:
        """Whether a policy on the resource, or on one above it, grants the permission."""
        if principal == self._world.owner:
            return True
        member = (
            f"{'serviceAccount' if principal.endswith('gserviceaccount.com') else 'user'}:{principal}"
        )
        return any(
            grants(binding["role"], permission) and {member, *EVERYONE} & set(binding["members"])
            for above in _upwards(self.resource(name))
            for binding in self.policy(above)["bindings"]
        )

    def held(self, principal: str, permissions: Iterable[str], name: str) -> list[str]:
        """Those of the permissions that the principal has on the resource."""
        return [one for one in permissions if self.allows(principal, one, name)]

    def check(self, principal: str, permission: str, name: str, words: str = "") -> None:
        """Raises PERMISSION_DENIED with `words`, or in those of most services."""
        if not self.allows(principal, permission, name):
            words = (
                words or f"Permission '{permission}' denied on resource '{name}' (or it may not exist)."
            )
            detail = error_info(
                "IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission, resource=name
            )
            raise ApiError("PERMISSION_DENIED", words, reason="forbidden", details=[detail])


def _upwards(name: str) -> Iterator[str]:
    """A resource and all above it: names are pairs of a collection and an id."""
    parts = name.split("/")
    for length in range(len(parts), 0, -2):
        yield "/".join(parts[:length])


def _merged(given: Iterable[Mapping[str, Any]]) -> list[Policy]:
    """One binding a role, as policies are kept."""
    members: dict[str, set[str]] = {}
    for one in map(_binding, given):
        members.setdefault(one["role"], set()).update(one["members"])
    return [{"role": role, "members": sorted(some)} for role, some in members.items()]


def _binding(given: Mapping[str, Any]) -> Policy:
    """One binding. Raises INVALID_ARGUMENT for what is not served: better than a grant that is none."""
    role, members = str(given.get("role", "")), [*map(str, given.get("members", []))]
    if role not in ROLES:
        raise ApiError("INVALID_ARGUMENT", f"Role {role} is not supported for this resource.")
    if given.get("condition"):
        raise ApiError("INVALID_ARGUMENT", "the local cloud does not serve conditions of IAM bindings")
    for member in members:
        if NOT_SERVED.fullmatch(member):
            words = f"the local cloud does not serve members of this kind in IAM bindings: {member}"
            raise ApiError("INVALID_ARGUMENT", words)
        if member not in EVERYONE and not MEMBER.fullmatch(member):
            raise ApiError("INVALID_ARGUMENT", f"Invalid policy member: {member}")
    return {"role": role, "members": members}
