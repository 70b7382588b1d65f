"""AWS STS: who a key is, and a role's credentials for an identity provider's token."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import jwt

from localcloud.aws_errors import refusal
from localcloud.aws_keys import ACCOUNT, Keys
from localcloud.aws_policy import decision
from localcloud.aws_signature import authenticate
from localcloud.cloud import Cloud
from localcloud.http import Request, Response

ACTION = "sts:AssumeRoleWithWebIdentity"
SHORTEST = 900  # seconds of a session; as long as the token's and the role's limits at most
USUAL = 3600
GOOGLE = "accounts.google.com"  # built in at AWS: no provider has to be made for it
GITHUB = "token.actions.githubusercontent.com"
# What trust policies may ask of GitHub's tokens besides aud and sub, since January 2026.
GITHUB_KEYS = (
    "actor actor_id enterprise_id environment job_workflow_ref ref repository repository_id workflow"
)
SESSION = re.compile(r"[\w+=,.@-]{2,64}")
NOT_VALIDATED = (
    "The web identity token that was passed could not be validated by AWS. Get a new identity token"
    " from the identity provider and then retry the request."
)
NO_TOKEN = (
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"  # noqa: S105
)
BODY = (
    '<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{result}'
    "</{action}Result><ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></{action}Response>"
)


class Sts:
    """The calls that are served; another is refused by name."""

    def __init__(self, cloud: Cloud, keys: Keys) -> None:
        self._cloud, self._keys = cloud, keys

    def serve(self, request: Request) -> Response:
        """One call of the query protocol."""
        fields = request.form() | request.query
        action = fields.get("Action", "")
        if action == "GetCallerIdentity":
            return self.get_caller_identity(request)
        if action == "AssumeRoleWithWebIdentity":
            return self.assume_role_with_web_identity(fields)
        raise refusal("InvalidAction", f"the local cloud does not serve sts:{action}")

    def get_caller_identity(self, request: Request) -> Response:
        """Whose the key is: everybody may ask."""
        arn = authenticate(request, self._keys).arn
        fields = {"Arn": arn, "UserId": arn.rpartition("/")[2], "Account": ACCOUNT}
        return _answer("GetCallerIdentity", _xml(fields))

    def assume_role_with_web_identity(self, fields: dict[str, str]) -> Response:
        """Credentials of a role whose trust policy holds for the token: no AWS key is needed.

        As at AWS, a token may be used again within its life. Raises InvalidIdentityToken,
        ExpiredTokenException, AccessDenied or ValidationError.
        """
        role_arn, session = fields.get("RoleArn", ""), fields.get("RoleSessionName", "")
        if not SESSION.fullmatch(session):
            raise refusal("ValidationError", f"roleSessionName must match {SESSION.pattern}")
        if unserved := sorted({key.split(".")[0] for key in fields} & {"Policy", "PolicyArns"}):
            raise refusal("ValidationError", f"the local cloud does not serve {unserved[0]} here")
        claims, provider = self._verified(fields.get("WebIdentityToken", ""))
        role = self._trusting(role_arn, provider, claims)
        seconds = int(fields.get("DurationSeconds", USUAL))
        if not SHORTEST <= seconds <= int(role.max_session_duration or USUAL):
            words = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            raise refusal("ValidationError", words)
        key, made = self._keys.issue(role.name, session, seconds)
        return _answer("AssumeRoleWithWebIdentity", _assumed(role, key, made, claims, provider))

    def _verified(self, token: str) -> tuple[dict[str, Any], str]:
        """The claims of a token whose signature, life and audience are good, and its provider."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise refusal("InvalidIdentityToken", NO_TOKEN) from None
        provider = self._provider(str(claims.get("iss", "")), claims)
        keys = self._cloud.store.get("signing-key", "google" if provider == GOOGLE else provider)
        try:
            options: Any = {"verify_exp": False, "verify_iat": False, "verify_aud": False}
            jwt.decode(token, (keys or {}).get("public", ""), algorithms=["RS256"], options=options)
        except (jwt.PyJWTError, ValueError):
            raise refusal("InvalidIdentityToken", NOT_VALIDATED) from None
        now, ends = int(time.time()), int(claims.get("exp", 0))
        if ends <= now:
            words = (
                f"Token expired: current date/time {now} must be before the expiration date/time {ends}"
            )
            raise refusal("ExpiredTokenException", words)
        return claims, provider

    def _provider(self, issuer: str, claims: dict[str, Any]) -> str:
        """The provider's address without https://; its audiences are checked, but for Google's."""
        host = issuer.removeprefix("https://")
        if host == GOOGLE:
            return GOOGLE
        known = {one.url: one for one in self._keys.iam.open_id_providers.values()}
        if host not in known:
            words = f"No OpenIDConnect provider found in your account for {issuer}"
            raise refusal("InvalidIdentityToken", words)
        if claims.get("aud") not in known[host].client_id_list:
            raise refusal("InvalidIdentityToken", "Incorrect token audience")
        return host

    def _trusting(self, role_arn: str, provider: str, claims: dict[str, Any]) -> Any:
        """The role, if its trust policy allows this token: AWS says no more than that it does not."""
        role = next((one for one in self._keys.iam.roles.values() if one.arn == role_arn), None)
        documents = [json.loads(role.assume_role_policy_document)] if role else []
        if not decision(documents, ACTION, role_arn, _context(provider, claims), _federated(provider)):
            raise refusal("AccessDenied", f"Not authorized to perform {ACTION}")
        return role


def _federated(provider: str) -> str:
    """What trust policies and answers call a provider."""
    return provider if provider == GOOGLE else f"arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}"


def _context(provider: str, claims: dict[str, Any]) -> dict[str, str]:
    """The condition keys of a token: Google's `aud` is the account that asked for it, if named."""
    audience, subject = str(claims.get("aud", "")), str(claims.get("sub", ""))
    if provider != GOOGLE:
        keys = GITHUB_KEYS.split() if provider == GITHUB else []
        found = {key: str(claims[key]) for key in keys if claims.get(key)}
        found |= {"aud": audience, "sub": subject}
        return {f"{provider}:{key}": value for key, value in found.items()}
    party = str(claims.get("azp", audience))
    return {f"{GOOGLE}:aud": party, f"{GOOGLE}:oaud": audience, f"{GOOGLE}:sub": subject}


def _assumed(role: Any, key: str, made: dict[str, Any], claims: dict[str, Any], provider: str) -> str:
    ends = datetime.fromtimestamp(made["expires"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = {
        "AccessKeyId": key,
        "SecretAccessKey": made["secret"],
        "SessionToken": made["token"],
        "Expiration": ends,
    }
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name}/{made['name']}"
    user = {"Arn": arn, "AssumedRoleId": f"{role.id}:{made['name']}"}
    facts = {
        "SubjectFromWebIdentityToken": claims["sub"],
        "Audience": claims["aud"],
        "Provider": _federated(provider),
    }
    inner = f"<Credentials>{_xml(credentials)}</Credentials>"
    return f"{inner}<AssumedRoleUser>{_xml(user)}</AssumedRoleUser>{_xml(facts)}"


def _xml(fields: dict[str, Any]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in fields.items())


def _answer(action: str, result: str) -> Response:
    body = BODY.format(action=action, result=result)
    return Response(body.encode(), headers={"content-type": "text/xml"})
