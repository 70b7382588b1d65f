"""S3 and STS: users and roles do what their policies say, and an identity token is a role's key."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from localcloud.client import Client, free_port
from localcloud.identity import new_key, unique_id
from localcloud.store import Store
from tests.conftest import WORLD, Program
from tests.localcloud.test_iam import As, account

pytestmark = pytest.mark.slow

START = """
import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
def tried(call, **fields):
    try:
        return call(**fields) and "done"
    except ClientError as error:
        return [error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]]
def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}
def user(name, actions):
    iam = boto3.client("iam")
    iam.create_user(UserName=name)
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "arn:aws:s3:::%s/models/*"}
    text = json.dumps(document(allowed))
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text)
    return iam.create_access_key(UserName=name)["AccessKey"]
def client_of(key, secret, token=None):
    return boto3.client("s3", region_name="eu-west-1", aws_access_key_id=key,
                        aws_secret_access_key=secret, aws_session_token=token)
def bucket(name):
    boto3.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
"""


def test_a_user_does_what_its_policy_allows(program: Program) -> None:
    answer = program(
        START % "policies"
        + """
bucket("policies")
owner = boto3.client("s3")
for key in ("models/a", "elsewhere"):
    owner.put_object(Bucket="policies", Key=key, Body=b"x")
answer = {}
for name, actions in (("reads", ["s3:GetObject"]), ("writes", ["s3:GetObject", "s3:PutObject"])):
    made = user(name, actions)
    s3 = client_of(made["AccessKeyId"], made["SecretAccessKey"])
    where = {"Bucket": "policies", "Key": "models/a"}
    answer[name] = [
        tried(s3.get_object, **where), tried(s3.put_object, **{**where, "Key": "models/b"}, Body=b"y"),
        tried(s3.delete_object, **where), tried(s3.get_object, Bucket="policies", Key="elsewhere"),
        tried(s3.get_object, Bucket="policies", Key="models/none"),
        tried(s3.list_objects_v2, Bucket="policies"),
        tried(s3.put_object, Bucket="policies", Key="elsewhere", Body=b"y"),
        tried(s3.copy_object, **where, CopySource="policies/elsewhere"),
        tried(s3.get_object, Bucket="policies-none", Key="models/a")]
try:
    client_of(made["AccessKeyId"], made["SecretAccessKey"]).delete_object(**where)
except ClientError as error:
    answer["words"] = error.response["Error"]["Message"]
"""
    )
    denied = [403, "AccessDenied"]
    tail = [denied] * 6 + [[404, "NoSuchBucket"]]
    assert answer["reads"] == ["done", denied, *tail]
    assert answer["writes"] == ["done", "done", *tail]
    assert answer["words"] == (
        "User: arn:aws:iam::123456789012:user/writes is not authorized to perform: s3:DeleteObject on"
        ' resource: "arn:aws:s3:::policies/models/a" because no identity-based policy allows the'
        " s3:DeleteObject action"
    )


def test_a_bucket_s_own_policy_can_forbid_and_allow(program: Program) -> None:
    answer = program(
        START % "ruled"
        + """
bucket("ruled")
made = user("ruled", ["s3:PutObject"])
where = {"Bucket": "ruled", "Key": "models/a"}
s3 = client_of(made["AccessKeyId"], made["SecretAccessKey"])
objects = "arn:aws:s3:::ruled/models/*"
policy = document(
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:user/ruled"},
     "Action": "s3:GetObject", "Resource": objects},
    {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": objects,
     "Condition": {"Null": {"s3:if-none-match": "true"}}})
before = tried(s3.put_object, **where, Body=b"x")
boto3.client("s3").put_bucket_policy(Bucket="ruled", Policy=json.dumps(policy))
answer = [before, tried(s3.get_object, **where), tried(s3.put_object, **where, Body=b"x"),
    tried(s3.put_object, **{**where, "Key": "models/b"}, Body=b"x", IfNoneMatch="*"),
    tried(boto3.client("s3").put_object, **where, Body=b"x")]
"""
    )
    denied = [403, "AccessDenied"]
    assert answer == ["done", "done", denied, "done", denied]


def test_policies_that_would_not_hold_are_refused_when_they_are_put(program: Program) -> None:
    answer = program(
        START % "unruled"
        + """
bucket("unruled")
open_to_all = {"Effect": "Allow", "Action": "s3:*"}
text = json.dumps(document({**open_to_all, "Resource": "*", "NotPrincipal": {"AWS": "1"}}))
answer = [tried(boto3.client("s3").put_bucket_policy, Bucket="unruled", Policy=text)]
iam, text = boto3.client("iam"), json.dumps(document(open_to_all))
iam.create_user(UserName="unruled")
answer += [
    tried(iam.put_user_policy, UserName="unruled", PolicyName="p", PolicyDocument=text),
    tried(iam.create_role, RoleName="unruled", AssumeRolePolicyDocument=text)]
