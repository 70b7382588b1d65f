"""Workload identity: pools and providers, whose tokens are exchanged for what, and who may be whom."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Query, Request, Response, Router
from localcloud.iam_api import IamApi
from localcloud.iam_credentials import IamCredentials
from localcloud.identity import new_key, signing_key
from localcloud.security_tokens import SecurityTokens
from tests.localcloud.served import new_cloud

NUMBER = "123456789012"
PLACE = f"projects/{NUMBER}/locations/global/workloadIdentityPools"
POOL, PROVIDER = f"{PLACE}/github", f"{PLACE}/github/providers/github"
ISSUER = "https://token.actions.githubusercontent.com"
WORKFLOW = "acme/models/.github/workflows/train.yml@refs/heads/main"
ACCOUNT = "trainer@acme-ml.iam.gserviceaccount.com"
OTHER = "another@acme-ml.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
OIDC = {
    "oidc": {"issuerUri": ISSUER},
    "attributeMapping": {
        "google.subject": "assertion.sub",
        "attribute.job_workflow_ref": "assertion.job_workflow_ref",
        "attribute.repository_id": "assertion.repository_id",
    },
    "attributeCondition": "assertion.repository_id == '7' && assertion.event_name in ['push']",
}
FORM = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "audience": f"//iam.googleapis.com/{PROVIDER}",
    "scope": SCOPE,
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
Answer = tuple[int, Any]


class Google:
    """The three hosts, asked straight away."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.router = Router([IamApi(cloud), SecurityTokens(cloud), IamCredentials(cloud)])
        self.owner = cloud.issue_token(cloud.world.owner)

    def send(
        self, verb: str, address: str, body: bytes = b"", token: str = "", kind: str = "application/json"
    ) -> Answer:
        host, _, rest = address.partition("/")
        path, _, query = rest.partition("?")
        headers = {"authorization": f"Bearer {token or self.owner}", "content-type": kind}
        request = Request(
            verb, f"{host}.googleapis.com", f"/v1/{path}", Query.parse(query), headers, body
        )
        answer: Response = self.router(request)
        return answer.status, answer.body

    def iam(self, verb: str, name: str, body: Any = None, token: str = "") -> Any:
        """A call that must succeed; what its operation gives, where it answers with one."""
        status, answer = self.send(verb, f"iam/{name}", json.dumps(body or {}).encode(), token)
        assert status == 200, answer
        if "/operations/" in answer.get("name", "") and not answer.get("done"):
            return self.iam("GET", answer["name"])["response"]
        return answer

    def refused(self, verb: str, name: str, body: Any = None, token: str = "") -> Answer:
        """A call that must fail: its status and words."""
        status, answer = self.send(verb, f"iam/{name}", json.dumps(body or {}).encode(), token)
        assert status >= 400, answer
        return status, answer["error"]["message"]

    def token(self, **changed: Any) -> str:
        """A workflow job's identity token."""
        now = int(time.time())
        claims = {
            **{
                "iss": ISSUER,
                "aud": f"https://iam.googleapis.com/{PROVIDER}",
                "iat": now,
                "nbf": now - 600,
            },
            **{"exp": now + 300, "sub": "repo:acme/models:ref:refs/heads/main", "repository_id": "7"},
            **{"event_name": "push", "job_workflow_ref": WORKFLOW},
        }
        kept = {key: value for key, value in (claims | changed).items() if value is not None}
        key = signing_key(self.cloud.store, ISSUER.removeprefix("https://"))["private"]
        return jwt.encode(kept, key, "RS256")

    def exchange(self, token: str, **changed: str) -> Answer:
        form = FORM | {"subject_token": token} | changed
        return self.send("POST", "sts/token", urlencode(form).encode(), kind="x-www-form-urlencoded")

    def federated(self, **changed: Any) -> str:
        """A federated access token for a job's."""
        status, answer = self.exchange(self.token(**changed))
        assert status == 200, answer
        return str(answer["access_token"])

    def impersonate(self, token: str, account: str = ACCOUNT, **fields: Any) -> Answer:
        body = json.dumps({"scope": [SCOPE]} | fields).encode()
        path = f"iamcredentials/projects/-/serviceAccounts/{account}:generateAccessToken"
        return self.send("POST", path, body, token)

    def grant(self, account: str, *members: str) -> None:
        """Exactly these may be the account."""
        binding = {"role": "roles/iam.workloadIdentityUser", "members": list(members)}
        name = f"projects/acme-ml/serviceAccounts/{account}"
        self.iam("POST", f"{name}:setIamPolicy", {"policy": {"bindings": [binding]}})


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    """The issuer's key pair, which takes a while to make."""
    private, public = new_key()
    return {"private": private, "public": public}


