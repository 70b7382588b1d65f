"""Workflows as Google accounts: what GitHub must say of a job, and whose account that makes it."""

import re

import msgspec
import pytest

from delivery import federation, grants, identity
from delivery.grants import Repository
from delivery.settings import Environment, load
from flows.errors import InputError
from localcloud import cel

LOCAL = load().environment("local")
EXPERIMENT: Environment = msgspec.structs.replace(
    LOCAL,
    name="experiment",
    pipeline_account="experiment@retrain-local.iam.gserviceaccount.com",
    pipeline_root="gs://retrain-local-pipelines/experiments",
    ends_at="evaluate",
)
ACME = Repository("acme/models", 7, 8)
CLAIMS = {"repository_id": "7", "repository_owner_id": "8", "event_name": "push"}


@pytest.mark.parametrize(
    ("changed", "may"),
    [
        ({}, True),
        ({"event_name": "schedule"}, True),
        ({"event_name": "workflow_dispatch"}, True),
        ({"event_name": "pull_request"}, False),
        ({"event_name": "pull_request_target"}, False),
        ({"repository_id": "9"}, False),
        ({"repository_owner_id": "9"}, False),
        ({"repository_owner_id": None}, False),
    ],
)
def test_one_repository_s_own_events_get_in(changed: dict[str, str | None], may: bool) -> None:
    condition = federation.configuration(ACME)["attributeCondition"]
    claims = {key: value for key, value in (CLAIMS | changed).items() if value is not None}
    assert cel.holds(condition, {"assertion": claims}) is may


def test_the_subject_is_short_whatever_a_branch_is_called() -> None:
    claims = {"repository_id": "9" * 12, "run_id": "9" * 12, "run_attempt": "1", "sub": "x" * 200}
    subject = cel.evaluate(federation.MAPPING["google.subject"], {"assertion": claims})
    assert str(subject) == f"{'9' * 12}/{'9' * 12}/1"


def test_each_workflow_on_main_is_its_own_account() -> None:
    users = federation.users(LOCAL, ACME)
    assert [user.name for user in users] == [
        f"workflow-{one}@retrain-local.iam.gserviceaccount.com"
        for one in ("train", "tick", "release-pr", "deploy")
    ]
    assert {user.role for user in users} == {"roles/iam.workloadIdentityUser"}
    assert users[2].member == (
        "principalSet://iam.googleapis.com/projects/100000000001/locations/global/workloadIdentityPools"
        "/github/attribute.job_workflow_ref/acme/models/.github/workflows/release-pr.yml@refs/heads/main"
    )
    assert {user.name for user in users} <= set(grants.accounts(LOCAL))


def test_branches_are_one_account_that_is_no_other() -> None:
    [user] = federation.users(EXPERIMENT, ACME)
    assert user.name == EXPERIMENT.pipeline_account
    assert user.member.endswith("/attribute.repository_id/7")
    assert grants.accounts(EXPERIMENT) == [EXPERIMENT.pipeline_account]


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, str]:
    assert identity.main([*argv]) == 0
    return dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("workflow", grants.WORKFLOWS)
def test_identity_says_provider_and_account(workflow: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, workflow, "--environment", "local")
    assert found == {
        "provider": LOCAL.workload_identity_provider,
        "account": f"workflow-{workflow}@retrain-local.iam.gserviceaccount.com",
    }


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["ci"], "workflow 'ci' has no account in environment 'local'"),
        (["train", "--env", "nowhere"], "settings.toml has no environment 'nowhere'"),
    ],
)
def test_what_has_no_identity_is_refused(argv: list[str], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        identity.main(argv)


def test_for_branches_there_is_train_alone() -> None:
    assert identity.account(EXPERIMENT, "train") == EXPERIMENT.pipeline_account
    with pytest.raises(InputError, match="name one of: train"):
        identity.account(EXPERIMENT, "release-pr")
    without = msgspec.structs.replace(LOCAL, workload_identity_provider=None)
    with pytest.raises(InputError, match="has no workload_identity_provider"):
        federation.provider(without)
