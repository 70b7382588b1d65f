"""iamcredentials.googleapis.com: a service account's tokens, for whoever may impersonate it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from localcloud import google_rest
from localcloud.cloud import TOKEN_LIFE, Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.http import Handler, Request, Response, Route
from localcloud.identity import identity_token
from localcloud.rpc import rest_error

ACCOUNT = "/v1/projects/{project}/serviceAccounts/{account}"
POOL = "/v1/projects/{project}/locations/{location}/workloadIdentityPools/{pool}"
SCOPE = "https://www.googleapis.com/auth/"
DENIED = "Permission '{}' denied on resource (or it may not exist)."
LONGER = (
    "The access token lifetime cannot be longer than 1 hour, unless an organization policy with the"
    " constraint constraints/iam.allowServiceAccountCredentialLifetimeExtension allows it."
)


class IamCredentials:
    """Tokens of service accounts; those of accounts that are not there are refused."""

    hosts = (r"iamcredentials\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def table(self) -> list[tuple[str, str, Handler]]:
        """The calls that are served."""
        return [
            ("POST", f"{ACCOUNT}:generateAccessToken", self.access_token),
            ("POST", f"{ACCOUNT}:generateIdToken", self.identity_token),
            ("GET", f"{ACCOUNT}/allowedLocations", self.allowed_locations),
            ("GET", f"{POOL}/allowedLocations", self.allowed_locations),
        ]

    def routes(self) -> list[Route]:
        """The table, each call checked by its description."""
        found = [Route(*row) for row in self.table()]
        return google_rest.routes(description("iamcredentials"), found, ("/",))

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """Google's error body."""
        return rest_error(error)

    def access_token(self, request: Request) -> Response:
        """projects.serviceAccounts.generateAccessToken: the account's own, for an hour at most."""
        asked, account = self._allowed(request, "iam.serviceAccounts.getAccessToken")
        scopes = asked.get("scope") or []
        if not scopes or not all(str(one).startswith(SCOPE) for one in scopes):
            raise ApiError("INVALID_ARGUMENT", f"Scopes must be given, each as {SCOPE}…: {scopes}")
        seconds = _seconds(str(asked.get("lifetime", f"{TOKEN_LIFE}s")))
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        token = self._cloud.issue_token(account, seconds)
        return Response({"accessToken": token, "expireTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"})

    def identity_token(self, request: Request) -> Response:
        """projects.serviceAccounts.generateIdToken"""
        asked, account = self._allowed(request, "iam.serviceAccounts.getOpenIdToken")
        if not asked.get("audience"):
            raise ApiError("INVALID_ARGUMENT", "An audience must be given.")
        with_email = bool(asked.get("includeEmail"))
        return Response({"token": identity_token(self._cloud, account, asked["audience"], with_email)})

    def allowed_locations(self, _request: Request) -> Response:
        """getAllowedLocations: no trust boundary, every location."""
        return Response({"locations": [], "encodedLocations": "0x0"})

    def _allowed(self, request: Request, permission: str) -> tuple[dict[str, Any], str]:
        """The body, and the account that the caller may be. Raises PERMISSION_DENIED or NOT_FOUND."""
        principal = self._cloud.principal(request.headers.get("authorization", ""))
        asked, account = request.json(), request.params["account"]
        for name in ("delegates", "organizationNumberIncluded"):
            if asked.get(name):
                raise ApiError("UNIMPLEMENTED", f"the local cloud does not serve {name} here")
        if request.params["project"] != "-":
            raise ApiError("INVALID_ARGUMENT", "Write - for the project: projects/-/serviceAccounts/…")
        name = f"projects/-/serviceAccounts/{account}"
        self._cloud.iam.check(principal, permission, name, DENIED.format(permission))
        if self._cloud.store.get("service-account", account) is None:
            raise ApiError("NOT_FOUND", f"Not found; Gaia id not found for email {account}")
        return asked, account


def _seconds(text: str) -> int:
    """A life that is asked for, such as "600s". Raises INVALID_ARGUMENT."""
    found = re.fullmatch(r"(\d+)(\.\d+)?s", text)
    if not found or int(found[1]) <= 0:
        raise ApiError("INVALID_ARGUMENT", "Lifetime of access token must be larger then zero.")
    if int(found[1]) > TOKEN_LIFE:
        raise ApiError("INVALID_ARGUMENT", LONGER)
    return int(found[1])
