"""Who calls: people and Apps' installations by their tokens, and what each may do."""

import hashlib
import secrets
import time
import zlib
from base64 import b64decode
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localcloud.github.errors import GitHubError
from localcloud.store import Store

LEVELS = {"read": 1, "write": 2, "admin": 3}
LIFE = 3600  # seconds, as GitHub's
GHOST = "ghost"

ACTOR: ContextVar[str] = ContextVar("actor", default=GHOST)  # whose call this thread answers


def account_id(login: str) -> int:
    """The number of an account; the same for a name in every local cloud."""
    return 10_000 + zlib.crc32(login.lower().encode()) % 200_000_000


def noreply(login: str) -> str:
    """The mail address under which GitHub commits for an account."""
    return f"{account_id(login)}+{login}@users.noreply.github.com"


@dataclass(frozen=True)
class Identity:
    """An authenticated caller; `permissions` and `repositories` are None for a person."""

    login: str
    permissions: Mapping[str, str] | None = None
    repositories: tuple[str, ...] | None = None
    app: str = ""

    def may(self, needed: str) -> bool:
        """Whether `permission:level` (or one of several, parted by `|`) is granted."""
        if self.permissions is None:
            return True
        return any(self._has(*one.split(":")) for one in needed.split("|"))

    def _has(self, permission: str, level: str = "read") -> bool:
        granted = (self.permissions or {}).get(permission, "")
        return LEVELS.get(granted, 0) >= LEVELS[level]

    def sees(self, repository: str) -> bool:
        """Whether the repository (owner/name) is there at all for this caller."""
        return self.repositories is None or repository.lower() in self.repositories


class Tokens:
    """Issues tokens and finds whose a token is; only hashes are kept."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def person(self, login: str) -> str:
        """A personal access token: it may do everything and does not expire."""
        return self._issue("ghp_", {"login": login})

    def installation(
        self, app: str, permissions: Mapping[str, str], repositories: list[str], run: int = 0
    ) -> str:
        """An installation's token for these repositories: an hour's, or as long as a run's jobs."""
        names = [name.lower() for name in repositories]
        record = {"login": f"{app}[bot]", "app": app, "permissions": dict(permissions)}
        end = {"run": run} if run else {"expires": time.time() + LIFE}
        return self._issue("ghs_", {**record, "repositories": names, **end})

    def revoke(self, authorization: str) -> None:
        """End a token before its time."""
        self.store.delete("github-token", _hash(secret_of(authorization)))

    def revoke_of(self, run: int) -> None:
        """End the tokens of a run's jobs."""
        for key, record in self.store.list("github-token"):
            if record.get("run") == run:
                self.store.delete("github-token", key)

    def _issue(self, prefix: str, record: dict[str, Any]) -> str:
        token = prefix + secrets.token_urlsafe(27).replace("-", "A").replace("_", "B")
        self.store.put("github-token", _hash(token), record)
        return token

    def identify(self, authorization: str) -> Identity:
        """Whose Authorization header this is. Raises GitHubError (401)."""
        if not authorization:
            raise GitHubError(401, "Requires authentication")
        found = self.store.get("github-token", _hash(secret_of(authorization)))
        if found is None or found.get("expires", time.time() + 1) < time.time():
            raise GitHubError(401, "Bad credentials")
        names = found.get("repositories")
        where = None if names is None else tuple(names)
        return Identity(found["login"], found.get("permissions"), where, found.get("app", ""))


def expiry() -> str:
    """When a token that is issued now ends, as GitHub writes it."""
    return datetime.fromtimestamp(time.time() + LIFE, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def secret_of(authorization: str) -> str:
    """The token in a Bearer, token or Basic header (there: the password)."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return value.strip()
    try:
        user, _, password = b64decode(value).decode().partition(":")
    except ValueError:
        return ""
    return user if password in ("", "x-oauth-basic") else password


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
