"""What a user can get wrong: each says what, on which object, and what to do; nothing is lost."""

import json
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from flows import config
from localcloud.client import Client, free_port
from tests.clone import FLOW, ROOT, SHORT, Clone, Ended, clone
from tests.leaks import places, values

FLOW_TOML = f"{FLOW}/flow.toml"
PROJECT = "projects/retrain-local/secrets"
ERROR = re.compile("(?:^|· |^\\S+: )error: ", re.M)
PULLS = """
from github import Auth, Github
repository = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"])).get_repo("acme/models")
answer = [[pull.number, pull.head.sha, pull.body] for pull in repository.get_pulls(state="all")]
"""
MANAGER = """
from google.cloud import secretmanager
manager = secretmanager.SecretManagerServiceClient()
"""
# One bit of the last byte; done twice, it is as it was.
CHANGE = """
import boto3
s3 = boto3.client("s3")
there = dict(Bucket="retrain-local-models", Key="{key}")
old = s3.get_object(**there)["Body"].read()
s3.put_object(**there, Body=old[:-1] + bytes([old[-1] ^ 1]))
"""
# The port was free when it was looked at, and is not when it is used.
LATE = """
import json, pathlib
from localcloud.client import Client
from localcloud.cloud import World
client = Client(pathlib.Path(".local/cloud"))
client._port = lambda _: {port}
world = World("retrain-local", "1", "europe-west1", "acme/models", "eu-west-1")
print(json.dumps(client.up(world, None)))
"""
TOOLS = ("bash", "basename", "cat", "dirname", "env", "git", "mkdir", "sed")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone in which nothing has run, and nothing will."""
    with clone(tmp_path_factory.mktemp("fresh")) as made:
        yield made
        assert not (made.folder / ".local" / "cloud").exists()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone with a good run, on little data."""
    with clone(tmp_path_factory.mktemp("trained")) as made:
        (
            made.folder / ".github/workflows/ci.yml"
        ).unlink()  # it looks at the pull request after each run
        made.write(FLOW_TOML, *SHORT)
        made.write(FLOW_TOML, 'algorithm = "svd"', 'algorithm = "popularity"')
        ended = made.run()
        assert ended.code == 0, ended
        yield made


def refused(ended: Ended, code: int, *words: str) -> str:
    """That it ended with `code` and one error for people, which holds `words`; returns that error."""
    assert ended.code == code, ended
    shown = ended.err
    for word in words:
        assert word in shown, f"{word!r} is not in:\n{shown}"
    assert "Traceback" not in shown
    assert len(ERROR.findall(shown)) == 1, shown
    return shown


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (FLOW_TOML, "floor = 0.03", "flor = 0.03", ["flow.toml", "'flor'", "[gate]", "floor"]),
        (
            FLOW_TOML,
            "factors = 32",
            'factors = "many"',
            ["factors", "[train", "int"],
        ),
        (FLOW_TOML, "seed = 0", "seeds = 0", ["flow.toml", "'seeds'", "[train]", "seed"]),
        (FLOW_TOML, '"svd" #', '"svt" #', ["flow.toml", "'svt'", "svd, popularity", "mend: "]),
        (FLOW_TOML, '"ndcg@10"', '"ndgc@10"', ["flow.toml", "'ndgc@10'", "[gate]", "one: ndcg@10"]),
        (FLOW_TOML, '"query.sql"', '"select.sql"', ["flow.toml", "'select.sql'"]),
        (FLOW_TOML, "[gate]", "[gate", ["flow.toml", "not valid TOML", "line"]),
        ("settings.toml", "default_flow = ", "default_flows = ", ["settings.toml", "default_flow"]),
        (
            "settings.toml",
            '[environments.local]\nproject = "retrain-local"',
            "[environments.local]\nproject = 1",
            ["settings.toml", "[environments.local]", "project", "str"],
        ),
        (
            "settings.toml",
            '"gs://retrain-local-pipelines"',
            '"retrain-local-pipelines"',
            ["settings.toml", "[environments.local]", "pipeline_root", "mend: write gs://BUCKET"],
        ),
        (
            "settings.toml",
            'default_flow = "recommender"',
            'default_flow = "recomender"',
            ["there is no flow 'recomender'", f"mend: name one of: {', '.join(config.names())}"],
        ),
    ],
)
def test_wrong_file_is_refused_before_anything_starts(
    fresh: Clone, path: str, old: str, new: str, words: list[str]
) -> None:
    with fresh.edited(path, old, new):
        ended = fresh.run()
    refused(ended, 2, *words)
    assert ended.out == ""


def test_flow_that_is_not_there(fresh: Clone) -> None:
    known = ", ".join(config.names())
    refused(fresh.run("no_such"), 2, "there is no flow 'no_such'", f"mend: name one of: {known}")


