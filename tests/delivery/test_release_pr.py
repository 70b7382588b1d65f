"""`release-pr` as the workflow runs it: what is checked before which credential, and what is said."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery import access, claim, command, release_pr, releases
from flows import config
from flows import manifest as manifests
from flows.config import Data, FlowConfig, Gate, Train
from flows.errors import RetrainError
from flows.manifest import File, Manifest, Verdict
from flows.serving_config import Serving
from tests.delivery.evidence import (
    CHAMPION,
    VERSION,
    WEIGHTS,
    address,
    candidate,
    environment,
    job,
    manifest,
    model,
    sha256,
)
from tests.delivery.hub import BRANCH, Hub, hub


class Bucket:
    """The model store in memory; `calls` are all that the verb reached, in order."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.job: Any = None
        self.hub: Hub | None = None

    def put(self, made: Manifest) -> None:
        folder = f"models/recommender/{made.version}/"
        self.objects[folder + "manifest.json"] = manifests.write(made)
        self.objects |= {folder + name: WEIGHTS for name in made.files}
        self.job = job(made)

    def read(self, key: str, limit: int) -> bytes:
        self.calls.append(f"read {key.rsplit('/', 1)[1]}")
        if key not in self.objects:
            raise RetrainError(
                f"s3://retrain-local-models/{key}: there is no such object", "train again"
            )
        return self.objects[key][: limit + 1]

    def describe(self, key: str) -> File:
        data = self.read(key, 1 << 30)
        return File(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    def find(self, name: str) -> Any:
        self.calls.append("job")
        return self.job


def flow(serving: Serving) -> FlowConfig:
    data = Data(query="query.sql", table="retail.transactions", days=1)
    return FlowConfig(
        name="recommender",
        description="…",
        data=data,
        data_options={},
        preprocess={},
        train=Train(algorithm="svd"),
        gate=Gate(metric="ndcg@10"),
        query="",
        serving=serving,
    )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The store with a good model, its job, and no GitHub behind the last door."""
    bucket = Bucket()
    bucket.put(manifest())

    def objects(environment: object) -> Bucket:
        bucket.calls.append("s3_reader")
        return bucket

    def repository(settings: object, environment: object) -> Any:
        bucket.calls.append("github_release")
        assert bucket.hub
        return bucket.hub.app

    monkeypatch.setattr(access, "objects", objects)
    monkeypatch.setattr(access, "repository", repository)
    monkeypatch.setattr(claim, "Jobs", lambda environment: bucket)
    monkeypatch.setattr(config, "names", lambda: ["recommender"])
    monkeypatch.setattr(config, "load", lambda name: flow(Serving()))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return bucket


@pytest.fixture
def github(world: Bucket, tmp_path: Path) -> Iterator[Hub]:
    with hub(tmp_path) as found:
        world.hub = found
        yield found


def verb(*extra: str, **changed: str) -> int:
    """The verb with a good claim, some of its arguments `changed`."""
    arguments = {"environment": "local", "manifest": address(), "sha256": sha256(manifest()), **changed}
    given = [part for key, value in arguments.items() for part in (f"--{key}", value)]
    return command.run(lambda _: release_pr.main([*given, *extra]))


def test_a_good_model_is_proposed(
    world: Bucket,
    github: Hub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert verb("--json") == 0
    assert world.calls == [
        "s3_reader",
        "read manifest.json",
        "read model.safetensors",
        "job",
        "github_release",
    ]
    (found,) = github.pulls()
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1]) == {
        "state": "proposed",
        "pull_request": {
            "number": found.number,
            "url": found.html_url,
            "branch": BRANCH,
            "created": True,
        },
    }
    assert (
        said.err == f"release       proposed: pull request #1 opened for {VERSION} · {found.html_url}\n"
    )
    first, *_, last = summary.read_text().strip().splitlines()
    assert first.startswith(f"### recommender in local: [{VERSION}](https://console.cloud.google.com/")
    assert "| `ndcg@10` | 0.0508 [0.0481, 0.0536] | 0.0409 [0.0385, 0.0432] |" in summary.read_text()
    assert last == f"**proposed**: pull request #1 opened for {VERSION} · {found.html_url}"
    assert "| this run | about $" in found.body


@pytest.mark.parametrize("given", ["train.factors=16 <b>", ""])
def test_a_configuration_that_nobody_reviewed_is_told(world: Bucket, github: Hub, given: str) -> None:
    spec = {**dict(world.job.pipeline_spec), "pipelineInfo": {"description": given or "The flow's"}}
    world.job = job(pipeline_spec=spec, labels={"overridden": "yes"} if given else {})
    assert verb() == 0
    (found,) = github.pulls()
    told = "**Not commit `abc1234`'s flow.toml**: this run had `train.factors=16 ?b?` instead.\n"
    assert (told in found.body) == bool(given)


def test_the_champion_s_numbers_stand_beside_the_candidate_s(world: Bucket, github: Hub) -> None:
    champion = manifest(CHAMPION)
    world.put(champion)
    world.put(manifest())
    github.main(releases.write(releases.propose(None, model(champion), 10)))
    assert verb() == 0
    (found,) = github.pulls()
    assert "| `ndcg@10` | 0.0508 [0.0481, 0.0536] | 0.0409 [0.0385, 0.0432] | +0.0099 [" in found.body
    assert "2 × n1-standard-2" in found.body


def test_a_champion_that_is_gone_is_said(world: Bucket, github: Hub) -> None:
    github.main(releases.write(releases.propose(None, model(manifest(CHAMPION)), 10)))
    alone = manifest(verdict=Verdict(passed=True, reasons=("first release",)))
    world.put(alone)
    world.job = job(alone)
    assert verb(sha256=sha256(alone)) == 0
    (found,) = github.pulls()
    assert "champion's manifest could not be read" in found.body


@pytest.mark.parametrize(("ladder", "share"), [((), 100), ((100,), 100), ((25, 100), 25)])
def test_the_ladder_gives_the_first_share(
    world: Bucket, github: Hub, monkeypatch: pytest.MonkeyPatch, ladder: tuple[int, ...], share: int
) -> None:
    monkeypatch.setattr(config, "load", lambda name: flow(Serving(ladder=ladder)))
    github.main(releases.write(releases.propose(None, model(manifest(CHAMPION)), 10)))
    assert verb() == 0
    proposed = releases.parse(github.text(BRANCH), "the branch")
    assert proposed is not None
    own = proposed.entry(VERSION)
    assert own is not None
    assert own.traffic == share


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"environment": "nowhere"}, "has no environment 'nowhere'"),
        ({"manifest": "https://example.com/manifest.json"}, "is not a manifest's address"),
        ({"manifest": address() + "x" * 9999}, "is not a manifest's address"),
        (
            {"manifest": address().replace("retrain-local-models", "evil")},
            "is outside of s3://retrain-local-models",
        ),
        (
            {"manifest": address().replace("/models/recommender", "/other/recommender")},
            "is not a manifest's",
        ),
        ({"manifest": address().replace("/recommender/", "/../")}, "is of flow '..'"),
        ({"manifest": address().replace("/recommender/", "/unknown/")}, "is of flow 'unknown'"),
        ({"manifest": address().replace(VERSION, "latest")}, "version"),
        ({"manifest": address().replace(VERSION, f"{VERSION}/..")}, "is not a manifest's address"),
        ({"manifest": address() + "\n"}, "is not a manifest's address"),
        ({"flow": "linnerud"}, "--flow 'linnerud': the manifest is of flow 'recommender'"),
        ({"sha256": "0" * 63}, "sha256"),
        ({"sha256": "A" * 64}, "sha256"),
        ({"sha256": "0" * 64 + "\n"}, "sha256"),
    ],
)
def test_a_wrong_claim_is_refused_before_any_credential(
    world: Bucket, capsys: pytest.CaptureFixture[str], changed: dict[str, str], said: str
) -> None:
    assert verb(**changed) == 2
    assert world.calls == []
    assert said in capsys.readouterr().err


def change(key: str, data: bytes | None) -> Callable[[Bucket], None]:
    def apply(bucket: Bucket) -> None:
        name = f"models/recommender/{VERSION}/{key}"
        if data is None:
            del bucket.objects[name]
        else:
            bucket.objects[name] = data

    return apply


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (change("manifest.json", None), "there is no such object"),
        (change("manifest.json", b"{}"), "its hash is 44136f"),
        (change("model.safetensors", None), "there is no such object"),
        (change("model.safetensors", b"x" * len(WEIGHTS)), "expected 18 bytes with hash"),
        (change("model.safetensors", WEIGHTS + b"x"), "19 bytes with hash"),
    ],
)
def test_a_damaged_model_is_a_failure(
    world: Bucket, capsys: pytest.CaptureFixture[str], damage: Callable[[Bucket], None], said: str
) -> None:
    damage(world)
    assert verb() == 1
    assert said in capsys.readouterr().err
    assert "github_release" not in world.calls


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"flow": "digits"}, "its flow is 'digits', expected 'recommender'"),
        ({"version": CHAMPION}, f"its version is '{CHAMPION}'"),
        ({"environment": "production"}, "its environment is 'production'"),
        ({"verdict": Verdict(passed=False, reasons=("no",))}, "the gate refused this model"),
    ],
)
def test_a_manifest_of_something_else_is_refused(
    world: Bucket, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], said: str
) -> None:
    other = manifest(**changed)
    change("manifest.json", manifests.write(other))(world)
    assert verb(sha256=sha256(other)) == 1
    assert said in capsys.readouterr().err
    assert "job" not in world.calls


def test_a_manifest_that_is_no_manifest_is_refused(
    world: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    data = manifests.write(manifest()).replace(b'"schema": 1', b'"schema": 2')
    change("manifest.json", data)(world)
    assert verb(sha256=hashlib.sha256(data).hexdigest()) == 1
    assert "schema" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"state": "PIPELINE_STATE_FAILED"}, "it ended as FAILED"),
        (
            {"service_account": "somebody@else.iam.gserviceaccount.com"},
            "its service account is 'somebody",
        ),
        ({"job_detail": {}}, "upload_model output manifest is None"),
    ],
)
def test_a_false_claim_never_reaches_github_s_key(
    world: Bucket, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], said: str
) -> None:
    world.job = job(**changed)
    assert verb() == 1
    assert said in capsys.readouterr().err
    assert world.calls[-1] == "job"


def test_a_job_that_does_not_end_is_not_waited_for_longer(
    world: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    world.job = job(state="PIPELINE_STATE_RUNNING")
    assert verb("--wait", "0") == 1
    assert "it has not ended after 0 s" in capsys.readouterr().err


def test_help_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        release_pr.main(["--help"])
    assert "./scripts/release-pr" in capsys.readouterr().out


def test_the_shared_evidence_is_consistent() -> None:
    assert candidate().key == f"models/recommender/{VERSION}/manifest.json"
    assert manifest().pipeline_job.startswith(environment().location)
