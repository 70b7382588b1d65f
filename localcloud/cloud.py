"""What every service shares: the store, the world's names, and who a caller is."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt

from localcloud.errors import ApiError
from localcloud.iam import Federated, Iam
from localcloud.store import Store

TOKEN_LIFE = 3600  # seconds, as Google's


@dataclass(frozen=True)
class World:
    """The names that a local cloud answers to."""

    project: str
    project_number: str
    region: str
    repository: str  # owner/name
    aws_region: str

    @property
    def owner(self) -> str:
        """The person at the keyboard, who owns everything."""
        return self.account("owner")

    def account(self, name: str) -> str:
        """A service account's address in this project."""
        return f"{name}@{self.project}.iam.gserviceaccount.com"


class Cloud:
    """One local cloud: `root` is its folder, `address` its proxy's host and port."""

    def __init__(self, root: Path, world: World, port: int = 0) -> None:
        self.root, self.world, self.port = root, world, port
        self.store = Store(root)
        self.iam = Iam(self.store, world)

    @property
    def packages(self) -> Path:
        """Beside its own folder: packages that images hold and its Python does not, SET/NAME/."""
        return self.root.parent / "packages"

    def now(self) -> str:
        """The time, as Google's REST services write it."""
        return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def label(self, caller: str, principal: str) -> str:
        """Let the proxy user `caller` act as `principal` at the metadata server."""
        self.store.put("caller", caller, {"principal": principal})
        return caller

    def principal_of_caller(self, caller: str) -> str | None:
        """Whom the metadata server takes this proxy user for."""
        found = self.store.get("caller", caller)
        return found["principal"] if found else None

    def issue_token(self, principal: str, seconds: int = TOKEN_LIFE) -> str:
        """A fresh Google access token."""
        token, ends = "ya29." + secrets.token_urlsafe(32), time.time() + seconds
        sets = {"sets": principal.sets} if isinstance(principal, Federated) else {}
        self.store.put("token", token, {"principal": principal, "expires": ends, **sets})
        return token

    def forget_account(self, account: str) -> None:
        """A service account is gone: its keys and its tokens end with it."""
        self.store.delete("account-key", account)
        for token, record in self.store.list("token"):
            if record["principal"] == account:
                self.store.delete("token", token)

    def principal(self, authorization: str) -> str:
        """The principal of an Authorization header. Raises UNAUTHENTICATED."""
        token = authorization.removeprefix("Bearer ").strip()
        found = self.store.get("token", token)
        if found and found["expires"] > time.time():
            principal = str(found["principal"])
            return Federated.of(principal, found["sets"]) if "sets" in found else principal
        if token.count(".") == 2 and (account := self._signer(token)):
            return account
        raise ApiError(
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token,"
            " login cookie or other valid authentication credential.",
        )

    def _signer(self, token: str) -> str | None:
        """The account of a JWT that a key file signed by itself: the SDKs spare the exchange."""
        try:
            account = str(jwt.decode(token, options={"verify_signature": False}).get("iss"))
            key = self.store.get("account-key", account)
            # Its audience is the host, or absent where scopes are given.
            return account if key and verified(token, key["public"]) else None
        except jwt.PyJWTError:
            return None


def verified(token: str, public: str, audience: str | None = None) -> dict[str, Any]:
    """The claims of a JWT that a key file signed for an hour at most. Raises PyJWTError."""
    options: Any = {"require": ["exp", "iat"], "verify_aud": audience is not None}
    claims = jwt.decode(token, public, ["RS256"], options, audience=audience)
    if int(claims["exp"]) - int(claims["iat"]) > TOKEN_LIFE:
        raise jwt.InvalidTokenError("Token must be a short-lived token (60 minutes)")
    return dict(claims)
