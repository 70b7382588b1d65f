"""Key files: an assertion is short-lived, and nothing that an account was given outlives it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.iam_api import IamApi
from localcloud.identity import TOKEN_URI, OAuth, key_file
from tests.localcloud.served import new_cloud, serve

ACCOUNT = "loader@acme-ml.iam.gserviceaccount.com"
NOW = int(time.time())
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = new_cloud(tmp_path)
    made.store.put("service-account", ACCOUNT, {})
    yield made
    made.store.close()


def assertion(cloud: Cloud, **changed: Any) -> str:
    claims = {"iss": ACCOUNT, "aud": TOKEN_URI, "iat": NOW, "exp": NOW + 3600, **changed}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key_file(cloud, ACCOUNT)["private_key"], "RS256")


def exchanged(cloud: Cloud, signed: str) -> requests.Response:
    with serve(OAuth(cloud), "oauth2.googleapis.com") as address:
        form = {"grant_type": GRANT, "assertion": signed}
        return requests.post(f"{address}/token", data=form, timeout=5)


def test_a_short_lived_assertion_is_taken(cloud: Cloud) -> None:
    signed = assertion(cloud)
    assert cloud.principal(f"Bearer {signed}") == ACCOUNT
    assert exchanged(cloud, signed).status_code == 200


@pytest.mark.parametrize("changed", [{"exp": None}, {"iat": None}, {"exp": NOW + 3601}])
def test_an_assertion_ends_within_an_hour(cloud: Cloud, changed: dict[str, Any]) -> None:
    signed = assertion(cloud, **changed)
    with pytest.raises(ApiError, match="invalid authentication credentials"):
        cloud.principal(f"Bearer {signed}")
    refused = exchanged(cloud, signed)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_keys_and_tokens_end_with_their_account(cloud: Cloud) -> None:
    signed, token = assertion(cloud), cloud.issue_token(ACCOUNT)
    owner = f"Bearer {cloud.issue_token(cloud.world.owner)}"
    with serve(IamApi(cloud), "iam.googleapis.com") as address:
        place = f"{address}/v1/projects/acme-ml/serviceAccounts/{ACCOUNT}"
        assert requests.delete(place, headers={"authorization": owner}, timeout=5).status_code == 200
    for bearer in (signed, token):
        with pytest.raises(ApiError, match="invalid authentication credentials"):
            cloud.principal(f"Bearer {bearer}")
    assert "account not found" in exchanged(cloud, signed).text
    assert cloud.principal(owner) == cloud.world.owner
