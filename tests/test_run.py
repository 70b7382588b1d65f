"""The main job, told in chapters: each is a fixture that goes on where the one before it ended."""

import json
import re
from typing import Any

import pytest

from tests.clone import FLOW, SHORT, Clone, Ended, own_files

pytestmark = pytest.mark.slow

STEPS = ["get_data", "preprocess", "train", "evaluate", "upload_model"]
RELEASES = "releases/local/recommender.toml"
BRANCH = "release/local/recommender"
KEYS = {
    "repository",
    "flow",
    "environment",
    "commit",
    "image",
    "pipeline_job",
    "state",
    "steps",
    "metrics",
    "verdict",
    "model",
    "pull_request",
    "seconds",
}
HELD = """
import boto3
from google.cloud import bigquery
bucket = boto3.client("s3").list_objects_v2(Bucket="retrain-local-models")
table = bigquery.Client().get_table("retail.transactions")
answer = {
    "objects": {found["Key"]: found["ETag"] for found in bucket["Contents"]},
    "table": [table.num_rows, [field.name for field in table.schema]],
}
"""
PULL = """
from github import Auth, Github
repository = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"])).get_repo("acme/models")
answer = [
    {
        "number": pull.number,
        "title": pull.title,
        "body": pull.body,
        "state": pull.state,
        "head": pull.head.sha,
        "labels": sorted(label.name for label in pull.labels),
    }
    for pull in repository.get_pulls(state="all", sort="created", direction="desc")
]
"""
MAY_READ = """
from google.api_core.exceptions import PermissionDenied
from google.cloud import secretmanager
manager, answer = secretmanager.SecretManagerServiceClient(), []
for name in ("s3-writer", "s3-reader", "s3-deploy", "github-notify-app", "github-release-app"):
    try:
        manager.access_secret_version(name=f"projects/retrain-local/secrets/{name}/versions/latest")
        answer.append(name)
    except PermissionDenied:
        pass
"""
KEYS_REACH = """
import boto3
from botocore.exceptions import ClientError
from github import Auth, GithubException, GithubIntegration
from google.cloud import secretmanager
manager, answer = secretmanager.SecretManagerServiceClient(), {{}}
def payload(name):
    name = f"projects/retrain-local/secrets/{{name}}/versions/latest"
    return json.loads(manager.access_secret_version(name=name).payload.data)
def tried(call, **fields):
    try:
        return call(**fields) and "done"
    except ClientError as error:
        return error.response["Error"]["Code"]
def status(call, *given, **fields):
    try:
        return call(*given, **fields) and 200
    except GithubException as error:
        return error.status
for name in ("s3-reader", "s3-writer", "s3-deploy"):
    s3, bucket = boto3.client("s3", **payload(name)), {{"Bucket": "retrain-local-models"}}
    answer[name] = [tried(s3.get_object, **bucket, Key="{key}/manifest.json"),
        tried(s3.put_object, **bucket, Key="models/mine", Body=b"x"),
        tried(s3.delete_object, **bucket, Key="models/mine"),
        tried(s3.put_object, **bucket, Key="channels/local/mine", Body=b"x"),
        tried(s3.put_object, **bucket, Key="channels/staging/mine", Body=b"x")]
for name in ("github-notify-app", "github-release-app"):
    app = payload(name)
    integration = GithubIntegration(auth=Auth.AppAuth(app["app_id"], app["private_key"]), retry=None)
    there = integration.get_github_for_installation(app["installation_id"]).get_repo("acme/models")
    answer[name] = [status(lambda: list(there.get_workflow_runs())),
        status(there.create_pull, "main", "main", title="No")]
"""
MERGE = """
from github import Auth, Github
repository = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"])).get_repo("acme/models")
answer = repository.get_pull(1).merge().merged
"""
TAKE = """
sys.path[:0] = ["vertex-ai-pipelines", "scripts", os.getcwd()]
from laptop import tree
taken = tree.take(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"])
answer = {"commit": taken.commit, "new": taken.new}
"""
# The public SDKs as anybody calls them: nothing of this repository.
TOUR = """
import boto3
from github import Auth, Github
from google.cloud import aiplatform, secretmanager, storage
aiplatform.init(location="europe-west1")
jobs = aiplatform.PipelineJob.list()
secrets = secretmanager.SecretManagerServiceClient().list_secrets(parent="projects/retrain-local")
pull = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"])).get_repo("acme/models").get_pull(1)
answer = {
    "jobs": [job.state.name for job in jobs],
    "secrets": sorted(secret.name.rpartition("/")[2] for secret in secrets),
    "google": sorted(bucket.name for bucket in storage.Client().list_buckets()),
    "aws": [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]],
    "pull": pull.title,
}
"""


