"""Least privilege, as the table of grants has it."""

import msgspec
import pytest

from delivery import grants
from delivery.settings import Environment, load
from flows import serving_config
from flows.errors import InputError
from flows.serving_config import Serving
from localcloud.roles import ROLES

LOCAL = load().environment("local")
EXPERIMENT: Environment = msgspec.structs.replace(
    LOCAL,
    pipeline_account="experiment@retrain-local.iam.gserviceaccount.com",
    pipeline_root="gs://retrain-local-pipelines/experiments",
    ends_at="evaluate",
)
ACME = grants.Repository("acme/models", 7, 8)
ROLE = "arn:aws:iam::123456789012:role/team/"
KEYLESS: Environment = msgspec.structs.replace(
    LOCAL,
    s3_auth="web-identity",
    s3_role=f"{ROLE}steps",
    s3_release_role=f"{ROLE}release",
    s3_deploy_role=f"{ROLE}deploy",
    s3_audience="retrain",
)


def secrets_of(account: str) -> set[str]:
    return {one.name for one in grants.google(LOCAL) if one.account == account and one.kind == "secret"}


def test_a_pipeline_s_account_may_use_vertex_ai_and_write_logs() -> None:
    roles = {one.role for one in grants.google(LOCAL) if one.account == LOCAL.pipeline_account}
    assert {"roles/aiplatform.user", "roles/logging.logWriter"} <= roles


def test_the_local_cloud_knows_every_role() -> None:
    signed = msgspec.structs.replace(LOCAL, attest="kms", attest_key="a/cryptoKeyVersions/1")
    for environment in (LOCAL, EXPERIMENT, signed):
        assert {one.role for one in grants.google(environment)} <= set(ROLES)


def test_each_secret_is_for_those_who_use_it() -> None:
    named = LOCAL.secrets
    assert secrets_of(LOCAL.pipeline_account) == {
        *(named.s3_reader, named.s3_writer, named.github_notify)
    }
    release = grants.account(LOCAL, grants.RELEASE)
    assert secrets_of(release) == {named.s3_reader, named.github_release}
    assert secrets_of(grants.account(LOCAL, grants.DEPLOY)) == {named.s3_deploy}
    assert secrets_of(grants.account(LOCAL, grants.TICK)) == set()
    assert secrets_of(grants.account(LOCAL, grants.TRAIN)) == set()


def test_tick_reads_the_release_app_s_key_where_a_flow_promotes_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tick = grants.account(LOCAL, grants.TICK)
    auto = {"local": Serving(promote="auto")}
    monkeypatch.setattr(serving_config, "load", lambda name, where: auto.get(where, Serving()))
    assert secrets_of(tick) == {LOCAL.secrets.github_release}
    auto.clear()
    assert secrets_of(tick) == set()


def test_only_those_who_submit_may_act_as_the_pipeline_s_account() -> None:
    acting = {one.account for one in grants.google(LOCAL) if one.kind == "account"}
    assert acting == {grants.account(LOCAL, one) for one in (grants.TRAIN, grants.TICK)}
    pushing = {one.account for one in grants.google(LOCAL) if "artifactregistry" in one.role}
    assert pushing == acting
    [only] = {one.only for one in grants.google(LOCAL) if "artifactregistry" in one.role}
    assert only == "projects/retrain-local/locations/europe-west1/repositories/retrain"


def test_only_train_signs_what_is_built() -> None:
    key = "projects/retrain-local/locations/europe-west1/keyRings/retrain/cryptoKeys/images"
    attest_key = f"{key}/cryptoKeyVersions/1"
    signed = msgspec.structs.replace(LOCAL, attest="kms", attest_key=attest_key)
    [only] = [one for one in grants.google(signed) if one.kind == "key"]
    assert (only.account, only.role) == (grants.account(LOCAL, grants.TRAIN), "roles/cloudkms.signer")
    assert only.name == key
    looking = {one.account for one in grants.google(signed) if one.role == grants.LOOKS}
    assert looking == {grants.account(LOCAL, one) for one in (grants.RELEASE, grants.DEPLOY)}
    unused = msgspec.structs.replace(signed, attest="off")
    assert not [one for one in grants.google(unused) if one.kind == "key"]


def test_a_branch_reads_the_data_and_writes_below_its_own_prefix_only() -> None:
    table = grants.google(EXPERIMENT)
    assert {one.account for one in table} == {EXPERIMENT.pipeline_account}
    writing = [one for one in table if one.role == "roles/storage.objectUser"]
    objects = "projects/_/buckets/retrain-local-pipelines/objects/experiments/"
    assert [one.condition for one in writing] == [
        {"title": "own-part", "expression": f"resource.name.startsWith('{objects}')"}
    ]
    assert {one.name for one in table if one.kind == "secret"} == {LOCAL.secrets.s3_reader}
    assert [one.name for one in table if one.kind == "account"] == [EXPERIMENT.pipeline_account]
    whole = msgspec.structs.replace(EXPERIMENT, pipeline_root="gs://retrain-local-pipelines")
    with pytest.raises(InputError, match="is a whole bucket"):
        grants.google(whole)


