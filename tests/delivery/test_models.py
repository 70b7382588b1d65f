"""`models`: a released model as a product's server fetches it, whole or not at all."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from delivery import command, models
from flows import manifest as manifests
from flows.manifest import Manifest
from localcloud.client import Client
from tests.clone import ROOT
from tests.delivery.evidence import CHAMPION, NEWER, OLD, VERSION, WEIGHTS, address, manifest, sha256

BUCKET = "acme-served-models"
SETTINGS = f"""
schema = 1
default_environment = "shop"
[environments.shop]
model_store = "s3://{BUCKET}"
aws_region = "eu-west-1"
"""
CHANNEL = "channels/shop/recommender.json"
Verb = Callable[..., tuple[int, str, str]]


def entry(made: Manifest) -> dict[str, str]:
    return {
        "version": made.version,
        "manifest": address(made.version).replace("retrain-local-models", BUCKET),
        "sha256": sha256(made),
    }


def channel(champion: str = CHAMPION, challenger: str = VERSION) -> bytes:
    found = {
        "schema": 1,
        "champion": entry(manifest(champion)),
        "challenger": entry(manifest(challenger)) if challenger else None,
        "traffic": {champion: 90, challenger: 10},
        "updated": "2026-11-21T09:00:00Z",
    }
    return json.dumps(found).encode()


def fill(client: Any) -> None:
    """Three models, two of which the channel names."""
    place: Any = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    client.put_object(Bucket=BUCKET, Key=CHANNEL, Body=channel())
    for version in (OLD, CHAMPION, VERSION):
        folder = f"models/recommender/{version}"
        data = {"model.safetensors": WEIGHTS, "manifest.json": manifests.write(manifest(version))}
        for name, body in data.items():
            client.put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=body)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The model store, and settings.toml that names it, in a folder that is no git checkout."""
    (tmp_path / "settings.toml").write_text(SETTINGS)
    monkeypatch.setattr(models, "ROOT", tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "value")
    with mock_aws():
        client = boto3.client("s3", "eu-west-1")
        fill(client)
        yield client


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Verb:
    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = command.run(lambda _: models.main([str(one) for one in arguments]))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def whole(version: str) -> dict[str, bytes]:
    return {"model.safetensors": WEIGHTS, "manifest.json": manifests.write(manifest(version))}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("which", "version"),
    [("", CHAMPION), ("@champion", CHAMPION), ("@challenger", VERSION), (f"@{VERSION}", VERSION)],
)
def test_a_model_is_fetched_by_what_the_channel_says(
    tmp_path: Path, verb: Verb, which: str, version: str
) -> None:
    folder = tmp_path / "new" / "model"
    code, out, err = verb("fetch", f"recommender{which}", folder, "--json")
    assert (code, err) == (0, f"recommender {version}: fetched\n")
    told = {"flow": "recommender", **entry(manifest(version)), "folder": str(folder)}
    assert json.loads(out) == told
    assert held(folder) == whole(version)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.usefixtures("store")
def test_what_is_there_already_is_looked_at_and_left(tmp_path: Path, verb: Verb) -> None:
    folder = tmp_path / "model"
    verb("fetch", "recommender", folder)
    before = (folder / "model.safetensors").stat()
    code, _, err = verb("fetch", "recommender@champion", folder)
    assert (code, err) == (0, f"recommender {CHAMPION}: there already\n")
    assert (folder / "model.safetensors").stat() == before


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("damage", ["another", "changed", "more", "less", "nothing"])
def test_a_folder_with_something_else_is_left_as_it_is(tmp_path: Path, verb: Verb, damage: str) -> None:
    folder = tmp_path / "model"
    verb("fetch", "recommender@challenger" if damage == "another" else "recommender", folder)
    if damage == "changed":
        (folder / "model.safetensors").write_bytes(b"x")
    elif damage == "more":
        (folder / "note").write_bytes(b"x")
    elif damage == "less":
        (folder / "model.safetensors").unlink()
    elif damage == "nothing":
        shutil.rmtree(folder)
        folder.mkdir()
    before = held(folder)
    code, _, err = verb("fetch", "recommender", folder)
    assert (code, held(folder)) == (2, before)
    assert "name a new folder" in err


