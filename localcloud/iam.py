"""Who may do what: IAM policies on resources; a grant on a resource holds for all that is below it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from localcloud import cel
from localcloud.errors import ApiError, error_info
from localcloud.roles import ROLES, grants
from localcloud.store import Store

Policy = dict[str, Any]
EMPTY: Policy = {"version": 1, "etag": "ACAB", "bindings": []}
EVERYONE = ("allUsers", "allAuthenticatedUsers")
MEMBER = re.compile(r"(user|serviceAccount):\S+")
POOL = r"//iam\.googleapis\.com/(projects/\d+/locations/global/workloadIdentityPools/[^/\s]+)"
FEDERATED = re.compile(
    rf"principal:{POOL}/subject/\S+|principalSet:{POOL}/(?:group/\S+|attribute\.\w+/\S+|\*)"
)
POOL_RECORD = "workload-identity-pool"  # the kind, in the store
NOT_SERVED = re.compile(r"(group|domain|project(Owner|Editor|Viewer)|deleted):\S+|principal(Set)?://\S+")
CONDITIONAL = 3  # the version of policies with conditions
PARTS = ("title", "description", "expression")  # of a condition
OTHER_FACTS = re.compile(r"\b(?:resource\.(?!name\b)|request\.|destination\.)\w+")


class Federated(str):
    """A principal from elsewhere, "principal://…/subject/…", with the sets that it is in."""

    sets: tuple[str, ...] = ()

    @property
    def pool(self) -> str:
        """The resource name of the pool that it comes by."""
        return self.removeprefix("principal://iam.googleapis.com/").partition("/subject/")[0]

    @classmethod
    def of(cls, principal: str, sets: Iterable[str]) -> "Federated":
        """The principal with its sets."""
        made = cls(principal)
        made.sets = tuple(sets)
        return made


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
        bindings = _merged(map(self._binding, policy.get("bindings", [])))
        if any("condition" in one for one in bindings) and policy.get("version") != CONDITIONAL:
            words = f"A policy with conditions must be of version {CONDITIONAL}."
            raise ApiError("INVALID_ARGUMENT", words)
        with self._store.transaction():
            before = self.policy(name)["etag"]
            if policy.get("etag") not in (None, "", before):
                words = "There were concurrent policy changes. Please retry the whole read-modify-write."
                raise ApiError("ABORTED", words)
            digest = hashlib.sha256(json.dumps([before, bindings]).encode()).digest()
            version = CONDITIONAL if any("condition" in one for one in bindings) else 1
            etag = base64.b64encode(digest[:9]).decode()
            made = {"version": version, "etag": etag, "bindings": bindings}
            self._store.put("iam-policy", self.resource(name), made)
        return made

    def forget(self, name: str) -> None:
        """A resource is gone: another one of its name starts without grants."""
        self._store.delete("iam-policy", self.resource(name))

    def allows(self, principal: str, permission: str, name: str, target: str = "") -> bool:
        """Whether a policy on the resource, or on one above it, grants the permission.

        `target` is what conditions know as the resource's name, where that is another one.
        """
        if principal == self._world.owner:
            return True
        members = {*self._members(principal), *EVERYONE}
        facts = {"resource": {"name": target or self.resource(name)}}
        return any(
            grants(one["role"], permission)
            and members & set(one["members"])
            and ("condition" not in one or cel.holds(one["condition"]["expression"], facts))
            for above in _upwards(self.resource(name))
            for one in self.policy(above)["bindings"]
        )

    def held(self, principal: str, permissions: Iterable[str], name: str) -> list[str]:
        """Those of the permissions that the principal has on the resource."""
        return [one for one in permissions if self.allows(principal, one, name)]

    def check(
        self, principal: str, permission: str, name: str, words: str = "", target: str = ""
    ) -> None:
        """Raises PERMISSION_DENIED with `words`, or in those of most services."""
        if not self.allows(principal, permission, name, target):
            words = (
                words or f"Permission '{permission}' denied on resource '{name}' (or it may not exist)."
            )
            detail = error_info(
                "IAM_PERMISSION_DENIED", "iam.googleapis.com", permission=permission, resource=name
            )
            raise ApiError("PERMISSION_DENIED", words, reason="forbidden", details=[detail])

    def _members(self, principal: str) -> tuple[str, ...]:
        """What bindings call a principal, and the sets that it is in, while its pool may be used."""
        if isinstance(principal, Federated):
            pool = self._store.get(POOL_RECORD, principal.pool) or {"disabled": True}
            used = pool.get("state") == "ACTIVE" and not pool.get("disabled")
            return (str(principal), *principal.sets) if used else ()
        kind = "serviceAccount" if principal.endswith("gserviceaccount.com") else "user"
        return (f"{kind}:{principal}",)

    def _binding(self, given: Mapping[str, Any]) -> Policy:
        """One binding. Raises INVALID_ARGUMENT for what is not served: better than no grant."""
        role, members = str(given.get("role", "")), [*map(str, given.get("members", []))]
        if role not in ROLES:
            raise ApiError("INVALID_ARGUMENT", f"Role {role} is not supported for this resource.")
        for member in members:
            self._check_member(member)
        condition = _condition(given.get("condition") or {})
        return {"role": role, "members": members, **condition}

    def _check_member(self, member: str) -> None:
        federated = FEDERATED.fullmatch(member)
        pool = federated and (federated[1] or federated[2])
        if pool and self._store.get(POOL_RECORD, pool) is None:
            raise ApiError("INVALID_ARGUMENT", f"Identity Pool does not exist ({pool}).")
        if not pool and NOT_SERVED.fullmatch(member):
            words = f"the local cloud does not serve members of this kind in IAM bindings: {member}"
            raise ApiError("INVALID_ARGUMENT", words)
        if not pool and member not in EVERYONE and not MEMBER.fullmatch(member):
            raise ApiError("INVALID_ARGUMENT", f"Invalid policy member: {member}")


def _upwards(name: str) -> Iterator[str]:
    """A resource and all above it: names are pairs of a collection and an id."""
    parts = name.split("/")
    for length in range(len(parts), 0, -2):
        yield "/".join(parts[:length])


def _merged(given: Iterable[Policy]) -> list[Policy]:
    """One binding for each role and condition, as policies are kept."""
    found: dict[str, Policy] = {}
    for one in given:
        key = json.dumps([one["role"], one.get("condition")])
        members = {*found.get(key, one)["members"], *one["members"]}
        found[key] = {**one, "members": sorted(members)}
    return list(found.values())


def _condition(given: Mapping[str, Any]) -> Policy:
    """A binding's condition, if it has one. Raises INVALID_ARGUMENT for what never holds."""
    if not given:
        return {}
    text = str(given.get("expression", ""))
    if not given.get("title"):
        raise ApiError("INVALID_ARGUMENT", "A condition must have a title.")
    if unknown := OTHER_FACTS.search(text):
        words = f"the local cloud does not serve {unknown[0]} in conditions of IAM bindings"
        raise ApiError("INVALID_ARGUMENT", words)
    try:
        cel.check(text)
    except cel.CelError as error:
        raise ApiError("INVALID_ARGUMENT", f"The condition '{text}' is invalid: {error}") from None
    return {"condition": {key: str(given[key]) for key in PARTS if given.get(key)}}