def test_a_branch_s_role_on_aws_reads_only() -> None:
    experiment = msgspec.structs.replace(KEYLESS, ends_at="evaluate")
    [role] = grants.aws(experiment, ACME, "123")
    assert role.policy == grants.s3_policy(LOCAL)


def test_secrets_and_buckets_are_granted_one_by_one() -> None:
    broad = {"roles/owner", "roles/editor", "roles/storage.admin", "roles/secretmanager.admin"}
    assert not broad & {one.role for one in grants.google(LOCAL)}
    for one in grants.google(LOCAL):
        service = one.role.removeprefix("roles/").partition(".")[0]
        assert one.kind == {"secretmanager": "secret", "storage": "bucket", "iam": "account"}.get(
            service, "project"
        )


def test_a_keyless_environment_has_no_grants_on_keys() -> None:
    names = msgspec.structs.replace(LOCAL.secrets, s3_reader=None, s3_writer=None)
    keyless = msgspec.structs.replace(LOCAL, secrets=names, s3_auth="web-identity")
    assert "" not in {one.name for one in grants.google(keyless)}


def test_nobody_deletes_or_lists_models() -> None:
    for who in ("s3_reader", "s3_writer", "s3_deploy"):
        statement, *more = grants.s3_policy(LOCAL, who)["Statement"]
        assert statement["Resource"] == "arn:aws:s3:::retrain-local-models/models/*"
        actions = [action for one in (statement, *more) for action in one["Action"]]
        assert not [one for one in actions if "Delete" in one or "List" in one]
        assert ("s3:PutObject" in statement["Action"]) == (who == "s3_writer")


def test_what_may_be_promoted_from_elsewhere_is_read_there() -> None:
    origins = {"staging": "s3://acme-models-staging", "shared": LOCAL.model_store}
    promoting = msgspec.structs.replace(LOCAL, origins=origins)
    for who in ("s3_reader", "s3_writer", "s3_deploy"):
        usual, found = (grants.s3_policy(one, who)["Statement"] for one in (LOCAL, promoting))
        [more] = [one for one in found if one not in usual]
        assert more["Action"] == ["s3:GetObject"]
        assert more["Resource"] == "arn:aws:s3:::acme-models-staging/models/*"


def test_deploy_writes_the_environment_s_channels_alone() -> None:
    _, channels = grants.s3_policy(LOCAL, "s3_deploy")["Statement"]
    assert channels["Resource"] == "arn:aws:s3:::retrain-local-models/channels/local/*"
    assert channels["Action"] == ["s3:GetObject", "s3:PutObject"]


def test_tick_writes_locks_alone_into_the_serving_bucket() -> None:
    serving = "retrain-local-serving"
    there = [one for one in grants.google(LOCAL) if one.name == serving]
    writing = {one.account: one.only for one in there if one.role == grants.WRITES}
    [looks] = [one for one in there if one.role != grants.WRITES]
    # Without storage.objects.list, Cloud Storage answers 403 for a lock that is not there.
    assert (looks.account, looks.role) == (
        grants.account(LOCAL, grants.TICK),
        "roles/storage.legacyBucketReader",
    )
    assert writing == {
        grants.account(LOCAL, grants.TICK): f"projects/_/buckets/{serving}/objects/locks/",
        grants.account(LOCAL, grants.DEPLOY): "",
    }


def test_the_role_trusts_one_account_and_one_audience() -> None:
    [statement] = grants.google_trust(KEYLESS, "123")["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "accounts.google.com:aud": "123",
        "accounts.google.com:oaud": "retrain",
        "accounts.google.com:sub": "123",
    }


def test_a_workflow_s_role_trusts_one_file_on_one_repository_s_main() -> None:
    [statement] = grants.github_trust(f"{ROLE}release", ACME, "release-pr")["Statement"]
    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    assert statement["Principal"] == {"Federated": provider}
    assert statement["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": [
                "repo:acme/models:ref:refs/heads/main",
                "repo:acme@8/models@7:ref:refs/heads/main",
            ],
            "token.actions.githubusercontent.com:job_workflow_ref": (
                "acme/models/.github/workflows/release-pr.yml@refs/heads/main"
            ),
        }
    }


def test_only_the_steps_role_writes() -> None:
    steps, release, deploy = grants.aws(KEYLESS, ACME, "123")
    assert (steps.name, release.name, release.path) == ("steps", "release", "/team/")
    assert steps.policy == grants.s3_policy(LOCAL, "s3_writer")
    assert deploy.policy == grants.s3_policy(LOCAL, "s3_deploy")
    assert deploy.trust == grants.github_trust(deploy.arn, ACME, "deploy")
    [statement] = release.policy["Statement"]
    assert statement["Action"] == ["s3:GetObject"]
    assert statement["Resource"] == "arn:aws:s3:::retrain-local-models/models/*"
    assert grants.aws(LOCAL, ACME, "123") == []