"""
    )
    assert answer == [[400, "MalformedPolicy"], *[[400, "MalformedPolicyDocument"]] * 2]


def test_an_account_s_bucket_policy_leaves_it_to_the_users_own(program: Program) -> None:
    answer = program(
        START % "delegated"
        + """
bucket("delegated")
made = user("delegated", ["s3:GetObject"])
where = {"Bucket": "delegated", "Key": "models/a"}
boto3.client("s3").put_object(**where, Body=b"x")
policy = document({"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
                   "Action": "s3:*", "Resource": "arn:aws:s3:::delegated/*"})
boto3.client("s3").put_bucket_policy(Bucket="delegated", Policy=json.dumps(policy))
s3 = client_of(made["AccessKeyId"], made["SecretAccessKey"])
answer = [tried(s3.get_object, **where), tried(s3.delete_object, **where)]
"""
    )
    assert answer == ["done", [403, "AccessDenied"]]


def test_keys_and_signatures_are_checked(program: Program) -> None:
    answer = program(
        START % "signing"
        + """
bucket("signing")
made = user("signing", ["s3:GetObject"])
there = {"Bucket": "signing", "Key": "models/a"}
boto3.client("s3").put_object(**there, Body=b"x")
key, secret = made["AccessKeyId"], made["SecretAccessKey"]
iam, sts = boto3.client("iam"), boto3.client("sts")
answer = [
    tried(client_of("AKIA" + "X" * 16, secret).get_object, **there),
    tried(client_of(key, secret + "x").get_object, **there),
    tried(client_of(key, secret, "token").get_object, **there),
    tried(client_of("ASIA" + "X" * 16, secret, "token").get_object, **there),
    tried(boto3.client("sts", aws_access_key_id="AKIA" + "X" * 16,
        aws_secret_access_key=secret).get_caller_identity),
    tried(boto3.client("iam", aws_access_key_id=key, aws_secret_access_key=secret).list_users),
    tried(iam.create_group, GroupName="forgotten"),
    [sts.get_caller_identity()["Arn"], boto3.client("sts", aws_access_key_id=key,
        aws_secret_access_key=secret).get_caller_identity()["Arn"]]]
iam.delete_access_key(UserName="signing", AccessKeyId=key)
answer.append(tried(client_of(key, secret).get_object, **there))
"""
    )
    unknown, arn = [403, "InvalidAccessKeyId"], "arn:aws:iam::123456789012"
    assert answer == [
        *(unknown, [403, "SignatureDoesNotMatch"], "done", unknown),
        *([403, "InvalidClientTokenId"], [403, "AccessDenied"], [400, "InvalidAction"]),
        [f"{arn}:root", f"{arn}:user/signing"],
        unknown,
    ]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Client]:
    """A local cloud of the test's own, which it may stop."""
    client = Client(tmp_path / "cloud")
    client.up(WORLD, free_port())
    yield client
    client.down()


def test_users_and_roles_outlive_a_restart(own: Client, run_in: Callable[..., Any]) -> None:
    made = run_in(own, START % "kept" + KEPT)
    own.down()
    own.up(WORLD, free_port())
    answer = run_in(own, f"made = {made!r}\n" + START % "kept" + KEPT_AFTER)
    assert answer == ["done", [403, "AccessDenied"], ["arn:aws:iam::123456789012:role/kept"]]


KEPT = """
bucket("kept")
made = user("kept", ["s3:PutObject"])
boto3.client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument=json.dumps(document()))
answer = [made["AccessKeyId"], made["SecretAccessKey"]]
"""
KEPT_AFTER = """
s3 = client_of(*made)
answer = [tried(s3.put_object, Bucket="kept", Key="models/a", Body=b"x"),
    tried(s3.delete_object, Bucket="kept", Key="models/a"),
    [role["Arn"] for role in boto3.client("iam").list_roles()["Roles"]]]
"""
STEPS, AUDIENCE, ROLE = (
    account("stepping"),
    "sts.amazonaws.com/retrain",
    "arn:aws:iam::123456789012:role/",
)
EXCHANGE = """
from google.auth.transport.requests import Request
from google.oauth2 import id_token
sts = boto3.client("sts", region_name="eu-west-1", config=Config(signature_version=UNSIGNED))
def exchange(token, role, **more):
    return sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="step", WebIdentityToken=token, **more)
"""


