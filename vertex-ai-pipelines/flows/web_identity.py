"""AWS without a key: an identity token for a role's temporary keys; a step's is its Google account's."""

from collections.abc import Mapping
from typing import Any

from flows.errors import RetrainError

SESSION = "retrain"
MENDS = {
    "AccessDenied": (
        "the role's trust policy must name this account's numeric id as accounts.google.com:aud and"
        " :sub, and settings.toml's s3_audience as :oaud"
    ),
    "InvalidIdentityToken": "is the role in the account where s3_role says, with Google as provider?",
    "ExpiredTokenException": "is this machine's clock right? Run the step again",
}


def keys(region: str, role: str, audience: str) -> dict[str, str]:
    """Keys of `role` for this Google account, as `exchange` gives them."""
    return exchange(region, role, identity_token(audience), MENDS)


def exchange(region: str, role: str, token: str, mends: Mapping[str, str]) -> dict[str, str]:
    """Keys of `role` for an hour, as boto3's arguments; `mends` says what to do, by AWS's error code.

    Raises RetrainError where AWS refuses them.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(signature_version=UNSIGNED, connect_timeout=10, read_timeout=60)
    sts = boto3.client("sts", region_name=region, config=config)
    given = {"RoleArn": role, "RoleSessionName": SESSION, "WebIdentityToken": token}
    try:
        made = sts.assume_role_with_web_identity(**given)["Credentials"]
    except ClientError as error:
        problem = error.response.get("Error", {})
        code = str(problem.get("Code", ""))
        raise RetrainError(
            f"{role}: AWS refuses it to this identity: {code}: {problem.get('Message', '')}",
            mends.get(code, ""),
        ) from None
    except BotoCoreError as error:
        raise RetrainError(f"{role}: {error}", "is STS reachable from here?") from None
    names = {
        "aws_access_key_id": "AccessKeyId",
        "aws_secret_access_key": "SecretAccessKey",
        "aws_session_token": "SessionToken",
    }
    return {name: made[key] for name, key in names.items()}


def identity_token(audience: str) -> Any:
    """A token that says who this account is, for `audience` alone. Raises RetrainError."""
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    try:
        return id_token.fetch_id_token(Request(), audience)
    except GoogleAuthError as error:
        raise RetrainError(
            f"there is no Google identity token for {audience}: {error}",
            "a step has one from its machine's metadata server: which account does it run as?",
        ) from None
