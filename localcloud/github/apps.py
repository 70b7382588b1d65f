"""GitHub Apps: registered in-process, known by their public keys, installed on one account."""

import time
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.github import shapes
from localcloud.github.call import API, Call, page
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.identity import LEVELS, Tokens, account_id, expiry, secret_of
from localcloud.github.repository import Repositories, Repository, timestamp
from localcloud.github.shapes import WEB, account, node_id
from localcloud.http import Request, Response
from localcloud.store import Store

AHEAD = 600  # seconds that a JWT may live, as GitHub's
App = dict[str, Any]

NOT_DECODED = "A JSON web token could not be decoded"
TOO_FAR = "'Expiration time' claim ('exp') is too far in the future"
EXPIRED = (
    "'Expiration time' claim ('exp') must be a numeric value representing the future time"
    " at which the assertion expires"
)
NOT_ISSUED = (
    "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
)
TOO_MUCH = "The permissions requested are not granted to this installation."
ELSEWHERE = (
    "There is at least one repository that does not exist or is not accessible"
    " to the parent installation."
)


class Registry:
    """The Apps. Registering is no call of GitHub's: the command line does it."""

    def __init__(self, store: Store, repository: str) -> None:
        self.store, self.repository = store, repository

    def register(self, name: str, permissions: Mapping[str, str]) -> dict[str, Any]:
        """An App installed on the world's repository; again: with a new key. Returns its secret."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        known = self.store.get("github-app", name)
        number = known["id"] if known else 100_000 + self.store.next_number("github-app")
        record = {
            "id": number,
            "slug": name,
            "installation": known["installation"] if known else 50_000_000 + number,
            "permissions": {"metadata": "read", **permissions},
            "repositories": [self.repository],
            "created_at": known["created_at"] if known else timestamp(),
            "public_key": _pem(key),
        }
        self.store.put("github-app", name, record)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        names = {"app_id": number, "installation_id": record["installation"]}
        return {**names, "private_key": secret.decode()}

    def all(self) -> list[App]:
        """Every App."""
        return [record for _, record in self.store.list("github-app")]

    def authenticate(self, request: Request) -> App:
        """The App whose JWT the request carries. Raises GitHubError."""
        token = secret_of(request.headers.get("authorization", ""))
        try:
            issuer = str(jwt.decode(token, options={"verify_signature": False}).get("iss"))
        except jwt.PyJWTError:
            raise GitHubError(401, NOT_DECODED) from None
        app = next((one for one in self.all() if issuer in (str(one["id"]), client_id(one))), None)
        if app is None:
            raise GitHubError(404, "Integration not found")
        _check(token, app["public_key"])
        return app


def _pem(key: rsa.RSAPrivateKey) -> str:
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, public).decode()


def client_id(app: App) -> str:
    """The App's other name, which may issue JWTs too."""
    return f"Iv23li{app['id']:014d}"


def _check(token: str, public_key: str) -> None:
    try:
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        claims = jwt.decode(token, public_key, algorithms=["RS256"], options=options)
    except jwt.PyJWTError:
        raise GitHubError(401, NOT_DECODED) from None
    now, issued, ends = time.time(), claims.get("iat"), claims.get("exp")
    if not isinstance(ends, int | float) or ends <= now:
        raise GitHubError(401, EXPIRED)
    if ends > now + AHEAD:
        raise GitHubError(401, TOO_FAR)
    if not isinstance(issued, int | float) or issued > now:
        raise GitHubError(401, NOT_ISSUED)