@pytest.fixture
def google(tmp_path: Path, keys: dict[str, str]) -> Iterator[Google]:
    cloud = new_cloud(tmp_path)
    cloud.store.put("signing-key", ISSUER.removeprefix("https://"), keys)
    made = Google(cloud)
    made.iam("POST", f"{PLACE}?workloadIdentityPoolId=github", {"displayName": "GitHub"})
    made.iam("POST", f"{POOL}/providers?workloadIdentityPoolProviderId=github", OIDC)
    for account in (ACCOUNT, OTHER):
        made.iam("POST", "projects/acme-ml/serviceAccounts", {"accountId": account.partition("@")[0]})
    yield made
    cloud.store.close()


def members(kind: str = "attribute.job_workflow_ref", value: str = WORKFLOW) -> str:
    return f"principalSet://iam.googleapis.com/{POOL}/{kind}/{value}"


def test_a_workflow_becomes_the_account_that_is_its_own(google: Google) -> None:
    google.grant(ACCOUNT, members())
    status, answer = google.impersonate(google.federated())
    assert status == 200, answer
    assert google.cloud.principal(f"Bearer {answer['accessToken']}") == ACCOUNT
    status, refused = google.impersonate(google.federated(), OTHER)
    error = refused["error"]
    assert (status, error["status"]) == (403, "PERMISSION_DENIED")
    assert error["message"] == (
        "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
    )
    assert error["details"][0]["reason"] == "IAM_PERMISSION_DENIED"


@pytest.mark.parametrize(
    "changed",
    [
        {"job_workflow_ref": WORKFLOW.replace("train", "tick")},
        {"job_workflow_ref": WORKFLOW.replace("main", "topic")},
        {"job_workflow_ref": WORKFLOW.replace("acme/", "fork/")},
        {"job_workflow_ref": None},
    ],
)
def test_another_workflow_or_branch_is_not_the_account(google: Google, changed: dict[str, Any]) -> None:
    google.grant(ACCOUNT, members())
    assert google.impersonate(google.federated(**changed))[0] == 403


@pytest.mark.parametrize(
    ("member", "may"),
    [
        (f"principal://iam.googleapis.com/{POOL}/subject/repo:acme/models:ref:refs/heads/main", True),
        (f"principal://iam.googleapis.com/{POOL}/subject/repo:acme/models", False),
        (f"principalSet://iam.googleapis.com/{POOL}/*", True),
        (members("attribute.repository_id", "7"), True),
        (members("attribute.repository_id", "8"), False),
        (members("attribute.event_name", "push"), False),
        (members("group", "admins"), True),
        ("allAuthenticatedUsers", True),
    ],
)
def test_members_are_subjects_and_sets_of_a_pool(google: Google, member: str, may: bool) -> None:
    mapping = OIDC["attributeMapping"] | {"google.groups": "['admins']"}  # type: ignore[operator]
    google.iam("PATCH", f"{PROVIDER}?updateMask=attributeMapping", {"attributeMapping": mapping})
    google.grant(ACCOUNT, member)
    assert google.impersonate(google.federated())[0] == (200 if may else 403)