def test_environment_that_is_not_there(fresh: Clone) -> None:
    ended = fresh.verb("submit", "recommender", "--environment", "prod")
    refused(ended, 2, "no environment 'prod'", "mend: name one of: local, experiment, staging")


def test_trigger_that_is_no_time(fresh: Clone) -> None:
    ended = fresh.verb("submit", "recommender", "--trigger", "yesterday")
    refused(ended, 2, "--trigger: 'yesterday' is not a time", "2026-11-21T08:45:00Z")


class TestPort:
    pytestmark = pytest.mark.slow

    def test_in_use(self, tmp_path: Path) -> None:
        with clone(tmp_path) as made, socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            ended = made.verb("localcloud", "up", "--port", port)
            refused(ended, 2, f"port {port} is in use", "mend: ", "--port")
            assert made.verb("localcloud", "status").code == 1

    def test_of_last_time_in_use(self, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            (tmp_path / "port").write_text(str(taken))
            assert Client(tmp_path)._port(None) != taken

    def test_taken_by_another_clone_meanwhile(self, tmp_path: Path) -> None:
        with clone(tmp_path) as made, socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = other.getsockname()[1]
            ended = made.command(sys.executable, "-c", LATE.format(port=taken), inside=False)
            assert ended.code == 0, ended
            assert ended.answer["port"] != taken

    def test_another_one_while_it_runs(self, trained: Clone) -> None:
        ended = trained.verb("localcloud", "up", "--port", str(free_port()))
        refused(ended, 2, "already runs at port", "stop it first")


class TestQuery:
    pytestmark = pytest.mark.slow

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("from ${table}", "frm ${table}", ["BigQuery refuses", "Syntax error", "query.sql"]),
            (
                "and household_id is not null",
                "and household_id = -1",
                ["finds no rows in retail.transactions", "mend: set [data] days and until"],
            ),
            (
                "product_id as item",
                "product_id as thing",
                ["no column 'item'", "thing", "mend: "],
            ),
        ],
        ids=["syntax", "no rows", "column"],
    )
    def test_ends_at_get_data(self, trained: Clone, old: str, new: str, words: list[str]) -> None:
        before = trained.program(PULLS)
        with trained.edited(f"{FLOW}/query.sql", old, new):
            ended = trained.run()
        refused(ended, 1, "get_data", "FAILED", *words)
        answer = ended.answer
        assert (answer["state"], answer["model"], answer["pull_request"]) == ("failed", None, None)
        assert [(step["name"], step["state"]) for step in answer["steps"]] == [("get_data", "FAILED")]
        assert trained.program(PULLS) == before
        assert "error: " in trained.verb("localcloud", "logs", *log_named(ended)).out


class TestSecret:
    pytestmark = pytest.mark.slow

    def test_missing_and_disabled_are_named_and_mended(self, trained: Clone) -> None:
        before = trained.program(PULLS)
        writer = f"{PROJECT}/s3-writer/versions/1"
        trained.program(f"{MANAGER}manager.disable_secret_version(name={writer!r})")
        shown = refused(trained.run(), 1, "upload_model", "FAILED", "s3-writer", "disabled")
        assert "mend: enable it or add a version" in shown

        trained.program(f"{MANAGER}manager.enable_secret_version(name={writer!r})")
        payload = trained.program(take_away("github-notify-app"))
        shown = refused(trained.run(), 1, "upload_model", "FAILED", "github-notify-app")
        assert "may not read it, or there is no such secret" in shown  # Google does not say which
        assert trained.program(PULLS) == before

        # A secret that is made again starts without grants.
        trained.program(put_back("github-notify-app", payload))
        account = "pipeline@retrain-local.iam.gserviceaccount.com"
        shown = refused(trained.run(), 1, "upload_model", "FAILED", f"{account} may not read it")
        assert f"{PROJECT}/github-notify-app/versions/latest" in shown
        assert "mend: grant that account roles/secretmanager.secretAccessor on this secret" in shown

        trained.program(grant("github-notify-app", account))
        ended = trained.run()
        assert ended.code == 0, ended
        pull = ended.answer["pull_request"]
        assert (pull["number"], pull["created"]) == (before[0][0], False)
        trained.settle()
        assert places(trained.folder / ".local", values(trained)) == []