class Apps:
    """The calls below /app, /installation and /repos/…/installation."""

    def __init__(self, registry: Registry, repositories: Repositories, tokens: Tokens) -> None:
        self.registry, self.repositories, self.tokens = registry, repositories, tokens

    def app(self, call: Call) -> Response:
        """GET the App itself."""
        return Response(_show_app(self.registry.authenticate(call.request)))

    def installations(self, call: Call) -> Response:
        """GET where the App is installed."""
        return page(call, [self.registry.authenticate(call.request)], _show_installation)

    def installation(self, call: Call) -> Response:
        """GET one installation."""
        return Response(_show_installation(self._installed(call)))

    def _installed(self, call: Call) -> App:
        app = self.registry.authenticate(call.request)
        if app["installation"] != call.number("id"):
            raise not_found()
        return app

    def of_repository(self, call: Call) -> Response:
        """GET the installation that covers a repository."""
        app = self.registry.authenticate(call.request)
        if call.repository.key not in [name.lower() for name in app["repositories"]]:
            raise not_found()
        return Response(_show_installation(app))

    def token(self, call: Call) -> Response:
        """POST: an installation's token, for fewer permissions and repositories where asked."""
        app, data = self._installed(call), call.data
        permissions = _permissions(app, data.get("permissions"))
        covered = self._covered(app)
        asked = [*(data.get("repositories") or []), *(data.get("repository_ids") or [])]
        chosen = [one for one in covered if one.name in asked or one.record["id"] in asked]
        if len(chosen) < len(set(asked)):
            raise GitHubError(422, ELSEWHERE)
        names = [one.full_name for one in chosen] if asked else app["repositories"]
        token = self.tokens.installation(app["slug"], permissions, names)
        shown = {"repositories": [shapes.repository(one) for one in chosen]} if asked else {}
        body = {"token": token, "expires_at": expiry(), "permissions": permissions}
        return Response({**body, "repository_selection": "selected", **shown}, status=201)

    def _covered(self, app: App) -> list[Repository]:
        found = [self.repositories.find(*name.split("/")) for name in app["repositories"]]
        return [one for one in found if one]

    def revoke(self, call: Call) -> Response:
        """DELETE the token that asks."""
        self.tokens.revoke(call.request.headers["authorization"])
        return Response(status=204)

    def seen(self, call: Call) -> Response:
        """GET the repositories that the installation's token reaches."""
        found = [one for one in self.repositories.list() if call.caller.sees(one.key)]
        return page(call, found, shapes.repository, "repositories")


def _permissions(app: App, asked: Mapping[str, str] | None) -> dict[str, str]:
    granted: dict[str, str] = app["permissions"]
    if not asked:
        return granted
    for name, level in asked.items():
        if LEVELS.get(level, 9) > LEVELS.get(granted.get(name, ""), 0):
            raise GitHubError(422, TOO_MUCH)
    return {"metadata": "read", **asked}


def _show_app(app: App) -> dict[str, Any]:
    owner = app["repositories"][0].split("/")[0]
    times = {"created_at": app["created_at"], "updated_at": app["created_at"]}
    names = {"id": app["id"], "slug": app["slug"], "name": app["slug"], "client_id": client_id(app)}
    return {
        **names,
        **times,
        "node_id": node_id("A", app["id"]),
        "owner": account(owner, "Organization"),
        "description": None,
        "external_url": f"{WEB}/{owner}",
        "html_url": f"{WEB}/apps/{app['slug']}",
        "permissions": app["permissions"],
        "events": [],
        "installations_count": 1,
    }


def _show_installation(app: App) -> dict[str, Any]:
    owner, number = app["repositories"][0].split("/")[0], app["installation"]
    url = f"{API}/app/installations/{number}"
    return {
        "id": number,
        "account": account(owner, "Organization"),
        "repository_selection": "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{API}/installation/repositories",
        "html_url": f"{WEB}/organizations/{owner}/settings/installations/{number}",
        "app_id": app["id"],
        "app_slug": app["slug"],
        "client_id": client_id(app),
        "target_id": account_id(owner),
        "target_type": "Organization",
        "permissions": app["permissions"],
        "events": [],
        "created_at": app["created_at"],
        "updated_at": app["created_at"],
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None,
        "suspended_at": None,
    }