STALE = ("invalid_grant", "is stale to sign-in.")
REJECTED = ("unauthorized_client", "The given credential is rejected by the attribute condition.")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"repository_id": "8"}, REJECTED),
        ({"repository_id": None}, REJECTED),
        ({"event_name": "pull_request"}, REJECTED),
        (
            {"iss": "https://other.example"},
            ("invalid_grant", "does not match the expected one in config"),
        ),
        (
            {"aud": "sts.amazonaws.com"},
            ("invalid_grant", "The audience in ID Token [sts.amazonaws.com]"),
        ),
        ({"aud": None}, ("invalid_grant", "The audience in ID Token [] does not match")),
        ({"exp": -90}, STALE),
        ({"exp": None}, STALE),
        ({"iat": 90}, STALE),
        ({"iat": None}, STALE),
        ({"nbf": 300}, STALE),
        ({"sub": None}, ("invalid_request", "Could not obtain a value for google.subject")),
        ({"sub": "x" * 128}, ("invalid_request", "google.subject exceeds the 127 bytes limit")),
    ],
)
def test_what_google_refuses_is_refused_in_its_words(
    google: Google, changed: dict[str, Any], expected: tuple[str, str]
) -> None:
    # Seconds from now on: these cases are made long before they are tried.
    claims = {k: int(time.time()) + v if isinstance(v, int) else v for k, v in changed.items()}
    status, answer = google.exchange(google.token(**claims))
    assert (status, answer["error"]) == (400, expected[0]), answer
    assert expected[1] in answer["error_description"]


def test_clocks_may_differ_a_minute_and_a_token_serves_again(google: Google) -> None:
    now, token = int(time.time()), google.token()
    assert [google.exchange(token)[0] for _ in range(2)] == [200, 200]
    assert google.exchange(google.token(exp=now - 30))[0] == 200
    assert google.exchange(google.token(iat=now + 30))[0] == 200
    assert google.exchange(google.token(sub="x" * 127))[0] == 200


def test_only_the_issuer_s_own_signature_counts(google: Google) -> None:
    claims = jwt.decode(google.token(), options={"verify_signature": False})
    unsigned = jwt.encode(claims, "", algorithm="none")
    for token in (jwt.encode(claims, new_key()[0], "RS256"), unsigned):
        assert google.exchange(token) == (
            400,
            {
                "error": "invalid_grant",
                "error_description": "Unable to verify the ID Token signature.",
            },
        )
    google.iam(
        "PATCH", f"{PROVIDER}?updateMask=oidc.issuerUri", {"oidc": {"issuerUri": "https://a.example"}}
    )
    answer = google.exchange(google.token(iss="https://a.example"))[1]
    assert answer["error_description"] == "Error connecting to the given credential's issuer."
    assert google.exchange("nonsense")[1]["error"] == "invalid_request"


def test_a_token_lives_no_longer_than_its_credential(google: Google) -> None:
    status, answer = google.exchange(google.token(exp=int(time.time()) + 120))
    assert status == 200
    assert 60 < answer["expires_in"] <= 120
    assert google.exchange(google.token(exp=int(time.time()) + 36000))[1]["expires_in"] == 3599
    record = google.cloud.store.get("token", answer["access_token"])
    assert record is not None
    google.cloud.store.put("token", answer["access_token"], record | {"expires": 0})
    assert google.impersonate(answer["access_token"])[0] == 401


def test_allowed_audiences_stand_instead_of_the_provider_s_name(google: Google) -> None:
    assert google.exchange(google.token(aud=f"//iam.googleapis.com/{PROVIDER}"))[0] == 200
    body = {"oidc": {"allowedAudiences": ["retrain"]}}
    google.iam("PATCH", f"{PROVIDER}?updateMask=oidc.allowedAudiences", body)
    assert google.exchange(google.token(aud=["other", "retrain"]))[0] == 200
    assert google.exchange(google.token())[0] == 400


