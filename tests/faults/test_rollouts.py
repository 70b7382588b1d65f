"""Roll-outs that are broken off, side by side, or find what somebody else did: main's word comes true.

A part of the sweep; the whole one is ./scripts/test --faults.
"""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery.grants import DEPLOY, account
from delivery.settings import load
from tests.faults.stage import ENDPOINT, Stage, stage
from tests.faults.worlds import FLOW, LIMIT, template

pytestmark = pytest.mark.slow
KILL, LOST, ERROR = "kill:caller", "lose-reply", "error:503"
NEW, BROKEN = 4, 5  # the numbers of a model that the story alone deploys, and of one that does not start
# One roll-out a line, in the order in which it comes to them: each gets further than the one before.
STORY = [
    [("storage.objects.insert", KILL, 1)],  # the lock
    [("git.upload-pack", ERROR, 1)],
    [("storage.objects.insert", KILL, 2)],  # the first file
    [("storage.objects.insert", LOST, 2), ("aiplatform.UploadModel", KILL, 1)],
    [("aiplatform.DeployModel", KILL, 1)],
    [("aiplatform.UpdateEndpoint", LOST, 1), ("aiplatform.MergeVersionAliases", KILL, 1)],
    [
        ("s3.PutObject", LOST, 1),
        ("aiplatform.ImportModelEvaluation", LOST, 1),
        ("storage.objects.delete", LOST, 1),
    ],
]
BY_HAND = f"""
from google.cloud.aiplatform_v1 import EndpointServiceClient
options = {{"api_endpoint": "europe-west1-aiplatform.googleapis.com"}}
client = EndpointServiceClient(client_options=options)
found = client.get_endpoint(name="{ENDPOINT}")
ids = [one.id for one in found.deployed_models]
found.traffic_split = {{ids[0]: 50, ids[1]: 50}}
client.update_endpoint(endpoint=found, update_mask={{"paths": ["traffic_split"]}})
"""
# An environment that trains nothing, with buckets and keys of its own.
NEXT = """
[environments.next]
project = "retrain-local"
region = "europe-west1"
pipeline_root = "gs://retrain-next-pipelines"
serving_bucket = "gs://retrain-next-serving"
request_seconds = 2
artifact_registry = "europe-west1-docker.pkg.dev/retrain-local/next"
builder = "files"
pipeline_account = "pipeline@retrain-local.iam.gserviceaccount.com"
model_store = "s3://retrain-next-models"
aws_region = "eu-west-1"
train = false
promotes_from = "local"

[environments.next.secrets]
s3_writer = "next-s3-writer"
s3_reader = "next-s3-reader"
s3_deploy = "next-s3-deploy"
github_notify = "github-notify-app"
github_release = "github-release-app"
"""
# Merged as a person does, but deployed by the test.
MERGE = """
from github import Auth, Github
where = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"])).get_repo("acme/models")
[pull] = where.get_pulls("open")
assert pull.merge(commit_title="Merge [skip ci]").merged
answer = [one.filename for one in pull.get_files()]
"""
LOCK = """
from google.cloud import storage
blob = storage.Client().bucket("retrain-local-serving").blob("locks/{name}.json")
blob.upload_from_string({text!r})
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A world with five models, the last one of which does not start; the first one serves."""
    made = stage(tmp_path_factory.mktemp("rollouts") / "stage", template()).prepared(BROKEN - 1)
    made.broken(BROKEN)
    serves(made, (1, 100))
    yield made
    made.remove()


def serves(ready: Stage, *shares: tuple[int, int]) -> None:
    """Let these models serve, whatever did before."""
    ready.cloud.ask("DELETE", "/faults")
    ready.declare(*shares)
    ended = ready.deploy()
    assert ended.code == 0, ended


def shares(ready: Stage, *expected: tuple[int, int]) -> dict[str, int]:
    """The shares by version."""
    return {ready.models[number - 1]["version"]: share for number, share in expected}


def check(ready: Stage, seen: dict[str, Any], *expected: tuple[int, int]) -> None:
    """That exactly this serves, registered once, with its aliases and channel; and no lock is left."""
    wanted = shares(ready, *expected)
    assert {version: share for version, share in seen["shares"].items() if share} == wanted
    assert (seen["channel"], seen["locks"]) == (wanted, [])
    assert set(seen["evaluations"]) <= {0, 1}
    assert seen["evaluations"].count(0) <= 1, "but for the one that does not start"
    assert seen["versions"] == len(seen["aliases"])
    champion, *more = wanted
    assert {"champion", "default"} <= set(seen["aliases"][champion])
    assert [v for v, aliases in seen["aliases"].items() if "challenger" in aliases] == more


