"""Make an environment's grants true, through the public APIs that set-up of a real cloud uses."""

import json
import time
from itertools import groupby
from typing import Any

from delivery import federation, google_session, grants, patience
from delivery.grants import Grant, Repository, Role, S3User
from delivery.settings import Environment

API = "https://iam.googleapis.com/v1"
IAM = f"{API}/projects"
KMS = "https://cloudkms.googleapis.com/v1"
STORAGE = "https://storage.googleapis.com/storage/v1/b"
PLACES = {  # of resources that have a policy, by their kind
    "account": f"{IAM}/{{project}}/serviceAccounts/{{name}}",
    "key": f"{KMS}/{{name}}",
    "project": "https://cloudresourcemanager.googleapis.com/v3/projects/{name}",
    "secret": "https://secretmanager.googleapis.com/v1/projects/{project}/secrets/{name}",
}
READ = ("key", "secret")  # their policies are asked for by GET
PATIENCE = 60.0  # seconds until an operation of IAM has ended
CONDITIONAL = 3  # the first version of policies with conditions
AS = f"?options.requestedPolicyVersion={CONDITIONAL}"  # else those come back without
STORED_AS = f"optionsRequestedPolicyVersion={CONDITIONAL}"
POLICY = "model-store"  # the name of the one inline policy of a user or role


def google(environment: Environment) -> None:
    """Every account, and its roles on the project, buckets, secrets and accounts."""
    session = _session()
    for account in grants.accounts(environment):
        _account(session, environment.project, account)
    _give(session, environment, grants.google(environment))


def workflows(environment: Environment, trusted: Repository) -> None:
    """The provider of GitHub's identities, and who may be which account; those must be there."""
    session, name = _session(), federation.provider(environment)
    pool, wanted = name.rpartition("/providers/")[0], federation.configuration(trusted)
    _made(session, pool, "workloadIdentityPoolId", {})
    there = _made(session, name, "workloadIdentityPoolProviderId", wanted)
    if any(there.get(key) != value for key, value in wanted.items()):
        fields = ",".join(wanted)
        _ended(session, _call(session, "PATCH", f"{API}/{name}?updateMask={fields}", json=wanted))
    _give(session, environment, federation.users(environment, trusted))


def _session() -> Any:
    return google_session.session(patience.adapter())


def _call(session: Any, method: str, url: str, **fields: Any) -> Any:
    return session.request(method, url, timeout=federation.TIMEOUT, **fields)


def _json(answer: Any) -> dict[str, Any]:
    """What an answer holds. Raises HTTPError."""
    answer.raise_for_status()
    return dict(answer.json())


def _made(session: Any, name: str, field: str, body: dict[str, Any]) -> dict[str, Any]:
    """The pool or provider of that name; it is made where it is not there."""
    found = _call(session, "GET", f"{API}/{name}")
    if found.status_code == 404:
        parent, _, own = name.rpartition("/")
        _ended(session, _call(session, "POST", f"{API}/{parent}?{field}={own}", json=body))
        found = _call(session, "GET", f"{API}/{name}")
    return _json(found)


