"""The main job without any AWS key: steps and the release workflow assume roles by who they are."""

import re
from collections.abc import Iterator

import pytest

from tests.clone import Clone, clone

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/retrain/"
KEYED = """aws_region = "eu-west-1"

[environments.local.secrets]
s3_writer = "s3-writer"
s3_reader = "s3-reader"
"""
KEYLESS = f"""aws_region = "eu-west-1"
s3_auth = "web-identity"
s3_role = "{ROLE}steps"
s3_release_role = "{ROLE}release"
s3_audience = "retrain"

[environments.local.secrets]
"""
EXPERIMENT = """[environments.experiment.secrets]
s3_reader = "s3-reader"
"""
WITHOUT = f"""s3_auth = "web-identity"
s3_role = "{ROLE}experiment"
s3_audience = "retrain"

[environments.experiment.secrets]
"""
# Who has keys, what AWS was asked for by whom, and what each role may do.
HELD = """
import boto3
from google.cloud import secretmanager
iam = boto3.client("iam")
secrets = secretmanager.SecretManagerServiceClient().list_secrets(parent="projects/retrain-local")
answer = {
    "users": iam.list_users()["Users"],
    "secrets": sorted(one.name.rpartition("/")[2] for one in secrets),
    "actions": {
        role["RoleName"]: iam.get_role_policy(RoleName=role["RoleName"], PolicyName="model-store")
        ["PolicyDocument"]["Statement"][0]["Action"] for role in iam.list_roles()["Roles"]},
}
"""


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A fresh clone whose environments in the local cloud name roles, and no AWS secret."""
    with clone(tmp_path_factory.mktemp("keyless")) as made:
        made.write("settings.toml", KEYED, KEYLESS)
        made.write("settings.toml", EXPERIMENT, WITHOUT)
        yield made


def test_a_run_needs_no_key_of_aws(keyless: Clone) -> None:
    ended = keyless.run("linnerud")
    assert ended.code == 0, ended
    assert ended.answer["state"] == "proposed", ended
    assert ended.answer["pull_request"]["number"] == 1
    held = keyless.program(HELD)
    assert held["users"] == []
    assert held["secrets"] == ["github-notify-app", "github-release-app"]
    assert held["actions"] == {
        "steps": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
        "release": ["s3:GetObject"],
        "experiment": ["s3:GetObject"],
    }
    logs = [path.read_text() for path in (keyless.cloud.root / "runs").glob("*/log.txt")]
    assert sum(f"role          {ROLE}release, assumed" in log for log in logs) == 1
    assert asked(keyless) == {"pipeline": 1, "release": 1}


def asked(keyless: Clone) -> dict[str, int]:
    """How often STS was asked for keys, by steps and by release workflows."""
    lines = (keyless.cloud.root / "calls.log").read_text().splitlines()
    callers = [one.split()[1] for one in lines if "sts.AssumeRoleWithWebIdentity" in one]
    release = sum(bool(re.match(r"run-\d+", one)) for one in callers)
    return {"pipeline": len(callers) - release, "release": release}
