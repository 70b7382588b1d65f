"""Who a caller is: key files, OAuth tokens, the metadata server and identity tokens."""

import time
from functools import partial
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.cloud import TOKEN_LIFE, Cloud, verified
from localcloud.errors import ApiError
from localcloud.http import Handler, Request, Response, Route
from localcloud.store import Store

ISSUER = "https://accounts.google.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105
FLAVOR = {"metadata-flavor": "Google", "server": "Metadata Server for VM"}


def new_key() -> tuple[str, str]:
    """A fresh RSA key pair in PEM: private, public."""
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def signing_key(store: Store, issuer: str) -> dict[str, Any]:
    """An issuer's key pair for identity tokens, made once: private and public, in PEM."""
    with store.transaction():
        keys = store.get("signing-key", issuer)
        if keys is None:
            private, public = new_key()
            keys = {"private": private, "public": public}
            store.put("signing-key", issuer, keys)
    return keys


def key_file(cloud: Cloud, account: str) -> dict[str, str]:
    """A service account's key file; only its public half is kept here."""
    private, public = new_key()
    cloud.store.put("account-key", account, {"public": public})
    return {
        "type": "service_account",
        "project_id": cloud.world.project,
        "private_key_id": "local",
        "private_key": private,
        "client_email": account,
        "client_id": unique_id(account),
        "token_uri": TOKEN_URI,
        "universe_domain": "googleapis.com",
    }


def unique_id(account: str) -> str:
    """The account's numeric id: 21 digits, the same for the same address."""
    return "1" + str(int.from_bytes(account.encode(), "big") % 10**20).zfill(20)


class OAuth:
    """oauth2.googleapis.com: a signed assertion of a key file for an access token."""

    hosts = (r"oauth2\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """The calls that are served."""
        return [Route("POST", "/token", self.token)]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """OAuth's error body."""
        return Response({"error": "invalid_grant", "error_description": error.message}, error.status)

    def token(self, request: Request) -> Response:
        """An access token for an hour, or an identity token where the assertion names an audience."""
        form = request.form()
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise ApiError("INVALID_ARGUMENT", "Only key files made by this local cloud are known.")
        claims = self._verify(form.get("assertion", ""))
        if "target_audience" in claims:
            return Response(
                {"id_token": identity_token(self._cloud, claims["iss"], claims["target_audience"])}
            )
        token = self._cloud.issue_token(claims["iss"])
        return Response({"access_token": token, "expires_in": TOKEN_LIFE - 1, "token_type": "Bearer"})

    def _verify(self, assertion: str) -> dict[str, Any]:
        try:
            account = jwt.decode(assertion, options={"verify_signature": False}).get("iss", "")
            key = self._cloud.store.get("account-key", account)
            if key is None:
                raise ApiError("INVALID_ARGUMENT", f"Invalid grant: account not found: {account}")
            return verified(assertion, key["public"], TOKEN_URI)
        except jwt.PyJWTError as error:
            raise ApiError("INVALID_ARGUMENT", f"Invalid JWT: {error}") from None


class Metadata:
    """The metadata server: the identity of whoever the proxy address says is calling."""

    hosts = (r"metadata\.google\.internal", r"169\.254\.169\.254", r"metadata")

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def routes(self) -> list[Route]:
        """The calls that are served."""
        root, accounts = "/computeMetadata/v1", "/computeMetadata/v1/instance/service-accounts"
        table: list[tuple[str, Handler]] = [
            ("/", lambda _: _text("computeMetadata/\n")),
            (f"{root}/project/project-id", lambda _: _text(self._cloud.world.project)),
            (f"{root}/project/numeric-project-id", self._number),
            (f"{root}/universe/universe-domain", lambda _: _text("googleapis.com")),
            (f"{root}/universe/universe_domain", lambda _: _text("googleapis.com")),
            (f"{accounts}/{{account}}/token", self.token),
            (f"{accounts}/{{account}}/identity", self.identity),
            (f"{accounts}/{{account}}/email", lambda r: _text(self._principal(r))),
            (f"{accounts}/{{account}}/", self.account),
        ]
        return [Route("GET", path, partial(self._to_machine, call)) for path, call in table]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Plain text, as the real one."""
        here = self._cloud.principal_of_caller(request.caller) is not None
        return Response(error.message.encode(), error.status, FLAVOR if here else {})

    def _to_machine(self, call: Handler, request: Request) -> Response:
        """Whoever is on no machine of Google's finds nothing here."""
        if self._cloud.principal_of_caller(request.caller) is None:
            raise ApiError("NOT_FOUND", "this caller is on no machine of Google's")
        return call(request)

    def account(self, request: Request) -> Response:
        """The account's address, aliases and scopes."""
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        email = self._principal(request)
        return Response({"aliases": ["default"], "email": email, "scopes": scopes}, headers=FLAVOR)

    def token(self, request: Request) -> Response:
        """An access token of the caller's account."""
        token = self._cloud.issue_token(self._principal(request))
        body = {"access_token": token, "expires_in": TOKEN_LIFE - 1, "token_type": "Bearer"}
        return Response(body, headers=FLAVOR)

    def identity(self, request: Request) -> Response:
        """A signed identity token of the caller's account for an audience."""
        audience = request.query.get("audience", "")
        if not audience:
            raise ApiError("INVALID_ARGUMENT", "non-empty audience parameter required")
        return _text(identity_token(self._cloud, self._principal(request), audience))

    def _number(self, _request: Request) -> Response:
        return _text(self._cloud.world.project_number)

    def _principal(self, request: Request) -> str:
        """The account of a caller that runs on a machine of the cloud; a person's has none."""
        found = self._cloud.principal_of_caller(request.caller)
        wanted = request.params.get("account", "default")
        if found is None or wanted not in ("default", found):
            raise ApiError("NOT_FOUND", "no service account is attached to this caller")
        return found


def _text(body: str) -> Response:
    return Response(body.encode(), headers={**FLAVOR, "content-type": "application/text"})


def identity_token(cloud: Cloud, account: str, audience: str, with_email: bool = True) -> str:
    """A Google identity token (RS256) of `account` for `audience`, good for an hour."""
    keys = signing_key(cloud.store, "google")
    now, number = int(time.time()), unique_id(account)
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": audience,
        "azp": number,
        "sub": number,
        **({"email": account, "email_verified": True} if with_email else {}),
    }
    claims |= {"iat": now, "exp": now + TOKEN_LIFE}
    return jwt.encode(claims, keys["private"], algorithm="RS256", headers={"kid": "local"})