class TestModel:
    pytestmark = pytest.mark.slow

    def test_changed_after_the_upload_is_not_released(self, trained: Clone) -> None:
        before = trained.program(PULLS)
        model = last_model(trained)
        key = f"models/recommender/{model['version']}/model.safetensors"
        trained.program(CHANGE.format(key=key))
        try:
            again = trained.verb("release-pr", *claim(model), inside=True)
        finally:
            trained.program(CHANGE.format(key=key))
        refused(again, 1, key, "expected", "hash", "mend: ", "train again")
        assert trained.program(PULLS) == before
        ended = trained.verb("release-pr", *claim(model), "--json", inside=True)
        assert ended.code == 0, ended
        assert ended.answer["state"] == "proposed"

    def test_of_another_hash_is_not_released(self, trained: Clone) -> None:
        model = last_model(trained) | {"sha256": "0" * 64}
        ended = trained.verb("release-pr", *claim(model), inside=True)
        refused(ended, 1, model["uri"], "0" * 64)


def test_python_too_old(tmp_path: Path) -> None:
    ended = set_up(tmp_path, "3.10")
    assert ended.code == 2, ended
    assert "Python 3.11, 3.12 or 3.13 is needed; python3 here is 3.10" in ended.err
    assert "mend: install one of them" in ended.err
    assert not (tmp_path / ".local").exists()


def test_python_too_new(tmp_path: Path) -> None:
    assert "python3 here is 3.14" in set_up(tmp_path, "3.14").err


def test_no_python(tmp_path: Path) -> None:
    ended = set_up(tmp_path, None)
    assert ended.code == 2, ended
    assert "python3 here is not there" in ended.err


@pytest.mark.parametrize(("kept", "code"), [(sys.executable, 0), ("/nowhere/python", 2)])
def test_an_environment_is_kept_while_its_python_is_there(tmp_path: Path, kept: str, code: int) -> None:
    program = tmp_path / ".venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(kept)
    stamp = run([ROOT / "scripts" / "stamp"], capture_output=True, text=True, check=True).stdout
    (tmp_path / ".venv" / "retrain-stamp").write_text(stamp.removeprefix("stamp="))
    ended = set_up(tmp_path, "3.10", verb="setup")
    assert ended.code == code, ended
    assert "setup         unchanged" in ended.out or "python3 here is 3.10" in ended.err


def set_up(folder: Path, version: str | None, verb: str = "run") -> Ended:
    """A verb that sets up, on a machine whose only Python says that it is `version`."""
    for name in ("poetry.lock", "pyproject.toml", ".github/actions/setup/action.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    tools = folder / "tools"
    tools.mkdir()
    for tool in TOOLS:
        (tools / tool).symlink_to(str(shutil.which(tool)))
    if version:
        (tools / "python3").write_text(f"#!/bin/sh\necho {version}\n")
        (tools / "python3").chmod(0o755)
    environment = {"PATH": str(tools), "HOME": str(folder)}
    done = run([folder / "scripts" / verb], env=environment, capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def log_named(ended: Ended) -> list[str]:
    """The log that the last `failed` line names."""
    line = next(line for line in ended.err.splitlines() if line.startswith("failed "))
    return [line.partition("./scripts/localcloud logs ")[2]]


def last_model(clone: Clone) -> dict[str, Any]:
    """The newest model of the open pull request, as its line for programs names it."""
    line = clone.program(PULLS)[0][2].rstrip().splitlines()[-1]
    found = json.loads(line.removeprefix("<!-- retrain ").removesuffix(" -->"))
    return {"version": found["version"], "uri": found["manifest"], "sha256": found["sha256"]}


def claim(model: dict[str, Any]) -> list[str]:
    """release-pr's arguments."""
    return ["--environment", "local", "--manifest", model["uri"], "--sha256", model["sha256"]]


def take_away(secret: str) -> str:
    """A program that deletes a secret, and gives its payload."""
    name = f"{PROJECT}/{secret}"
    return (
        f"{MANAGER}found = manager.access_secret_version(name='{name}/versions/latest')\n"
        "answer = found.payload.data.decode()\n"
        f"manager.delete_secret(name='{name}')"
    )


def grant(secret: str, account: str) -> str:
    """A program that lets an account read a secret."""
    return (
        f"{MANAGER}name = '{PROJECT}/{secret}'\n"
        "policy = manager.get_iam_policy(request={'resource': name})\n"
        "policy.bindings.add(role='roles/secretmanager.secretAccessor',\n"
        f"    members=['serviceAccount:{account}'])\n"
        "manager.set_iam_policy(request={'resource': name, 'policy': policy})"
    )


def put_back(secret: str, payload: str) -> str:
    """A program that makes it again."""
    return (
        f"{MANAGER}parent = 'projects/retrain-local'\n"
        f"replication = {{'replication': {{'automatic': {{}}}}}}\n"
        f"manager.create_secret(parent=parent, secret_id='{secret}', secret=replication)\n"
        f"payload = {{'data': {payload!r}.encode()}}\n"
        f"manager.add_secret_version(parent='{PROJECT}/{secret}', payload=payload)"
    )