@pytest.fixture(scope="module")
def done(untouched: dict[str, str], first: Ended) -> dict[str, Any]:
    """What the first run printed for programs."""
    assert first.code == 0, first
    return first.answer


@pytest.fixture(scope="module")
def opened(newcomer: Clone, done: dict[str, Any]) -> dict[str, Any]:
    """The pull request that it opened, and what real git says of its branch."""
    return one_pull(newcomer) | {"changes": changes(newcomer)}


@pytest.fixture(scope="module")
def held(newcomer: Clone, opened: dict[str, Any]) -> dict[str, Any]:
    """What the local cloud holds then; it is stopped after that."""
    found: dict[str, Any] = newcomer.program(HELD)
    assert newcomer.verb("localcloud", "down").code == 0
    return found


@pytest.fixture(scope="module")
def again(newcomer: Clone, held: dict[str, Any]) -> dict[str, Any]:
    """A second run of the same tree, which starts the local cloud by itself."""
    ended = newcomer.run()
    assert ended.code == 0, ended
    return ended.answer | {"pull": one_pull(newcomer), "changes": changes(newcomer)}


@pytest.fixture(scope="module")
def merged(newcomer: Clone, again: dict[str, Any]) -> str:
    """main's releases file after PyGithub merged the pull request."""
    assert newcomer.program(MERGE) is True
    return on_main(newcomer, RELEASES)


@pytest.fixture(scope="module")
def kept(newcomer: Clone, merged: str) -> dict[str, Any]:
    """The run after that: the champion's very bytes once more."""
    ended = newcomer.run()
    assert ended.code == 0, ended
    return ended.answer | {"on_main": on_main(newcomer, RELEASES), "err": ended.err}


@pytest.fixture(scope="module")
def fewer(newcomer: Clone, kept: dict[str, Any]) -> dict[str, Any]:
    """A run with another option: a candidate beside a champion."""
    with newcomer.edited(f"{FLOW}/flow.toml", "factors = 32", "factors = 24"):
        ended = newcomer.run()
    assert ended.code == 0, ended
    return ended.answer | {"err": ended.err, "pull": pulls(newcomer)[0]}


@pytest.fixture(scope="module")
def popular(newcomer: Clone, fewer: dict[str, Any]) -> dict[str, Any]:
    """A run with another algorithm, on less data."""
    newcomer.write(f"{FLOW}/flow.toml", *SHORT)
    newcomer.write(f"{FLOW}/flow.toml", 'algorithm = "svd"', 'algorithm = "popularity"')
    ended = newcomer.run()
    assert ended.code == 0, ended
    return ended.answer | {"err": ended.err, "pull": pulls(newcomer)[0]}


def test_answer_is_the_contracts(done: dict[str, Any]) -> None:
    assert set(done) == KEYS
    assert (done["repository"], done["flow"], done["environment"]) == (
        "acme/models",
        "recommender",
        "local",
    )
    assert (done["state"], done["verdict"]["passed"]) == ("proposed", True)
    assert [step["name"] for step in done["steps"]] == STEPS
    for step in done["steps"]:
        assert set(step) == {"name", "state", "seconds", "cached"}
        assert step["state"] == "SUCCEEDED"
    assert 0.03 < done["metrics"]["ndcg@10"] < 1
    assert set(done["model"]) == {"version", "uri", "sha256"}
    assert done["pull_request"] == {
        "number": 1,
        "url": "https://github.com/acme/models/pull/1",
        "branch": BRANCH,
        "created": True,
    }
    assert re.fullmatch("[0-9a-f]{40}", done["commit"])
    assert re.fullmatch(r"europe-west1-docker\.pkg\.dev/\S+@sha256:[0-9a-f]{64}", done["image"])
    assert done["pipeline_job"].endswith(f"/pipelineJobs/recommender-{done['model']['version']}")
    assert re.fullmatch(r"v\d{8}-\d{6}-" + done["commit"][:7], done["model"]["version"])
    assert 0 < sum(step["seconds"] for step in done["steps"]) < done["seconds"]


def test_progress_is_short_and_on_standard_error(first: Ended, done: dict[str, Any]) -> None:
    lines = first.err.splitlines()
    assert len(lines) <= 25, first.err
    assert first.out.count("\n") == 1
    for step in STEPS:
        assert sum(line.startswith(f"  {step} ") for line in lines) == 1, first.err
    assert any(line.startswith("release ") and "pull request #1, open" in line for line in lines)
    assert "\033" not in first.err
    assert "\r" not in first.err