def _ended(session: Any, answer: Any) -> None:
    """Wait for the end of the operation that a call answered with."""
    operation, deadline = _json(answer), time.monotonic() + PATIENCE
    while not operation.get("done"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{operation['name']} has not ended within {PATIENCE:g} s")
        time.sleep(0.1)
        operation = _json(_call(session, "GET", f"{API}/{operation['name']}"))
    if "error" in operation:
        raise RuntimeError(f"{operation['name']}: {operation['error']['message']}")


def _give(session: Any, environment: Environment, some: list[Grant]) -> None:
    for (kind, name), few in groupby(sorted(some, key=_where), _where):
        _apply(session, environment.project, kind, name, list(few))


def signing_key(environment: Environment) -> None:
    """The key that signs what is built, with its first version; made where it is not there."""
    name = grants.signing_key(environment)
    if not name:
        return
    session = _session()
    ring, _, key = name.partition("/cryptoKeys/")
    template = {"algorithm": "EC_SIGN_P256_SHA256", "protectionLevel": "SOFTWARE"}
    asked = {"purpose": "ASYMMETRIC_SIGN", "versionTemplate": template}
    for parent, field, own, body in (
        (ring.partition("/keyRings/")[0] + "/keyRings", "keyRingId", ring, {}),
        (f"{ring}/cryptoKeys", "cryptoKeyId", key, asked),
    ):
        if session.get(f"{KMS}/{parent}/{own.rpartition('/')[2]}").status_code == 404:
            place = f"{KMS}/{parent}?{field}={own.rpartition('/')[2]}"
            _json(session.post(place, json=body))


def _where(grant: Grant) -> tuple[str, str]:
    return grant.kind, grant.name


def _account(session: Any, project: str, account: str) -> str:
    """The account's numeric id; it is made where it is not there."""
    found = _call(session, "GET", f"{IAM}/{project}/serviceAccounts/{account}")
    if found.status_code == 404:
        body = {"accountId": account.partition("@")[0]}
        found = _call(session, "POST", f"{IAM}/{project}/serviceAccounts", json=body)
    return str(_json(found)["uniqueId"])


def _apply(session: Any, project: str, kind: str, name: str, some: list[Grant]) -> None:
    """Add to the policy of one resource what it lacks.

    All by the one session: each client of an SDK's would read its key and ask for a token of its own.
    """
    if kind == "bucket":
        place = f"{STORAGE}/{name}/iam"
        policy = _with(_json(_call(session, "GET", f"{place}?{STORED_AS}")), some)
        _json(_call(session, "PUT", place, json=policy))
        return
    asked = {"json": {"options": {"requestedPolicyVersion": CONDITIONAL}}} if kind == "project" else {}
    place = PLACES[kind].format(project=project, name=name)
    method, query = ("GET", AS) if kind in READ else ("POST", "" if asked else AS)
    policy = _with(_json(_call(session, method, f"{place}:getIamPolicy{query}", **asked)), some)
    _json(_call(session, "POST", f"{place}:setIamPolicy", json={"policy": policy}))


def _with(policy: dict[str, Any], some: list[Grant]) -> dict[str, Any]:
    bindings = [*policy.get("bindings", []), *map(_binding, some)]
    return {**policy, "version": CONDITIONAL, "bindings": bindings}


def _binding(grant: Grant) -> dict[str, Any]:
    condition = {"condition": grant.condition} if grant.condition else {}
    return {"role": grant.role, "members": [grant.member], **condition}


def bucket(project: str, name: str, some: list[Grant]) -> None:
    """Add grants to a bucket's own policy."""
    _apply(_session(), project, "bucket", name, some)


def aws_roles(environment: Environment, trusted: Repository) -> None:
    """The roles that steps and workflows assume by their identities, where that is the way in."""
    import boto3

    iam = boto3.client("iam", region_name="us-east-1")
    for role in grants.aws(environment, trusted, _number(environment)):
        identity_provider(iam, role)
        aws_role(iam, role)


def _number(environment: Environment) -> str:
    """The numeric id of the pipeline's account."""
    return _account(_session(), environment.project, environment.pipeline_account)


def identity_provider(iam: Any, role: Role) -> None:
    """The identity provider that the role trusts; Google is one everywhere, and has no ARN."""
    wanted = role.trust["Statement"][0]["Principal"]["Federated"]
    known = [one["Arn"] for one in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]]
    if wanted.startswith("arn:") and wanted not in known:
        address = "https://" + wanted.partition("/")[2]
        iam.create_open_id_connect_provider(Url=address, ClientIDList=[grants.GITHUB_AUDIENCE])


def aws_role(iam: Any, role: Role) -> None:
    """The role with its trust and its policy; made where it is not there."""
    trust, policy = json.dumps(role.trust), json.dumps(role.policy)
    known = [
        one["RoleName"] for page in iam.get_paginator("list_roles").paginate() for one in page["Roles"]
    ]
    if role.name in known:
        iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=trust)
    else:
        iam.create_role(RoleName=role.name, Path=role.path, AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName=role.name, PolicyName=POLICY, PolicyDocument=policy)


def aws_user(environment: Environment, name: str, who: S3User) -> Any:
    """The IAM client and the user `name` with its policy; made where it is not there."""
    import boto3

    iam = boto3.client("iam", region_name="us-east-1")
    if name not in [user["UserName"] for user in iam.list_users()["Users"]]:
        iam.create_user(UserName=name)
    policy = json.dumps(grants.s3_policy(environment, who))
    iam.put_user_policy(UserName=name, PolicyName=POLICY, PolicyDocument=policy)
    return iam
