"""What releases/ declares: shown where it holds, refused with file, key and expectation where not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from delivery import access, declared, deploy, main_head, releases
from delivery.declared import Declared
from delivery.model_store import ModelStore
from delivery.settings import load
from flows import manifest as manifests
from flows.errors import InputError, RetrainError
from tests.delivery import evidence

FILE = "releases/local/recommender.toml"
TEXT = releases.write(evidence.evidence().proposed)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository, in which there is nothing but releases."""
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path


@pytest.fixture
def store() -> Iterator[ModelStore]:
    """The model store, with the manifests of champion and challenger."""
    with mock_aws():
        client = boto3.client("s3", "eu-west-1", aws_access_key_id="id", aws_secret_access_key="value")
        name = evidence.environment().bucket
        place: Any = {"LocationConstraint": "eu-west-1"}
        client.create_bucket(Bucket=name, CreateBucketConfiguration=place)
        for version in (evidence.CHAMPION, evidence.VERSION):
            key = evidence.address(version).split("/", 3)[3]
            client.put_object(Bucket=name, Key=key, Body=manifests.write(evidence.manifest(version)))
        yield ModelStore(access.Bucket(client, name))


@pytest.fixture
def nothing_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(environment: object) -> None:
        raise AssertionError("something was asked for")

    monkeypatch.setattr(access, "deployer", refused)
    monkeypatch.setattr(main_head, "checked_out", refused)


def write(root: Path, text: str = TEXT, name: str = FILE) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.usefixtures("nothing_fetched")
def test_what_holds_is_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root)
    assert deploy.main(["--check", "--json"]) == 0
    told = capsys.readouterr()
    first, second, last = told.out.splitlines()
    assert first.split()[:4] == ["local/recommender", "champion", evidence.CHAMPION, "90"]
    assert second.split()[:4] == ["local/recommender", "challenger", evidence.VERSION, "10"]
    [shown] = json.loads(last)["releases"]
    assert (shown["environment"], shown["flow"]) == ("local", "recommender")
    assert shown["challenger"]["sha256"] == evidence.sha256(evidence.manifest())
    table = (root / "summary.md").read_text()
    assert f"| local/recommender | challenger | {evidence.VERSION} | 10 % |" in table


@pytest.mark.usefixtures("nothing_fetched")
def test_nothing_released_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["--check"]) == 0
    assert capsys.readouterr().out == "nothing is released\n"
    assert not (root / "summary.md").exists()


@pytest.mark.usefixtures("nothing_fetched")
def test_check_needs_the_files_alone(root: Path) -> None:
    write(root)
    assert deploy.main(["--check"]) == 0


@pytest.mark.usefixtures("nothing_fetched")
@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (FILE, "traffic = 10", "traffic = 20", f"{FILE}:12: the traffic is 90 + 20 = 110"),
        (FILE, "traffic = 10", "trafic = 10", "nearest known key: traffic"),
        (FILE, "schema = 1", "schema = 2", f"{FILE}:1: "),
        (FILE, "[champion]", "[champion", f"{FILE}:3: not valid TOML"),
        (
            FILE,
            "s3://retrain-local-models",
            "s3://others",
            f"{FILE}:6: [champion] manifest = 's3://others/models/recommender/v20261114-084500-0f1e2d3/manifest.json',"
            " expected one below s3://retrain-local-models/models/recommender/",
        ),
        ("releases/local/linnerud.toml", "", "", "expected one below"),
        ("releases/local/nobody.toml", "", "", "there is no flow 'nobody'"),
        ("releases/nowhere/recommender.toml", "", "", "has no environment 'nowhere'"),
        ("releases/local/notes.md", "", "", "nothing but ENVIRONMENT/FLOW.toml"),
        ("releases/recommender.toml", "", "", "nothing but ENVIRONMENT/FLOW.toml"),
        ("releases/local/deep/recommender.toml", "", "", "nothing but ENVIRONMENT/FLOW.toml"),
    ],
)
def test_what_is_wrong_is_named(
    root: Path, name: str, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, TEXT.replace(old, new) if old else TEXT, name)
    assert deploy.main(["--check"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {name}")
    assert said in told


@pytest.mark.usefixtures("nothing_fetched")
def test_every_file_is_looked_at(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, TEXT)
    write(root, "", "releases/local/linnerud.toml")
    (root / "releases" / "staging").mkdir()
    (root / "releases" / "staging" / "recommender.toml").write_bytes(b"\xff")
    (root / "releases" / "production").mkdir()
    (root / "releases" / "production" / "recommender.toml").symlink_to(root / FILE)
    assert deploy.main(["--check", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1])["failed"] == 3
    assert told.err.count("error: releases/") == 3
    assert deploy.main(["--check", "--environment", "staging"]) == 2
    assert capsys.readouterr().err.count("error: releases/") == 1


def test_an_unknown_environment_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="no environment 'nowhere'"):
        deploy.main(["--environment", "nowhere"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (evidence.sha256(evidence.manifest()), "3" * 64, "its hash is"),
        ("20261121-084500-abc1234", "20261128-084500-bbbbbbb", "there is no such object"),
    ],
)
def test_a_model_that_the_store_does_not_hold_so_is_named(
    root: Path, store: ModelStore, old: str, new: str, said: str
) -> None:
    one = as_declared(root, TEXT.replace(old, new))
    declared.manifest(one, one.release.champion, store)
    assert one.release.challenger
    with pytest.raises(RetrainError, match=said) as told:
        declared.manifest(one, one.release.challenger, store)
    place = "s3://retrain-local-models/models/recommender/"
    assert str(told.value).startswith(f"{FILE}:13: [challenger] {place}")


def test_an_image_that_did_not_make_the_model_is_named(root: Path, store: ModelStore) -> None:
    one = as_declared(root, TEXT.replace(f"sha256:{'2' * 64}", f"sha256:{'4' * 64}"))
    for entry in one.release.entries:
        with pytest.raises(RetrainError, match="its manifest says"):
            declared.manifest(one, entry, store)


def as_declared(root: Path, text: str) -> Declared:
    write(root, text)
    return declared.read(root, FILE, load(), ["recommender"])