def test_nothing_of_the_users_is_touched(
    newcomer: Clone, untouched: dict[str, str], opened: dict[str, Any]
) -> None:
    assert newcomer.git("status", "--porcelain", "--", f":!{FLOW}/flow.toml", ":!releases") == ""
    assert newcomer.git("branch", "--all", "--format=%(refname)") == "refs/heads/main"
    assert newcomer.git("remote") == ""
    assert newcomer.home() == []
    after = own_files(newcomer.folder)
    edited = {f"{FLOW}/flow.toml", RELEASES, ".git/index"}  # `git status` itself refreshes the index
    assert {name for name in after | untouched if after.get(name) != untouched.get(name)} <= edited


def test_manifest_names_files_whose_hashes_match(newcomer: Clone, done: dict[str, Any]) -> None:
    bucket, _, key = done["model"]["uri"].removeprefix("s3://").partition("/")
    folder = key.removesuffix("manifest.json")
    code = f"""
import boto3, hashlib
s3 = boto3.client("s3")
keys = [found["Key"] for found in s3.list_objects_v2(Bucket="{bucket}", Prefix="{folder}")["Contents"]]
bodies = {{key: s3.get_object(Bucket="{bucket}", Key=key)["Body"].read() for key in keys}}
answer = {{
    "hashes": {{key: [hashlib.sha256(body).hexdigest(), len(body)] for key, body in bodies.items()}},
    "manifest": bodies["{key}"].decode(),
}}
"""
    found = newcomer.program(code)
    manifest = json.loads(found["manifest"])
    named = {folder + name: [file["sha256"], file["bytes"]] for name, file in manifest["files"].items()}
    assert found["hashes"] == named | {key: [done["model"]["sha256"], len(found["manifest"].encode())]}
    assert manifest["version"] == done["model"]["version"]
    assert manifest["metrics"] == done["metrics"]
    assert (manifest["commit"], manifest["image"]) == (done["commit"], done["image"])
    assert manifest["pipeline_job"].rpartition("/")[2] == done["pipeline_job"].rpartition("/")[2]
    assert manifest["data"]["rows"] > 1_000_000


def test_pull_request_changes_one_file(opened: dict[str, Any]) -> None:
    assert opened["changes"] == [RELEASES]
    assert (opened["number"], opened["state"]) == (1, "open")
    assert opened["labels"] == ["recommender", "release"]


def test_pull_request_has_the_evidence(done: dict[str, Any], opened: dict[str, Any]) -> None:
    body = opened["body"]
    shown = f"{done['metrics']['ndcg@10']:.4f}"
    assert re.search(rf"^\| .*ndcg@10.*\| .*{re.escape(shown)}", body, re.M), body
    assert done["verdict"]["reasons"][0] in body
    last = re.fullmatch(r"<!-- retrain (\{.*\}) -->", body.rstrip().splitlines()[-1])
    assert last, body
    model = done["model"]
    assert json.loads(last[1]) == {
        "schema": 1,
        "flow": "recommender",
        "environment": "local",
        "version": model["version"],
        "manifest": model["uri"],
        "sha256": model["sha256"],
    }


def test_second_run_updates_the_same_pull_request(
    done: dict[str, Any], opened: dict[str, Any], again: dict[str, Any]
) -> None:
    assert again["state"] == "proposed"
    assert again["pull_request"] == {**done["pull_request"], "created": False}
    assert again["model"]["version"] > done["model"]["version"]
    assert again["model"]["version"] in again["pull"]["title"]
    assert again["commit"] == done["commit"], "the same tree makes no new commit"
    assert again["image"] == done["image"], "the same files are the same image"
    assert again["changes"] == [RELEASES]
    assert again["metrics"] == done["metrics"]


def test_a_cached_run_uploads_the_same_bytes(
    newcomer: Clone, done: dict[str, Any], again: dict[str, Any]
) -> None:
    assert model_files(newcomer, again) == model_files(newcomer, done)


def test_restart_keeps_everything(
    newcomer: Clone, held: dict[str, Any], opened: dict[str, Any], again: dict[str, Any]
) -> None:
    now = newcomer.program(HELD)
    assert now["table"] == held["table"]
    assert held["objects"].items() <= now["objects"].items()
    assert again["pull"]["number"] == opened["number"]


