"""`doctor`'s checks, each against a real local cloud in which one thing is wrong."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.awsrequest import AWSResponse

from delivery import (
    checks,
    components,
    doctor,
    federation,
    grants,
    image,
    referrers,
    serving_checks,
    settings,
    supply_checks,
)
from delivery.compile import GOLDEN
from delivery.finding import Finding
from delivery.serving_names import endpoint_id
from flows import config, serving_config
from flows.errors import InputError
from flows.s3 import s3_client
from localcloud.environment import Environment
from tests.conftest import ROOT, WORLD

LOCAL = settings.load().environment("local")
HERE = json.dumps({
    "name": "tests", "project": WORLD.project, "region": WORLD.region,
    "pipeline_root": "gs://doctor-pipelines", "serving_bucket": "gs://doctor-serving",
    "artifact_registry": f"{WORLD.region}-docker.pkg.dev/{WORLD.project}/doctor",
    "pipeline_account": LOCAL.pipeline_account, "model_store": "s3://doctor-models",
    "aws_region": WORLD.aws_region,
    "secrets": {"github_notify": "doctor-notify", "github_release": "doctor-release"},
})  # fmt: skip
PROGRAM = """
import json, sys
from dataclasses import asdict
from pathlib import Path
import msgspec
from delivery import checks, settings
from delivery.settings import Environment

environment = msgspec.json.decode(sys.argv[1], type=Environment)
settings.ROOT = Path(sys.argv[3])
names = sys.argv[2].split()
wanted = [check for name, check in [*checks.HERE.items(), *checks.GOOGLE.items()]
          if check.__name__ in names]
found = [asdict(one) for check in wanted for one in checks.guarded("x", check, environment)]
print(json.dumps(found))
"""


@pytest.fixture
def look(owner: Environment) -> Any:
    """Runs checks by name, as the owner of a local cloud."""

    def run(names: str, root: Path = ROOT, **changed: str) -> list[dict[str, str]]:
        here = json.dumps(json.loads(HERE) | changed)
        path = f"{ROOT}/vertex-ai-pipelines:{ROOT}"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, here, names, str(root)],
            env=owner.over(dict(os.environ)) | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return list(json.loads(done.stdout.splitlines()[-1]))

    return run


def test_what_is_missing_is_named_with_its_mend(look: Any, program: Any) -> None:
    missing = look("secrets google_buckets model_store")
    assert {one["state"] for one in missing} == {"failed"}
    assert [one["found"] for one in missing] == [
        "s3://doctor-models: there is none",
        "doctor-notify: there is no such secret, or it has no version",
        "doctor-release: there is no such secret, or it has no version",
        "gs://doctor-pipelines: there is none",
        "gs://doctor-serving: there is none",
    ]
    assert all(one["expected"] and one["mend"] for one in missing)
    program("""
import boto3
from google.cloud import secretmanager, storage
google = storage.Client()
google.create_bucket("doctor-pipelines", location="europe-west1")
google.create_bucket("doctor-serving", location="us-east1")
s3 = boto3.client("s3")
place = {"LocationConstraint": "eu-west-1"}
s3.create_bucket(Bucket="doctor-models", CreateBucketConfiguration=place)
manager = secretmanager.SecretManagerServiceClient()
parent = f"projects/{os.environ['GOOGLE_CLOUD_PROJECT']}"
for name in ("doctor-notify", "doctor-release"):
    manager.create_secret(parent=parent, secret_id=name, secret={"replication": {"automatic": {}}})
    made = manager.add_secret_version(parent=f"{parent}/secrets/{name}", payload={"data": b"{}"})
manager.disable_secret_version(name=made.name)
""")
    there = look("secrets google_buckets model_store")
    assert [(one["state"], one["found"]) for one in there] == [
        ("ok", "s3://doctor-models · eu-west-1"),
        ("ok", "doctor-notify, version 1"),
        ("failed", "doctor-release: version 1 is DISABLED"),
        ("ok", "gs://doctor-pipelines · europe-west1"),
        ("note", "gs://doctor-serving is in us-east1"),
    ]


def test_what_deploy_may_not_do_is_named_with_its_mend(look: Any, program: Any) -> None:
    who = "workflow-deploy@test-project.iam.gserviceaccount.com"
    found = look("rights", serving_bucket="gs://doctor-deploys")
    assert {one["state"] for one in found} == {"failed"}, "there is no such bucket"
    google = """
from google.cloud import resourcemanager_v3, storage
projects, project = resourcemanager_v3.ProjectsClient(), "projects/test-project"
asked = {"resource": project, "options": {"requested_policy_version": 3}}
policy = projects.get_iam_policy(request=asked)
for binding in policy.bindings:  # other tests of this cloud may have let it deploy
    binding.members[:] = [one for one in binding.members if one != "serviceAccount:%s"]