@pytest.fixture(scope="module")
def role(program: Program) -> str:
    """A role that trusts one account's tokens for one audience; it may write below models/."""
    number = unique_id(STEPS)
    wanted = {"aud": number, "oaud": AUDIENCE, "sub": number}
    conditions = {f"accounts.google.com:{key}": value for key, value in wanted.items()}
    program(
        START % "keyless"
        + f"""
bucket("keyless")
trust = document({{"Effect": "Allow", "Principal": {{"Federated": "accounts.google.com"}},
    "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {{"StringEquals": {conditions!r}}}}})
iam = boto3.client("iam")
iam.create_role(RoleName="keyless", AssumeRolePolicyDocument=json.dumps(trust))
policy = document({{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"],
    "Resource": "arn:aws:s3:::keyless/models/*"}})
iam.put_role_policy(RoleName="keyless", PolicyName="p", PolicyDocument=json.dumps(policy))
"""
    )
    return "arn:aws:iam::123456789012:role/keyless"


def signed(cloud: Client, **changed: Any) -> str:
    """A token that is signed as Google's are."""
    store = Store(cloud.root)
    keys = store.get("signing-key", "google")
    store.close()
    assert keys is not None
    now, number = int(time.time()), unique_id(STEPS)
    claims = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": number, "sub": number}
    claims |= {"iat": now, "exp": now + 3600} | changed
    return jwt.encode(claims, keys["private"], "RS256", {"kid": "local"})


def test_a_step_writes_with_nothing_but_its_identity(cloud: Client, role: str, as_account: As) -> None:
    use = (
        START % "keyless"
        + f"""
from pathlib import Path
from flows import released, s3
from flows.errors import RetrainError
from flows.storage import Address
access = released.Access(region="eu-west-1", auth="web-identity", role={role!r}, audience={AUDIENCE!r})
place = Address.parse("s3://keyless/models/f/v/model", "s3")
try:
    store = released.client("test-project", access)
    answer = [s3.put(store, place, b"weights"), s3.get(store, place, 100).decode(),
              tried(store.delete_object, Bucket="keyless", Key=place.key)]
except RetrainError as error:
    answer = str(error)
"""
    )
    assert as_account(STEPS, use) == [True, "weights", [403, "AccessDenied"]]
    other = as_account(account("stranger"), use)
    assert f"{role}: AWS refuses it to this identity: AccessDenied: Not authorized to perform" in other
    assert "accounts.google.com:aud" in other


def test_a_token_is_checked_before_it_is_exchanged(cloud: Client, role: str, as_account: As) -> None:
    as_account(STEPS, "from flows import web_identity\nweb_identity.identity_token('any')")
    stranger = jwt.encode(
        jwt.decode(signed(cloud), options={"verify_signature": False}), new_key()[0], "RS256"
    )
    tokens = {
        "good": signed(cloud),
        "again": signed(cloud, iat=1),
        "no azp": signed(cloud, azp=None),
        "audience": signed(cloud, aud="another"),
        "party": signed(cloud, azp="1"),
        "subject": signed(cloud, sub="1"),
        "ended": signed(cloud, exp=int(time.time()) - 1),
        "issuer": signed(cloud, iss="https://example.com"),
        "signature": stranger,
        "nonsense": "nonsense",
    }
    answer = as_account(
        STEPS,
        START % "keyless"
        + EXCHANGE
        + f"""
tokens, role = {tokens!r}, {role!r}
answer = {{name: tried(exchange, token=token, role=role) for name, token in tokens.items()}}
answer["replayed"] = tried(exchange, token=tokens["good"], role=role)
answer["no role"] = tried(exchange, token=tokens["good"], role=role + "x")
answer["too long"] = tried(exchange, token=tokens["good"], role=role, DurationSeconds=7200)
""",
    )
    denied, invalid = [403, "AccessDenied"], [400, "InvalidIdentityToken"]
    assert answer == {
        **{"good": "done", "again": "done", "replayed": "done", "no azp": denied},
        **{"audience": denied, "party": denied, "subject": denied, "no role": denied},
        **{"issuer": invalid, "signature": invalid, "nonsense": invalid},
        **{"ended": [400, "ExpiredTokenException"], "too long": [400, "ValidationError"]},
    }


def test_a_session_ends(cloud: Client, role: str, program: Program, as_account: As) -> None:
    made = as_account(
        STEPS,
        START % "keyless"
        + EXCHANGE
        + f"""
made = exchange(id_token.fetch_id_token(Request(), {AUDIENCE!r}), {role!r})["Credentials"]
answer = [made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]]
""",
    )
    use = (
        START % "keyless"
        + """
where = {"Bucket": "keyless", "Key": "models/session"}
answer = [tried(client_of(*made).put_object, **where, Body=b"x"),
          tried(client_of(made[0], made[1], "other").get_object, **where)]
"""
    )
    assert program(f"made = {made!r}\n{use}") == ["done", [400, "InvalidToken"]]
    store = Store(cloud.root)
    record = store.get("aws-session", made[0])
    assert record is not None
    store.put("aws-session", made[0], record | {"expires": 0})
    store.close()
    assert program(f"made = {made!r}\n{use}")[0] == [400, "ExpiredToken"]
