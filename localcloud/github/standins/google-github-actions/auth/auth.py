"""Workload Identity Federation: the job's identity token for Google's; a file for Google's clients."""

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

STS = "https://sts.googleapis.com/v1/token"
ACCOUNTS = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
JWT = "urn:ietf:params:oauth:token-type:jwt"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PROJECTS = "CLOUDSDK_CORE_PROJECT CLOUDSDK_PROJECT GCLOUD_PROJECT GCP_PROJECT GOOGLE_CLOUD_PROJECT"
FILES = "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE GOOGLE_APPLICATION_CREDENTIALS GOOGLE_GHA_CREDS_PATH"
ONE_WAY = (
    "The GitHub Action workflow must specify exactly one of"
    ' "workload_identity_provider" or "credentials_json"!'
)
NO_PERMISSION = (
    "GitHub Actions did not inject $ACTIONS_ID_TOKEN_REQUEST_TOKEN or $ACTIONS_ID_TOKEN_REQUEST_URL into"
    " this job: it needs `permissions: id-token: write`."
)


class RefusedError(Exception):
    """Why the action fails."""


def call(url: str, token: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One call; `token` (empty: none) is its bearer."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"accept": "application/json", "content-type": "application/json"}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise RefusedError(
            f"{url}: HTTP {error.code}: {error.read().decode(errors='replace')}"
        ) from None


def with_audience(url: str, audience: str) -> str:
    """The address at which the job asks for its identity token."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {"audience": audience}
    return urlunsplit(parts._replace(query=urlencode(query)))


def credentials(inputs: dict[str, str], url: str, bearer: str) -> dict[str, Any]:
    """The file by which Google's clients do the exchange themselves."""
    source = {
        "url": url,
        "headers": {"Authorization": f"Bearer {bearer}"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    }
    account = inputs["service_account"]
    impersonated = {"service_account_impersonation_url": f"{ACCOUNTS}/{account}:generateAccessToken"}
    return {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{inputs['workload_identity_provider']}",
        "subject_token_type": JWT,
        "token_url": STS,
        "credential_source": source,
        **(impersonated if account else {}),
    }


def exchanged(audience: str, token: str) -> str:
    """The federated token."""
    body = {
        "audience": audience,
        "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
        "scope": SCOPE,
        "subjectTokenType": JWT,
        "subjectToken": token,
    }
    return str(call(STS, "", body)["access_token"])


def formatted(inputs: dict[str, str], federated: str) -> dict[str, str]:
    """The token that `token_format` asks for, as outputs."""
    account, wanted = f"{ACCOUNTS}/{inputs['service_account']}", inputs["token_format"]
    if wanted == "access_token":
        scopes = [one.strip() for one in inputs["access_token_scopes"].split(",")]
        body: dict[str, Any] = {"scope": scopes, "lifetime": inputs["access_token_lifetime"]}
        found = call(f"{account}:generateAccessToken", federated, body)
        return {"access_token": str(found["accessToken"])}
    if wanted == "id_token":
        mail = json.loads(inputs["id_token_include_email"])
        body = {"audience": inputs["id_token_audience"], "includeEmail": mail}
        return {"id_token": str(call(f"{account}:generateIdToken", federated, body)["token"])}
    if wanted:
        raise RefusedError(f'Unknown token format "{wanted}"')
    return {}


def project(inputs: dict[str, str]) -> str:
    """The project: the one named, or that of the account."""
    _, _, domain = inputs["service_account"].partition("@")
    ending = ".iam.gserviceaccount.com"
    return inputs["project_id"] or (domain.removesuffix(ending) if domain.endswith(ending) else "")


def tell(variable: str, fields: dict[str, str]) -> None:
    """Outputs or variables for later steps."""
    with Path(os.environ[variable]).open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in fields.items())


def write(content: dict[str, Any], exported: bool) -> None:
    """The credentials file, in the workspace, as the real action has it."""
    path = Path(os.environ["GITHUB_WORKSPACE"]) / f"gha-creds-{secrets.token_hex(8)}.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(content))
    print(f'Created credentials file at "{path}"')
    tell("GITHUB_OUTPUT", {"credentials_file_path": str(path)})
    if exported:
        tell("GITHUB_ENV", dict.fromkeys(FILES.split(), str(path)))


def authenticate(inputs: dict[str, str]) -> None:
    """Do it. Raises RefusedError."""
    provider, exported = inputs["workload_identity_provider"], inputs["export_environment_variables"]
    if not provider or inputs["credentials_json"]:
        raise RefusedError(ONE_WAY)
    bearer = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
    asks = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
    if not (bearer and asks):
        raise RefusedError(NO_PERMISSION)
    url = with_audience(asks, inputs["audience"] or f"https://iam.googleapis.com/{provider}")
    token = str(call(url, bearer)["value"])
    content = credentials(inputs, url, bearer)
    if inputs["create_credentials_file"] == "true":
        write(content, exported == "true")
    if named := project(inputs):
        tell("GITHUB_OUTPUT", {"project_id": named})
        if exported == "true":
            tell("GITHUB_ENV", dict.fromkeys(PROJECTS.split(), named))
    federated = exchanged(content["audience"], token)
    outputs = {"auth_token": federated} | formatted(inputs, federated)
    for value in outputs.values():
        print(f"::add-mask::{value}")
    tell("GITHUB_OUTPUT", outputs)


def main() -> int:
    """Do it; returns the exit code."""
    try:
        authenticate(json.loads(os.environ["INPUTS"]))
    except (RefusedError, OSError) as error:
        print(f"::error::google-github-actions/auth failed with: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