def test_the_exchange_reads_json_and_refuses_what_it_does_not_serve(google: Google) -> None:
    names = [name.split("_") for name in FORM]
    camel = {a + "".join(map(str.title, b)): FORM["_".join([a, *b])] for a, *b in names}
    body = json.dumps(camel | {"subjectToken": google.token()}).encode()
    status, answer = google.send("POST", "sts/token", body)
    assert (status, set(answer)) == (
        200,
        {"access_token", "expires_in", "issued_token_type", "token_type"},
    )
    for changed, error in [
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}, "invalid_request"),
        ({"scope": ""}, "invalid_scope"),
        ({"audience": "github"}, "invalid_request"),
        ({"audience": FORM["audience"] + "2"}, "invalid_target"),
        ({"audience": FORM["audience"].replace(NUMBER, "acme-ml")}, "invalid_target"),
        ({"colour": "red"}, "invalid_request"),
    ]:
        status, answer = google.exchange(google.token(), **changed)
        assert (status, answer["error"]) == (400, error), changed


@pytest.mark.parametrize("name", [POOL, PROVIDER])
def test_what_is_disabled_or_deleted_exchanges_nothing(google: Google, name: str) -> None:
    google.grant(ACCOUNT, members())
    before = google.federated()
    google.iam("PATCH", f"{name}?updateMask=disabled", {"disabled": True})
    assert google.exchange(google.token())[1]["error"] == "invalid_target"
    # A token that was given before outlives its provider, but not its pool.
    assert google.impersonate(before)[0] == (403 if name == POOL else 200)
    google.iam("PATCH", f"{name}?updateMask=disabled", {"disabled": False})
    assert google.impersonate(before)[0] == 200
    assert google.exchange(google.token())[0] == 200
    gone = google.iam("DELETE", name)
    assert (gone["state"], gone["expireTime"] > "2026") == ("DELETED", True)
    assert google.exchange(google.token())[1]["error"] == "invalid_target"
    parent, _, own = name.rpartition("/")
    kind = "workloadIdentityPoolId" if name == POOL else "workloadIdentityPoolProviderId"
    assert google.refused("POST", f"{parent}?{kind}={own}", OIDC if name == PROVIDER else {})[0] == 409
    assert google.refused("PATCH", f"{name}?updateMask=disabled", {})[0] == 400
    assert google.iam("GET", parent) == {}
    assert len(next(iter(google.iam("GET", f"{parent}?showDeleted=true").values()))) == 1
    google.iam("POST", f"{name}:undelete")
    assert google.exchange(google.token())[0] == 200


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"oidc": {"issuerUri": "http://a.example"}}, "The scheme must be https"),
        ({"oidc": {"issuerUri": ISSUER, "jwksJson": "{}"}}, "does not serve oidc.jwksJson"),
        ({"oidc": None, "aws": {"accountId": "1"}}, "does not serve aws"),
        ({"attributeMapping": {"attribute.a": "assertion.sub"}}, "must have google.subject"),
        ({"attributeMapping": {"google.subject": "assertion."}}, "mapping of google.subject is invalid"),
        (
            {"attributeMapping": {"google.subject": "assertion.sub", "sub": "'a'"}},
            "mapped attribute key: sub",
        ),
        ({"attributeCondition": "assertion.sub.lower()"}, "does not serve the function lower()"),
        ({"attributeCondition": ""}, "must reference one of the provider's claims"),
        ({"attributeCondition": "attribute.sub == 'a'"}, "must reference one of the provider's claims"),
        ({"displayName": "x" * 33}, "displayName must be less than"),
        ({"colour": "red"}, 'Unknown name "colour"'),
    ],
)
def test_providers_that_would_not_work_are_refused(
    google: Google, changed: dict[str, Any], words: str
) -> None:
    where = f"{POOL}/providers?workloadIdentityPoolProviderId=another"
    body = {key: value for key, value in (OIDC | changed).items() if value is not None}
    status, message = google.refused("POST", where, body)
    assert status in (400, 501)
    assert words in message