projects.set_iam_policy(request={"resource": project, "policy": policy})
bucket = storage.Client().create_bucket("doctor-deploys")
policy = bucket.get_iam_policy(requested_policy_version=3)
policy.version = 3
policy.bindings.append({"role": "roles/storage.objectUser", "members": {"serviceAccount:%s"}})
bucket.set_iam_policy(policy)
"""
    program(google % (who, who))
    found = look("rights", serving_bucket="gs://doctor-deploys")
    assert [one["found"] for one in found] == [
        f"{who} has no {role} on project test-project"
        for role in ("roles/aiplatform.user", "roles/logging.viewer")
    ]
    assert found[0]["mend"] == (
        "gcloud projects add-iam-policy-binding test-project --role roles/aiplatform.user"
        f" --member serviceAccount:{who}"
    )


def test_a_right_on_what_is_needed_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    attesting = msgspec.structs.replace(LOCAL, attest="github")
    own = [
        one for one in grants.google(attesting) if one.account == grants.account(LOCAL, grants.DEPLOY)
    ]
    [looks] = [one for one in own if one.role == grants.LOOKS]
    bindings = [{"role": one.role, "members": [one.member], "condition": one.condition} for one in own]
    for place in ("_bucket", "_project"):
        monkeypatch.setattr(serving_checks, place, lambda _: bindings)
    assert [one.state for one in serving_checks.rights(attesting)] == ["ok"]
    looked = bindings[own.index(looks)]
    looked["condition"] = {"expression": "resource.name == 'another'"}
    [lacking] = serving_checks.rights(attesting)
    assert lacking.mend.endswith(
        f"--condition \"title=own-part,expression=resource.name == '{looks.only}'\""
    )


def test_each_flow_s_endpoint_is_looked_at(look: Any) -> None:
    found = look("endpoints")
    serving = {name: serving_config.load(name, "tests") for name in config.names()}
    made = [name for name, one in serving.items() if one.kind == "endpoint" and not one.endpoint]
    assert made
    assert {
        ("ok", f"{name} · {endpoint_id(name, 'tests')}, which deploy makes · nothing deployed yet")
        for name in made
    } <= {(one["state"], one["found"]) for one in found}


def test_a_missing_table_is_named(look: Any) -> None:
    [found] = look("tables")
    assert found["state"] == "failed"
    assert "BigQuery table" in found["found"]
    assert "flow.toml" in found["mend"]


def test_a_pipeline_that_nobody_reviewed_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {one.state for one in checks.golden(LOCAL)} == {"ok"}
    for path in GOLDEN.glob("*.yaml"):
        (tmp_path / path.name).write_text("another\n")
    monkeypatch.setattr(checks, "GOLDEN", tmp_path)
    monkeypatch.setattr(checks, "ROOT", tmp_path)
    assert {one.state for one in checks.golden(LOCAL)} == {"failed"}


def test_one_that_failed_makes_the_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Finding("secret", "failed", "gone", "an enabled one", "add one")
    good = Finding("flow", "ok", "fine")
    monkeypatch.setattr(checks, "findings", lambda _: iter([good]))
    assert doctor.main(["local"]) == 0
    monkeypatch.setattr(checks, "findings", lambda _: iter([good, bad]))
    assert doctor.main(["local", "--json"]) == 1
    printed = capsys.readouterr()
    assert "secret        FAILED  gone\n" in printed.err
    assert "mend: add one" in printed.err
    assert json.loads(printed.out)["findings"][1]["state"] == "failed"


@pytest.mark.parametrize(
    ("state", "asked"), [("failed", []), ("ok", ["secret"])], ids=["nobody", "somebody"]
)
def test_google_is_asked_by_a_caller_that_it_knows(
    monkeypatch: pytest.MonkeyPatch, state: Any, asked: list[str]
) -> None:
    """Whatever the checks find that come after it."""
    others: Any = {"ok": "failed", "failed": "ok"}
    here = [Finding("caller", state, "x"), Finding("other", others[state], "x")]
    monkeypatch.setattr(checks, "HERE", {one.check: lambda _, one=one: iter([one]) for one in here})
    monkeypatch.setattr(checks, "GOOGLE", {"secret": lambda _: iter([Finding("secret", "ok", "x")])})
    assert [one.check for one in checks.findings(LOCAL)] == ["settings", "caller", "other", *asked]


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [
        (403, "ok", "s3://retrain-local-models"),
        (404, "failed", "there is none"),
        (400, "failed", "(400)"),
        (503, "failed", "(503)"),
    ],
)
def test_what_s3_says_of_the_model_store_is_told(
    monkeypatch: pytest.MonkeyPatch, status: int, state: str, said: str
) -> None:
    client = s3_client("eu-west-1", {"aws_access_key_id": "x", "aws_secret_access_key": "x"})
    answer = AWSResponse("https://s3.invalid/", status, {}, None)
    answer._content = b""
    client.meta.events.register("before-send.s3.HeadBucket", lambda **_: answer)
    monkeypatch.setattr(checks, "s3_client", lambda *_: client)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    [found] = checks.model_store(LOCAL)
    assert found.state == state
    assert said in found.found
    assert ("aws s3 mb" in found.mend) == (status == 404)


@pytest.mark.parametrize(
    ("name", "project", "state"),
    [
        ("experiment", "acme-ml", "failed"),
        ("experiment", "retrain-local", "failed"),
        ("experiment", "acme-ml-experiments", "ok"),
        ("production", "acme-ml", None),
    ],
)
def test_branches_run_where_nothing_is_released(name: str, project: str, state: str | None) -> None:
    environment = msgspec.structs.replace(settings.load().environment(name), project=project)
    found = list(checks.apart(environment))
    assert [one.state for one in found] == ([state] if state else [])
    assert all(project in one.found for one in found)
    assert checks.HERE["project"] is checks.apart


def test_a_schedule_that_is_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = msgspec.structs.replace(components.load("recommender"), schedule="0 99 * * *")
    monkeypatch.setattr(components, "load", lambda name: broken)
    with pytest.raises(InputError, match="'0 99"):
        list(checks.flows(LOCAL))


ATTESTED = "projects/test-project/locations/europe-west1/keyRings/doctor/cryptoKeys/images"


def test_who_signs_and_whom_we_trust_is_looked_at(look: Any, program: Any, tmp_path: Path) -> None:
    signed = {"attest": "kms", "attest_key": f"{ATTESTED}/cryptoKeyVersions/1"}
    public, other = program("""