def test_whatever_breaks_it_off_the_next_one_ends_it_and_nobody_waits(ready: Stage) -> None:
    serves(ready, (1, 100))
    with ready.asked() as client:
        ready.declare((1, 90), (NEW, 10))
        for faults in STORY:
            ready.cloud.ask("DELETE", "/faults")
            for method, action, nth in faults:
                ready.arm(method, action, nth)
            ended = ready.deploy()
            assert all(one["hit"] for one in ready.cloud.ask("GET", "/faults")["faults"]), ended
            assert ended.code in (0, 1, -9, 137), ended
            assert "Traceback" not in ended.err, ended
        serves(ready, (1, 90), (NEW, 10))
        check(ready, ready.seen(), (1, 90), (NEW, 10))
        serves(ready, (NEW, 100))
        promoted = ready.seen()
        serves(ready, (1, 90), (NEW, 10))  # as a revert of the merge says
        reverted = ready.seen()
    check(ready, promoted, (NEW, 100))
    assert promoted["shares"] == shares(ready, (1, 0), (NEW, 100)), "the last champion waits"
    check(ready, reverted, (1, 90), (NEW, 10))
    assert client.failed == []
    assert len(client.answers) == 2
    assert "nothing to do" in ready.deploy("--plan").out


def test_two_at_once_do_it_once(ready: Stage) -> None:
    serves(ready, (1, 100))
    ready.declare((1, 50), (3, 50))
    variables = ready.environment().over(ready.base)
    both = [
        subprocess.Popen(
            ["./scripts/deploy", FLOW],
            cwd=ready.folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=LIMIT) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    check(ready, ready.seen(), (1, 50), (3, 50))
    assert sum("done          split" in err for _, err in told) == 1


def test_a_server_that_does_not_start_leaves_the_traffic_as_it_was(ready: Stage) -> None:
    serves(ready, (1, 100))
    with ready.asked() as client:
        ready.declare((1, 90), (BROKEN, 10))
        ended = ready.deploy()
        assert ended.code == 1, ended
        assert "no model was found" in ended.err
        assert "the traffic is as it was. Revert the merge" in ended.err
        seen = ready.seen()
        assert {v: s for v, s in seen["shares"].items() if s} == shares(ready, (1, 100))
        assert seen["channel"] == shares(ready, (1, 100))
        serves(ready, (1, 100))
    assert client.failed == []


def test_what_somebody_changed_by_hand_is_shown_and_put_right(ready: Stage) -> None:
    serves(ready, (1, 90), (2, 10))
    ready.program(BY_HAND)
    plan = ready.deploy("--plan")
    assert plan.code == 0, plan
    assert "! drift       it was so after the last deploy: somebody has changed it since" in plan.out
    assert "50 → 90 %" in plan.out
    who = account(load().environment("local"), DEPLOY)
    token = ready.environment().set["GITHUB_TOKEN"]
    given = ["env", f"GITHUB_TOKEN={token}", "./scripts/deploy", "--environment=local"]
    ended = ready.command(*given, account=who)  # as deploy.yml's account, with its rights alone
    assert ended.code == 0, ended
    check(ready, ready.seen(), (1, 90), (2, 10))


def test_a_lock_is_waited_for_and_taken_over_when_it_has_expired(ready: Stage) -> None:
    serves(ready, (1, 100))
    held = {"holder": "somebody", "token": "theirs", "process": ""}
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    text = json.dumps({**held, "expires": long_ago.isoformat()})
    ready.program(LOCK.format(name=f"{FLOW}-local", text=text))
    serves(ready, (1, 90), (2, 10))
    check(ready, ready.seen(), (1, 90), (2, 10))
    soon = datetime.now(UTC) + timedelta(seconds=5)  # it may be taken 10 s after it has expired
    text = json.dumps({**held, "expires": soon.isoformat()})
    ready.program(LOCK.format(name=f"{FLOW}-local", text=text))
    ended = ready.deploy()
    assert "waits         for another roll-out: somebody" in ended.err
    assert ended.code == 0, ended


def test_a_champion_is_promoted_to_another_environment_as_it_is(ready: Stage) -> None:
    settings = ready.folder / "settings.toml"
    settings.write_text(settings.read_text() + NEXT)
    ready.declare((2, 90), (1, 10))
    made = ready.verb("localcloud", "up")  # with what settings.toml names by now
    assert made.code == 0, made
    promoted = ready.verb("promote", FLOW, "--from", "local", "--to", "next", inside=True)
    assert promoted.code == 0, promoted
    assert ready.program(MERGE) == [f"releases/next/{FLOW}.toml"]
    ended = ready.verb("deploy", FLOW, "--environment=next", inside=True)
    assert ended.code == 0, ended
    check(ready, ready.seen("next"), (2, 100))
    wanted = (f"{FLOW}@champion", "promoted", "--environment=next")
    fetched = ready.verb("models", "fetch", *wanted, inside=True)
    assert fetched.code == 0, fetched
    assert (ready.folder / "promoted" / "model.bin").read_bytes() == b"model 2" * 999
