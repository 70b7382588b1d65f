"""The main job without any key of AWS, and with images that are signed: all by who one is."""

import re
from collections.abc import Iterator

import pytest

from flows import config
from tests.clone import Clone, Ended, clone

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/retrain/"
KEYED = """aws_region = "eu-west-1"

[environments.local.secrets]
s3_writer = "s3-writer"
s3_reader = "s3-reader"
s3_deploy = "s3-deploy"
"""
SIGNER = "projects/retrain-local/locations/europe-west1/keyRings/own/cryptoKeys/own/cryptoKeyVersions/1"
KEYLESS = f"""aws_region = "eu-west-1"
attest = "kms"
attest_key = "{SIGNER}"
s3_auth = "web-identity"
s3_role = "{ROLE}steps"
s3_release_role = "{ROLE}release"
s3_deploy_role = "{ROLE}deploy"
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
        ["PolicyDocument"]["Statement"][-1]["Action"] for role in iam.list_roles()["Roles"]},
}
"""
PUBLIC = f"""
from google.cloud import kms
answer = kms.KeyManagementServiceClient().get_public_key(name="{SIGNER}").pem
"""


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A fresh clone whose environments in the local cloud name roles, and no AWS secret."""
    with clone(tmp_path_factory.mktemp("keyless")) as made:
        made.write("settings.toml", KEYED, KEYLESS)
        made.write("settings.toml", EXPERIMENT, WITHOUT)
        looked = made.verb("doctor", "local")
        assert f"trust/local.toml does not name {SIGNER}" in looked.err, looked
        key = f"schema = 1\n[[keys]]\nname = '{SIGNER}'\npublic = '''{made.program(PUBLIC)}'''\n"
        (made.folder / "trust" / "local.toml").write_text(key)
        yield made


@pytest.fixture(scope="module")
def ended(keyless: Clone) -> Ended:
    """A run of it."""
    return keyless.run("linnerud")


def test_a_run_needs_no_key_of_aws(keyless: Clone, ended: Ended) -> None:
    assert ended.code == 0, ended
    assert ended.answer["state"] == "proposed", ended
    assert ended.answer["pull_request"]["number"] == 1
    held = keyless.program(HELD)
    assert held["users"] == []
    assert held["secrets"] == ["github-notify-app", "github-release-app"]
    assert held["actions"] == {
        "steps": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
        "release": ["s3:GetObject"],
        "deploy": ["s3:GetObject", "s3:PutObject"],
        "experiment": ["s3:GetObject"],
    }
    assert sum(f"role          {ROLE}release, assumed" in log for log in logs(keyless)) == 1
    assert asked(keyless) == {"pipeline": 1, "release": 1}


def test_what_train_has_built_it_has_signed(keyless: Clone, ended: Ended) -> None:
    assert ended.code == 0, ended
    signed = [log for log in logs(keyless) if "attested      " in log]
    assert len(signed) == 1
    assert f" · {SIGNER}" in signed[0]
    looked = keyless.verb("doctor", "local")
    assert f"attest        ok      kms · {SIGNER}" in looked.err, looked
    assert "may sign, too" not in looked.err
    calls = (keyless.cloud.root / "calls.log").read_text().splitlines()
    callers = [one.split()[1] for one in calls if "cloudkms.AsymmetricSign" in one]
    images = {"base", *(config.load(name).image for name in config.names())}
    assert [caller.split("-")[0] for caller in callers] == ["run"] * len(images)


def logs(keyless: Clone) -> list[str]:
    """The logs of all workflow runs."""
    return [path.read_text() for path in (keyless.cloud.root / "runs").glob("*/log.txt")]


def asked(keyless: Clone) -> dict[str, int]:
    """How often STS was asked for keys, by steps and by release workflows."""
    lines = (keyless.cloud.root / "calls.log").read_text().splitlines()
    callers = [one.split()[1] for one in lines if "sts.AssumeRoleWithWebIdentity" in one]
    release = sum(bool(re.match(r"run-\d+", one)) for one in callers)
    return {"pipeline": len(callers) - release, "release": release}
