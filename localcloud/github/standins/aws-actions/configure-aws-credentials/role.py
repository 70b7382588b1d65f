"""AssumeRoleWithWebIdentity with the job's identity token; later steps find the session's keys."""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree

AWS = "{https://sts.amazonaws.com/doc/2011-06-15/}"
NAMES = {
    "AccessKeyId": "AWS_ACCESS_KEY_ID",
    "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "SessionToken": "AWS_SESSION_TOKEN",
}


def fetched(request: urllib.request.Request) -> bytes:
    """A call's answer. Raises OSError with what the server said."""
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise OSError(f"HTTP {error.code}: {error.read().decode(errors='replace')}") from None


def identity(audience: str) -> str:
    """The job's identity token. Raises OSError where it may have none."""
    url = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")
    if not url:
        raise OSError("the job needs `permissions: id-token: write`")
    bearer = os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    headers = {"authorization": f"bearer {bearer}"}
    request = urllib.request.Request(f"{url}&{urlencode({'audience': audience})}", headers=headers)
    return str(json.loads(fetched(request))["value"])


def assumed(inputs: dict[str, str]) -> dict[str, str]:
    """The session's keys, by the names of their variables."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": inputs["role-to-assume"],
        "RoleSessionName": inputs["role-session-name"],
        "DurationSeconds": inputs["role-duration-seconds"],
        "WebIdentityToken": identity(inputs["audience"]),
    }
    url = f"https://sts.{inputs['aws-region']}.amazonaws.com/"
    answer = ElementTree.fromstring(fetched(urllib.request.Request(url, urlencode(form).encode())))  # noqa: S314
    return {name: answer.findtext(f".//{AWS}{field}") or "" for field, name in NAMES.items()}


def tell(inputs: dict[str, str], keys: dict[str, str]) -> None:
    """Variables, and outputs, for later steps."""
    for value in keys.values():
        print(f"::add-mask::{value}")
    region = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), inputs["aws-region"])
    with Path(os.environ["GITHUB_ENV"]).open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in {**region, **keys}.items())
    shown = keys if inputs["output-credentials"] == "true" else {}
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as file:
        file.write(f"aws-account-id={inputs['role-to-assume'].split(':')[4]}\n")
        file.writelines(f"{name.lower().replace('_', '-')}={value}\n" for name, value in shown.items())


def main() -> int:
    """Do it; returns the exit code."""
    inputs: dict[str, str] = json.loads(os.environ["INPUTS"])
    try:
        tell(inputs, assumed(inputs))
    except OSError as error:
        print(f"::error::Could not assume role with OIDC: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