def test_names_and_places_are_checked(google: Google) -> None:
    for verb, name, status in [
        ("POST", f"{PLACE}?workloadIdentityPoolId=gcp-own", 400),
        ("POST", f"{PLACE}?workloadIdentityPoolId=abc", 400),
        ("POST", f"{PLACE}/none/providers?workloadIdentityPoolProviderId=github", 404),
        ("GET", f"{PLACE}/none", 404),
        ("GET", POOL.replace("global", "europe-west1"), 404),
        ("GET", POOL.replace(NUMBER, "another"), 403),
        ("PATCH", POOL, 400),
        ("PATCH", f"{POOL}?updateMask=name", 400),
        ("GET", f"{POOL}/operations/none", 404),
    ]:
        body = OIDC if name.endswith("providers?workloadIdentityPoolProviderId=github") else {}
        assert google.refused(verb, name, body)[0] == status, (verb, name)
    assert google.iam("GET", PROVIDER.replace(NUMBER, "acme-ml"))["name"] == PROVIDER


def test_pools_are_listed_in_pages(google: Google) -> None:
    for name in ("another", "third"):
        google.iam("POST", f"{PLACE}?workloadIdentityPoolId={name}")
    found, token = [], ""
    while True:
        page = google.iam("GET", f"{PLACE}?pageSize=2&pageToken={token}")
        found += [one["name"].rpartition("/")[2] for one in page["workloadIdentityPools"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == ["another", "github", "third"]


def test_pools_are_for_those_who_may_manage_them(google: Google) -> None:
    token, member = google.cloud.issue_token(ACCOUNT), f"serviceAccount:{ACCOUNT}"
    assert google.refused("GET", PROVIDER, token=token)[0] == 403
    binding = {"role": "roles/iam.workloadIdentityPoolViewer", "members": [member]}
    google.cloud.iam.set(f"projects/{NUMBER}", {"bindings": [binding]})
    assert google.iam("GET", PROVIDER, token=token)["state"] == "ACTIVE"
    assert google.refused("DELETE", PROVIDER, token=token)[0] == 403


def test_a_federated_token_reaches_what_its_own_principal_may(google: Google) -> None:
    token = google.federated()
    assert google.refused("GET", PROVIDER, token=token)[0] == 403
    binding = {"role": "roles/iam.workloadIdentityPoolViewer", "members": [members()]}
    google.cloud.iam.set(f"projects/{NUMBER}", {"bindings": [binding]})
    assert google.iam("GET", PROVIDER, token=token)["state"] == "ACTIVE"
    other = google.federated(job_workflow_ref=WORKFLOW.replace("train", "tick"))
    assert google.refused("GET", PROVIDER, token=other)[0] == 403


def test_a_binding_names_a_pool_that_is_there(google: Google) -> None:
    with pytest.raises(ApiError, match="Identity Pool does not exist"):
        google.cloud.iam.set(
            f"projects/{NUMBER}",
            {
                "bindings": [
                    {"role": "roles/owner", "members": [members().replace("/github/", "/none/")]}
                ]
            },
        )


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"lifetime": "600s"}, 200),
        ({"lifetime": "3600s"}, 200),
        ({"lifetime": "3601s"}, 400),
        ({"lifetime": "0s"}, 400),
        ({"lifetime": "soon"}, 400),
        ({"scope": []}, 400),
        ({"scope": ["everything"]}, 400),
        ({"delegates": ["projects/-/serviceAccounts/x"]}, 501),
    ],
)
def test_an_account_s_token_is_for_scopes_and_an_hour_at_most(
    google: Google, fields: dict[str, Any], status: int
) -> None:
    google.grant(ACCOUNT, members())
    assert google.impersonate(google.federated(), **fields)[0] == status


def test_an_account_that_is_not_there_has_no_token(google: Google) -> None:
    status, answer = google.impersonate(google.owner, "none@acme-ml.iam.gserviceaccount.com")
    assert (status, answer["error"]["status"]) == (404, "NOT_FOUND")


def test_an_identity_token_is_the_account_s(google: Google) -> None:
    google.grant(ACCOUNT, members())
    path = f"iamcredentials/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken"
    for included in (True, False):
        body = json.dumps({"audience": "retrain", "includeEmail": included}).encode()
        status, answer = google.send("POST", path, body, google.federated())
        assert status == 200, answer
        public = signing_key(google.cloud.store, "google")["public"]
        claims = jwt.decode(answer["token"], public, ["RS256"], audience="retrain")
        assert claims.get("email") == (ACCOUNT if included else None)