@pytest.mark.parametrize(
    ("key", "body", "said"),
    [
        ("model.safetensors", WEIGHTS + b"x", "it is not the file that was released"),
        ("model.safetensors", b"x" * len(WEIGHTS), "it is not the file that was released"),
        ("model.safetensors", None, "there is no such object"),
        ("manifest.json", b"{}", "its hash is 44136f"),
        ("manifest.json", None, "there is no such object"),
    ],
)
def test_a_model_that_is_not_whole_leaves_nothing(
    store: Any, tmp_path: Path, verb: Verb, key: str, body: bytes | None, said: str
) -> None:
    name = f"models/recommender/{CHAMPION}/{key}"
    if body is None:
        store.delete_object(Bucket=BUCKET, Key=name)
    else:
        store.put_object(Bucket=BUCKET, Key=name, Body=body)
    code, _, err = verb("fetch", "recommender", tmp_path / "model")
    assert code in (1, 2)
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.usefixtures("store")
def test_what_a_killed_one_left_is_used_again(tmp_path: Path, verb: Verb) -> None:
    (tmp_path / ".model.part").mkdir()
    (tmp_path / ".model.part" / "half").write_bytes(b"x")
    assert verb("fetch", "recommender", tmp_path / "model")[0] == 0
    assert held(tmp_path / "model") == whole(CHAMPION)
    assert not (tmp_path / ".model.part").exists()


@pytest.mark.usefixtures("store")
def test_an_older_version_needs_its_hash(tmp_path: Path, verb: Verb) -> None:
    folder = tmp_path / "model"
    code, _, err = verb("fetch", f"recommender@{OLD}", folder)
    assert code == 2
    assert "says its hash\n  mend: give --sha256" in err
    assert verb("fetch", f"recommender@{OLD}", folder, "--sha256", "0" * 64)[0] == 1
    assert verb("fetch", f"recommender@{OLD}", folder, "--sha256", sha256(manifest(OLD)))[0] == 0
    assert held(folder) == whole(OLD)


@pytest.mark.usefixtures("store")
def test_the_checkout_s_history_knows_older_versions(tmp_path: Path, verb: Verb) -> None:
    file = tmp_path / "releases" / "shop" / "recommender.toml"
    file.parent.mkdir(parents=True)
    old = entry(manifest(OLD))
    lines = "\n".join(f'{key} = "{value}"' for key, value in old.items())
    who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
    for command_ in (["init", "--quiet"], ["add", "releases"], [*who, "commit", "--quiet", "-mOne"]):
        file.write_text(f"schema = 1\n[champion]\n{lines}\n")
        subprocess.run(["git", *command_], cwd=tmp_path, check=True)
    file.unlink()
    assert verb("fetch", f"recommender@{OLD}", tmp_path / "model")[0] == 0
    assert held(tmp_path / "model") == whole(OLD)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fetch", "recommender", "DIR", "--environment", "nowhere"], "name one of: shop"),
        (["fetch", "nobody", "DIR"], f"s3://{BUCKET}/channels/shop/nobody.json: there is no such"),
        (["fetch", "../x", "DIR"], "names no flow"),
        (["fetch", f"recommender@{NEWER}", "DIR"], "says its hash"),
        (["fetch", "recommender@champ", "DIR"], "'champ' is no version\n  mend: name champion, "),
        (["fetch", f"recommender@{OLD}", "DIR", "--sha256", "0000"], "'0000' is no SHA-256\n"),
        (["list", "recommender@champion"], "names no flow"),
    ],
)
@pytest.mark.usefixtures("store")
def test_wrong_input_is_named(arguments: list[str], said: str, tmp_path: Path, verb: Verb) -> None:
    given = [str(tmp_path / "model") if one == "DIR" else one for one in arguments]
    code, _, err = verb(*given)
    assert code == 2
    assert said in err
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("store")
def test_a_flow_that_the_checkout_does_not_have_is_named(tmp_path: Path, verb: Verb) -> None:
    flow = tmp_path / "vertex-ai-pipelines" / "flows" / "known"
    flow.mkdir(parents=True)
    (flow / "flow.toml").touch()
    assert "there is no flow 'other'\n  mend: name one of: known\n" in verb("list", "other")[2]
    assert "known.json: there is no such object" in verb("list", "known")[2]