def test_any_sdk_program_works_in_a_shell(newcomer: Clone, again: dict[str, Any]) -> None:
    program = f"import json, os\n{TOUR}\nprint(json.dumps(answer))"
    python = newcomer.folder / ".venv" / "bin" / "python"
    line = f'eval "$(./scripts/localcloud env)" && exec {python} -W ignore -c "$0"'
    ended = newcomer.command("bash", "-c", line, program, inside=False)
    assert ended.code == 0, ended
    answer = ended.answer
    assert set(answer["jobs"]) <= {"PIPELINE_STATE_SUCCEEDED"}
    assert len(answer["jobs"]) >= 2
    apps, keys = ["github-notify-app", "github-release-app"], ["s3-deploy", "s3-reader", "s3-writer"]
    assert answer["secrets"] == [*apps, *keys]
    assert answer["google"] == ["retrain-local-pipelines", "retrain-local-serving"]
    assert answer["aws"] == ["retrain-local-models"]
    assert answer["pull"].startswith("Release recommender v")


@pytest.mark.parametrize(
    ("account", "readable"),
    [
        ("pipeline", ["s3-writer", "s3-reader", "github-notify-app"]),
        ("workflow-release-pr", ["s3-reader", "github-release-app"]),
        ("workflow-deploy", ["s3-deploy"]),
        ("workflow-train", []),
        ("workflow-tick", []),
        ("somebody", []),
    ],
)
def test_each_account_reads_its_own_secrets_alone(
    newcomer: Clone, done: dict[str, Any], account: str, readable: list[str]
) -> None:
    who = f"{account}@retrain-local.iam.gserviceaccount.com"
    assert newcomer.program(MAY_READ, who) == readable


def test_the_keys_reach_what_their_names_say(newcomer: Clone, done: dict[str, Any]) -> None:
    answer = newcomer.program(KEYS_REACH.format(key=f"models/recommender/{done['model']['version']}"))
    denied = "AccessDenied"
    assert answer["s3-reader"] == ["done", *[denied] * 4]
    assert answer["s3-writer"] == ["done", "done", *[denied] * 3]
    assert answer["s3-deploy"] == ["done", denied, denied, "done", denied]
    assert answer["github-notify-app"] == [200, 403]
    assert answer["github-release-app"] == [403, 422]  # it may; there is nothing to open one for


def test_merging_releases(again: dict[str, Any], merged: str) -> None:
    assert f'version = "{again["model"]["version"]}"' in merged
    assert f'sha256 = "{again["model"]["sha256"]}"' in merged
    assert "traffic = 100" in merged


def test_run_after_a_merge_keeps_it_and_sees_its_own_bytes(merged: str, kept: dict[str, Any]) -> None:
    assert kept["on_main"] == merged
    assert (kept["state"], kept["pull_request"]) == ("unchanged", None)
    assert kept["model"]["sha256"] not in merged, "it is a new version, with the same files"
    assert "champion's very bytes" in kept["err"]
    assert kept["verdict"]["comparison"]["difference"] == 0


def test_a_candidate_is_compared_with_the_champion(
    newcomer: Clone, again: dict[str, Any], fewer: dict[str, Any]
) -> None:
    assert (fewer["state"], fewer["pull_request"]["number"]) == ("proposed", 2)
    assert fewer["pull_request"]["created"] is True
    verdict, metrics = fewer["verdict"], fewer["metrics"]
    found = verdict["comparison"]
    assert (verdict["passed"], found["decision"]) == (True, "passed")
    assert verdict["champion"] == again["model"]["version"]
    assert found["champion"] == metrics["champion_ndcg@10"] == again["metrics"]["ndcg@10"]
    assert found["candidate"] == metrics["ndcg@10"] != found["champion"]
    assert found["low"] < found["difference"] < found["high"]
    assert found["difference"] == pytest.approx(found["candidate"] - found["champion"])
    assert found["margin"] == pytest.approx(0.02 * found["champion"])
    assert 0 < metrics["coverage@10"] < 1
    assert metrics["recall@10_low"] < metrics["recall@10"] < metrics["recall@10_high"]
    manifest = manifest_of(newcomer, fewer)
    assert (manifest["verdict"], manifest["metrics"]) == (verdict, metrics)