from google.cloud import kms
client, place = kms.KeyManagementServiceClient(), "projects/test-project/locations/europe-west1"
ring = client.create_key_ring(parent=place, key_ring_id="doctor", key_ring={}).name
template = {"algorithm": "EC_SIGN_P256_SHA256"}
key = {"purpose": "ASYMMETRIC_SIGN", "version_template": template}
made = client.create_crypto_key(parent=ring, crypto_key_id="images", crypto_key=key).name
client.create_crypto_key_version(parent=made, crypto_key_version={})
policy = client.get_iam_policy(request={"resource": made})
policy.bindings.add(role="roles/cloudkms.signer",
    members=["serviceAccount:workflow-tick@test-project.iam.gserviceaccount.com"])
client.set_iam_policy(request={"resource": made, "policy": policy})
answer = [client.get_public_key(name=f"{made}/cryptoKeyVersions/{n}").pem for n in (1, 2)]
""")

    def trusting(pem: str, number: int = 1, more: str = "") -> list[dict[str, str]]:
        key = f"[[keys]]\nname = '{ATTESTED}/cryptoKeyVersions/{number}'\n{more}public = '''{pem}'''\n"
        (tmp_path / "trust" / "tests.toml").write_text(f"schema = 1\n{key}")
        return list(look("attested", root=tmp_path, **signed))

    [missing, *_] = look("attested", root=tmp_path, **signed)
    unnamed_key = f"trust/tests.toml does not name {ATTESTED}/cryptoKeyVersions/1"
    assert (missing["state"], missing["found"]) == ("failed", unnamed_key)
    (tmp_path / "trust").mkdir()
    good, *signers = trusting(public)
    assert (good["state"], good["found"]) == ("ok", f"kms · {ATTESTED}/cryptoKeyVersions/1")
    assert [one["found"].split(" ", 1)[1] for one in signers] == ["may not sign", "may sign, too"]
    assert "add-iam-policy-binding" in signers[0]["mend"]
    assert "workflow-tick@" in signers[1]["mend"]
    another, unnamed = trusting(other)[0], trusting(public, number=2)[0]
    assert "has another public key" in another["found"]
    assert "get-public-key 1 --project test-project" in another["mend"]
    assert f"does not name {ATTESTED}/cryptoKeyVersions/1" in unnamed["found"]
    [ended, *_] = trusting(public, more="until = 2020-01-01T00:00:00Z\n")
    over = f"{ATTESTED}/cryptoKeyVersions/1 counts no more since 2020-01-01"
    assert (ended["state"], ended["found"]) == ("failed", over)


@pytest.mark.parametrize(
    ("private", "said"),
    [(True, "needs Enterprise Cloud: acme/models is private"), (False, "acme/models is public")],
)
def test_without_attestation_the_plan_s_ways_are_told(
    monkeypatch: pytest.MonkeyPatch, private: bool, said: str
) -> None:
    monkeypatch.setattr(federation, "is_private", lambda name: private)
    [found] = supply_checks.attested(LOCAL)
    assert found.state == "note"
    assert said in found.mend
    assert list(supply_checks.attested(settings.load().environment("experiment"))) == []
    assert checks.GOOGLE["attest"] is supply_checks.attested


def test_an_image_that_nobody_vouches_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "Registry", lambda name: type("R", (), {"name": name}))
    monkeypatch.setattr(checks, "head", lambda root: "abc1234")
    monkeypatch.setattr(image, "resolve", lambda registry, commit: "sha256:1")
    monkeypatch.setattr(referrers, "attached", lambda *_: iter([]))
    found = list(checks.images(msgspec.structs.replace(LOCAL, attest="kms")))
    assert {one.state for one in found} == {"failed"}
    assert "there is no attestation of it" in found[0].found
