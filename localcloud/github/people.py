"""What people may do: all in what is theirs, in others' repositories what they were granted, or read."""

from typing import TYPE_CHECKING

from localcloud.store import Store

if TYPE_CHECKING:
    from localcloud.github.repository import Repository

ROLES = ("none", "read", "triage", "write", "maintain", "admin")  # each may what those before it may
ASKED = {"pull": "read", "push": "write"}  # what calls name otherwise


def reaches(role: str, needed: str) -> bool:
    """Whether a role may what another one may."""
    return ROLES.index(role) >= ROLES.index(needed)


class People:
    """Records: "github-owner", who owns an organization; "github-collaborator", by repository."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def join(self, account: str, login: str) -> None:
        """Make a person an owner of an organization."""
        self._store.put("github-owner", f"{account}/{login}".lower(), {"login": login})

    def owns(self, account: str, login: str) -> bool:
        """Whether an account is the person's own, or an organization that the person owns."""
        key = f"{account}/{login}".lower()
        return account.lower() == login.lower() or self._store.get("github-owner", key) is not None

    def grant(self, where: "Repository", login: str, role: str) -> None:
        """Make a person a collaborator, or one with another role."""
        self._store.put("github-collaborator", _key(where, login), {"login": login, "role": role})

    def revoke(self, where: "Repository", login: str) -> None:
        """Make a person a stranger again."""
        self._store.delete("github-collaborator", _key(where, login))

    def granted(self, where: "Repository", login: str) -> str:
        """The role that a person has by name; "none": that of everybody."""
        if self.owns(where.owner, login):
            return "admin"
        found = self._store.get("github-collaborator", _key(where, login))
        return str(found["role"]) if found else "none"

    def role(self, where: "Repository", login: str) -> str:
        """What a person may do in a repository; a private one is not there for strangers."""
        named = self.granted(where, login)
        return "read" if named == "none" and not where.record["private"] else named

    def of(self, where: "Repository") -> dict[str, str]:
        """Everybody with a role by name, and the role."""
        owners = self._store.list("github-owner", f"{where.owner.lower()}/")
        granted = self._store.list("github-collaborator", f"{where.key}/")
        named = {record["login"]: str(record["role"]) for _, record in granted}
        person = [where.owner] if where.record.get("owner_type") == "User" else []
        return named | dict.fromkeys([*person, *(one["login"] for _, one in owners)], "admin")

    def association(self, where: "Repository", login: str) -> str:
        """What GitHub calls a person's standing in a repository; empty: a stranger's."""
        if where.owner.lower() == login.lower():
            return "OWNER"
        if self.owns(where.owner, login):
            return "MEMBER"
        return "" if self.granted(where, login) == "none" else "COLLABORATOR"


def _key(where: "Repository", login: str) -> str:
    return f"{where.key}/{login.lower()}"