def test_people_see_both(again: dict[str, Any], fewer: dict[str, Any]) -> None:
    found, metrics = fewer["verdict"]["comparison"], fewer["metrics"]
    (line,) = (line for line in fewer["err"].splitlines() if line.startswith("  evaluate "))
    said = f"NDCG@10 {found['candidate']:.4f} [{metrics['ndcg@10_low']:.4f}, "
    assert said in line
    difference = f"difference {found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"
    assert line.endswith(f" · champion {found['champion']:.4f} · {difference} · passed")
    body = fewer["pull"]["body"]
    assert f"`{again['model']['version']}` keeps 90 %" in body
    own, theirs = (re.escape(f"{found[name]:.4g} [") for name in ("candidate", "champion"))
    assert re.search(rf"^\| `ndcg@10` \| {own}.*\| {theirs}.*\| [+-].*\] \|$", body, re.M), body
    assert re.search(r"^\| `recall@10` \| 0\.\d+ \[.*\| 0\.\d+ \[", body, re.M), body
    assert "| verdict | **passed** |" in body
    assert 'x-axis ["floor", "champion", "candidate"]' in body


def test_a_worse_algorithm_is_one_line_and_is_rejected(
    fewer: dict[str, Any], popular: dict[str, Any]
) -> None:
    assert set(popular) - {"err", "pull"} == KEYS
    assert (popular["state"], popular["verdict"]["passed"]) == ("rejected", False)
    assert popular["image"] == fewer["image"], "flow.toml is no part of the image"
    (reason,) = popular["verdict"]["reasons"]
    assert reason.startswith(f"worse than the champion {fewer['verdict']['champion']}: ndcg@10 differs")
    assert popular["verdict"]["comparison"]["decision"] == "refused"
    assert (popular["model"], popular["pull_request"]) == (None, None)
    assert "upload_model" not in [step["name"] for step in popular["steps"]]
    assert f"gate          no: {reason}\n" in popular["err"]


def test_a_refusal_leaves_the_open_pull_request_as_it_is(
    fewer: dict[str, Any], popular: dict[str, Any]
) -> None:
    assert popular["pull"] == fewer["pull"]
    assert "release       pull request #2 stays as it is" in popular["err"]


def test_users_own_edit_of_releases_is_taken(
    newcomer: Clone, merged: str, popular: dict[str, Any]
) -> None:
    assert popular["state"] == "rejected", "no run comes after this"
    path = newcomer.folder / RELEASES
    path.parent.mkdir(parents=True)
    path.write_text(f"# reviewed by hand\n{merged}\n")
    assert newcomer.program(TAKE)["new"] is True
    assert on_main(newcomer, RELEASES).startswith("# reviewed by hand")
    assert newcomer.program(TAKE)["new"] is False


def pulls(clone: Clone) -> list[dict[str, Any]]:
    """The pull requests there are, the newest first."""
    return list(clone.program(PULL))


def one_pull(clone: Clone) -> dict[str, Any]:
    """The one pull request there is."""
    (found,) = pulls(clone)
    return found


def manifest_of(clone: Clone, answer: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a run's model, as it lies in S3."""
    bucket, _, key = answer["model"]["uri"].removeprefix("s3://").partition("/")
    code = f"""
import boto3
found = boto3.client("s3").get_object(Bucket="{bucket}", Key="{key}")
answer = json.load(found["Body"])
"""
    return dict(clone.program(code))


def changes(clone: Clone) -> list[str]:
    """The files that the release branch changes, as real git says."""
    fetch(clone)
    return clone.git("-C", "../github.git", "diff", "--name-only", f"main...{BRANCH}").splitlines()


def on_main(clone: Clone, path: str) -> str:
    """A file of main on the local GitHub."""
    fetch(clone)
    return clone.git("-C", "../github.git", "show", f"main:{path}")


def fetch(clone: Clone) -> None:
    """The local GitHub's branches into a repository beside the clone."""
    clone.git("init", "--quiet", "--bare", "../github.git")
    token = clone.environment().set["GITHUB_TOKEN"]
    url = f"https://x-access-token:{token}@github.com/acme/models.git"
    clone.git(
        "-C",
        "../github.git",
        "fetch",
        "--quiet",
        "--prune",
        url,
        "+refs/heads/*:refs/heads/*",
        inside=True,
    )


def model_files(clone: Clone, answer: dict[str, Any]) -> dict[str, Any]:
    """The files that a run's manifest names, with their hashes."""
    bucket, _, key = answer["model"]["uri"].removeprefix("s3://").partition("/")
    code = f"import boto3\nanswer = boto3.client('s3').get_object(Bucket={bucket!r}, Key={key!r})"
    found = clone.program(f"{code}['Body'].read().decode()")
    return dict(json.loads(found)["files"])
