"""sts.googleapis.com: another issuer's signed word on who somebody is, for a token of Google's."""

import re
import time
from typing import Any

import jwt

from localcloud import google_rest
from localcloud.cloud import TOKEN_LIFE, Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.http import Handler, Request, Response, Route
from localcloud.iam import Federated
from localcloud.workload_identity import POOL_KIND, PROVIDER_KIND, is_active
from localcloud.workload_providers import mapped

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
AUDIENCE = re.compile(
    r"//iam\.googleapis\.com/((projects/[^/]+/locations/global/\w+/[^/]+)/providers/[^/]+)"
)
REASONS = ("invalid_grant", "invalid_scope", "invalid_target", "unauthorized_client")
SKEW = 60  # seconds that clocks may differ
OLDEST = 24 * 3600  # seconds since a token was signed
NO_TARGET = (
    'The target service indicated by the "audience" parameters is invalid. This might either be because'
    " the pool or provider is disabled or deleted or because it doesn't exist."
)
NO_PROVIDER = (
    'Invalid value for "audience". This value should be the full resource name of the Identity Provider.'
)


class SecurityTokens:
    """The exchange of RFC 8693. A token may be exchanged again within its life, as at Google."""

    hosts = (r"sts\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._store = cloud, cloud.store

    def table(self) -> list[tuple[str, str, Handler]]:
        """The calls that are served."""
        return [("POST", "/v1/token", self.token)]

    def routes(self) -> list[Route]:
        """The table: its one call checks its body, a form or JSON, by itself."""
        return [Route(*row) for row in self.table()]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """OAuth's error body."""
        usual = "invalid_request" if error.status < 500 else "internal_failure"
        reason = error.reason if error.reason in REASONS else usual
        return Response({"error": reason, "error_description": error.message}, error.status)

    def token(self, request: Request) -> Response:
        """token: a federated access token, which lives as long as the credential, an hour at most."""
        asked = _asked(request)
        provider, pool = self._provider(asked.get("audience", ""))
        claims = self._verified(asked["subjectToken"], provider)
        found = mapped(provider, claims)
        if found is None:
            words = "The given credential is rejected by the attribute condition."
            raise _error("unauthorized_client", words)
        place = f"//iam.googleapis.com/{pool}"
        sets = (f"principalSet:{place}/{one}" for one in found.sets)
        principal = Federated.of(f"principal:{place}/subject/{found.subject}", sets)
        # Within the skew of clocks a token that has ended still gives one that lives shortly.
        seconds = min(abs(int(claims["exp"]) - int(time.time())), TOKEN_LIFE - 1)
        token = self._cloud.issue_token(principal, seconds)
        kind = {"issued_token_type": f"{TYPE}access_token", "token_type": "Bearer"}
        return Response({"access_token": token, "expires_in": seconds, **kind})

    def _provider(self, audience: str) -> tuple[dict[str, Any], str]:
        """The provider that is meant, and its pool's name. Raises invalid_request or invalid_target."""
        named = AUDIENCE.fullmatch(audience)
        if named is None:
            raise _error("invalid_request", NO_PROVIDER)
        provider = self._store.get(PROVIDER_KIND.record, named[1])
        pool = self._store.get(POOL_KIND.record, named[2])
        if provider is None or not (is_active(provider) and is_active(pool)):
            raise _error("invalid_target", NO_TARGET)
        return provider, named[2]

    def _verified(self, token: str, provider: dict[str, Any]) -> dict[str, Any]:
        """The claims of a token that the provider's issuer signed, for it, and that is of now."""
        try:
            claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise _error("invalid_request", "Error parsing the subject token: it is no JWT.") from None
        issuer, wanted = claims.get("iss"), provider["oidc"]["issuerUri"]
        if str(issuer).rstrip("/") != wanted.rstrip("/"):
            words = (
                f"The issuer in ID Token {issuer} does not match the expected one in config: {wanted}."
            )
            raise _error("invalid_grant", words)
        _check_audience(claims.get("aud"), provider)
        _check_times(claims)
        self._check_signature(token, wanted.removeprefix("https://").rstrip("/"))
        return claims

    def _check_signature(self, token: str, issuer: str) -> None:
        """The issuers whose keys can be had are those on this local cloud."""
        keys = self._store.get("signing-key", "google" if issuer == "accounts.google.com" else issuer)
        if keys is None:
            raise _error("invalid_grant", "Error connecting to the given credential's issuer.")
        options: Any = {
            "verify_exp": False,
            "verify_iat": False,
            "verify_nbf": False,
            "verify_aud": False,
        }
        try:
            jwt.decode(token, keys["public"], algorithms=["RS256"], options=options)
        except jwt.PyJWTError:
            raise _error("invalid_grant", "Unable to verify the ID Token signature.") from None


def _asked(request: Request) -> dict[str, str]:
    """The exchange that is asked for, its fields named as in JSON. Raises invalid_request."""
    kind = request.headers.get("content-type", "")
    body = request.json() if "json" in kind else {_camel(k): v for k, v in request.form().items()}
    api = description("sts")
    google_rest.check_body(api, api.operations["sts.token"], body)
    wanted = {
        "grantType": {GRANT},
        "requestedTokenType": {f"{TYPE}access_token"},
        "subjectTokenType": {f"{TYPE}jwt", f"{TYPE}id_token"},
    }
    for name, values in wanted.items():
        if body.get(name) not in values:
            words = (
                f"the local cloud serves for {name} {' or '.join(sorted(values))}: '{body.get(name)}'"
            )
            raise _error("invalid_request", words)
    if not body.get("scope"):
        raise _error("invalid_scope", "A scope must be given.")
    if not body.get("subjectToken"):
        raise _error("invalid_request", "Missing required parameter: subject_token")
    return dict(body)


def _check_audience(audience: Any, provider: dict[str, Any]) -> None:
    given = audience if isinstance(audience, list) else [] if audience is None else [audience]
    default = [f"{scheme}//iam.googleapis.com/{provider['name']}" for scheme in ("https:", "")]
    if not set(given) & set(provider["oidc"].get("allowedAudiences") or default):
        shown = ", ".join(map(str, given))
        words = f"The audience in ID Token [{shown}] does not match the expected audience."
        raise _error("invalid_grant", words)


def _check_times(claims: dict[str, Any]) -> None:
    now = time.time()
    try:
        issued, ends = int(claims["iat"]), int(claims["exp"])
        begins = int(claims.get("nbf", issued))
    except (KeyError, TypeError, ValueError):
        issued, ends, begins = 0, 0, 0
    if not (now - OLDEST < issued < now + SKEW and begins < now + SKEW and now - SKEW < ends):
        words = f"ID Token issued at {claims.get('iat', 'null')} is stale to sign-in."
        raise _error("invalid_grant", words)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _error(reason: str, words: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", words, reason=reason)