def test_no_challenger_and_a_foreign_channel_are_said(store: Any, tmp_path: Path, verb: Verb) -> None:
    store.put_object(Bucket=BUCKET, Key=CHANNEL, Body=channel(challenger=""))
    assert "there is no challenger" in verb("fetch", "recommender@challenger", tmp_path / "x")[2]
    store.put_object(Bucket=BUCKET, Key=CHANNEL, Body=b'{"schema": 2}')
    assert "schema is 2, not 1" in verb("fetch", "recommender", tmp_path / "x")[2]
    store.put_object(Bucket=BUCKET, Key=CHANNEL, Body=b'{"schema": 1, "champion": {"version": "v"}}')
    assert "names no version with manifest and sha256" in verb("list", "recommender")[2]


def test_a_bucket_that_settings_do_not_name_is_refused(store: Any, tmp_path: Path, verb: Verb) -> None:
    elsewhere = channel().replace(f"s3://{BUCKET}/".encode(), b"s3://acme-elsewhere/")
    store.put_object(Bucket=BUCKET, Key=CHANNEL, Body=elsewhere)
    code, _, err = verb("fetch", "recommender", tmp_path / "model")
    assert code == 2
    assert "s3://acme-elsewhere is no model store of shop in settings.toml" in err
    known = 'promotes_from = "lab"\n[environments.lab]\nmodel_store = "s3://acme-elsewhere"\n'
    (tmp_path / "settings.toml").write_text(SETTINGS + known)
    code, _, err = verb("fetch", "recommender", tmp_path / "model")
    assert "is no model store" not in err
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("store")
def test_what_serves_is_listed(verb: Verb) -> None:
    code, out, _ = verb("list", "recommender", "--json")
    first, second, last = out.splitlines()
    assert code == 0
    assert first.split()[:3] == ["champion", CHAMPION, "90"]
    assert second.split()[:3] == ["challenger", VERSION, "10"]
    assert json.loads(last)["traffic"] == {CHAMPION: 90, VERSION: 10}


NEEDED = (
    "scripts/models",
    "scripts/lib/verb.sh",
    *(f"vertex-ai-pipelines/delivery/{name}.py" for name in ("__init__", "models", "fetching", "git")),
    *(f"vertex-ai-pipelines/delivery/{name}.py" for name in ("command", "lazy")),
    *(f"vertex-ai-pipelines/flows/{name}.py" for name in ("__init__", "errors")),
)
BOTO3 = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
FILL = """
from tests.delivery.test_models import fill
import boto3
fill(boto3.client("s3"))
"""


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A machine's folder with the verb's own files, boto3 and Python, and nothing else."""
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    (tmp_path / "settings.toml").write_text(SETTINGS)
    for name in BOTO3:
        spec = find_spec(name)
        assert spec
        assert spec.origin
        origin = Path(spec.origin)
        found = origin.parent if origin.name == "__init__.py" else origin
        (tmp_path / found.name).symlink_to(found)
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    python.write_text(f'#!/bin/sh\nexec {base} -S "$@"\n')  # -S: without its own packages
    python.chmod(0o755)
    return tmp_path


def test_it_needs_boto3_alone(product: Path, cloud: Client, run_in: Callable[..., Any]) -> None:
    run_in(cloud, f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'scripts')!r}]\n{FILL}")
    path = f"{product / 'bin'}{os.pathsep}{os.environ['PATH']}"
    variables = cloud.environment().over({"PATH": path, "HOME": str(product)})

    def fetch() -> Any:
        wanted = ["fetch", "recommender@champion", "model", "--from", "s3"]
        return subprocess.run(
            [str(product / "scripts" / "models"), *wanted],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    assert fetch().stderr == f"recommender {CHAMPION}: fetched\n"
    assert held(product / "model") == whole(CHAMPION)
    (product / "boto3").unlink()
    done = fetch()
    assert (done.returncode, done.stderr) == (2, "error: boto3 is not here\n  mend: pip install boto3\n")
