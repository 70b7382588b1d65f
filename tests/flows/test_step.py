import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import Forbidden, NotFound

from flows import checkpoints, released, step, storage, upload
from flows.config import Train
from flows.contract import ASIDE, Saved
from flows.errors import InputError, RetrainError
from flows.manifest import Verdict
from flows.recommender import flow, split
from flows.recommender.config import Popularity

UNTIL = datetime(2018, 1, 1, tzinfo=UTC)
DATA = {"until": "2018-01-01T00:00:00Z", "rows": 400.0, "files": ["try/1.parquet"], "summary": "s"}


class Cloud:
    """Cloud Storage, as far as the steps use it: objects are files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def bucket(self, name: str) -> "Cloud":
        return Cloud(self.root / name)

    def blob(self, key: str) -> "Cloud":
        return Cloud(self.root / key)

    def upload_from_filename(self, path: str, **_: Any) -> None:
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.write_bytes(Path(path).read_bytes())

    def download_to_filename(self, path: str) -> None:
        Path(path).write_bytes(self.root.read_bytes())


class Pipeline:
    """Runs steps as KFP does, and keeps the artifacts that they gave."""

    def __init__(self, root: Path) -> None:
        self.root, self.artifacts, self.values = root, {}, {}  # type: ignore[var-annotated]

    def run(
        self, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], **parameters: str
    ) -> None:
        folder = self.root / name
        made = {
            out: {"artifacts": [{"name": out, "uri": f"gs://bucket/{out}", "metadata": {}}]}
            for out in outputs
        }
        given = {
            "inputs": {
                "parameterValues": {"flow": "recommender", **parameters},
                "artifacts": {one: {"artifacts": [self.artifacts[one]]} for one in inputs},
            },
            "outputs": {
                "parameters": {
                    p: {"outputFile": str(folder / "out" / p)}
                    for p in ("passed", "verdict", "manifest", "sha256", "state")
                },
                "artifacts": made,
                "outputFile": str(folder / "deep" / "executor_output.json"),
            },
        }
        step.main([name, "--executor-input", json.dumps(given)])
        done = json.loads((folder / "deep" / "executor_output.json").read_text())
        assert set(done["artifacts"]) == set(outputs)
        self.artifacts |= {out: value["artifacts"][0] for out, value in done["artifacts"].items()}
        self.values |= done["parameterValues"]


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    monkeypatch.setattr(storage, "gs_client", lambda: Cloud(tmp_path / "cloud"))
    random, file = np.random.default_rng(0), tmp_path / "cloud/bucket/data/try/1.parquet"
    file.parent.mkdir(parents=True)
    at = [UNTIL - timedelta(days=1 + int(n)) for n in random.integers(0, 200, 400)]
    columns = {"user": random.integers(0, 20, 400), "item": random.integers(0, 30, 400)}
    pq.write_table(pa.table({**columns, "at": pa.array(at, pa.timestamp("us", "UTC"))}), file)
    made = Pipeline(tmp_path)
    made.artifacts["data"] = {"name": "data", "uri": "gs://bucket/data", "metadata": DATA}
    return made


def to_evaluate(pipeline: Pipeline, gate: str = '{"metric": "ndcg@10", "floor": 0.01}') -> None:
    pipeline.run("preprocess", ("data",), ("training", "holdout"), preprocess='{"holdout_days": 28.0}')
    pipeline.run(
        "train",
        ("training",),
        ("model", "metrics"),
        train='{"algorithm": "svd", "seed": 0.0, "factors": 4.0}',
    )
    given = {"project": "p", "champion": "", "champion_sha256": "", "s3": "{}", "gate": gate}
    pipeline.run("evaluate", ("model", "holdout"), ("metrics", "scores"), **given)


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("delete", "warning: end of gs://bucket/model-checkpoint"),
        ("lost", ""),
        ("upload", "warning: upload"),
    ],
)
def test_a_whole_training_does_not_fail_for_its_checkpoint(
    refused: str, said: str, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    whole, upload_file, written = flow.train, Cloud.upload_from_filename, list[bool]()

    def train(*given: Any) -> Any:
        checkpoints.keep(Path(__file__))
        return whole(*given)

    def upload_one(self: Cloud, path: str, **given: Any) -> None:
        if refused == "upload" and self.root.name == "model-checkpoint":
            raise Forbidden("not now")
        upload_file(self, path, **given)

    def delete(self: Cloud) -> None:
        written.append((pipeline.root / "train/deep/executor_output.json").exists())
        if refused != "upload":
            raise Forbidden("not now") if refused == "delete" else NotFound("an earlier call removed it")

    monkeypatch.setattr(flow, "train", train)
    monkeypatch.setattr(Cloud, "upload_from_filename", upload_one)
    monkeypatch.setattr(Cloud, "delete", delete, raising=False)
    to_evaluate(pipeline)
    assert written == [True], "an answer that cannot be written is tried again, with the checkpoint"
    printed = capsys.readouterr().out
    assert said in printed
    assert ("warning" in printed) == bool(said)


def test_a_checkpoint_that_may_not_be_read_is_said_and_left(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any) -> None:
        raise Forbidden("not yours")

    monkeypatch.setattr(Cloud, "download_to_filename", refused)
    with checkpoints.beside("gs://bucket/model"):
        assert not checkpoints.find(pipeline.root / "checkpoint")
    assert capsys.readouterr().out.startswith("warning: look at gs://bucket/model-checkpoint: ")


def test_from_exported_rows_to_a_verdict(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    to_evaluate(pipeline)
    assert pipeline.values["passed"] is True
    assert (pipeline.root / "evaluate/out/passed").read_text() == "true"
    assert json.loads(pipeline.values["verdict"])["reasons"][1] == "first release"
    assert pipeline.artifacts["metrics"]["metadata"]["summary"].startswith("NDCG@10 ")
    assert set(pipeline.artifacts["model"]["metadata"]["files"]) == {"model.safetensors"}
    assert "train: svd · 4 factors" in capsys.readouterr().out


def test_a_no_is_a_normal_end(pipeline: Pipeline) -> None:
    to_evaluate(pipeline, '{"metric": "ndcg@10", "floor": 0.999}')
    assert pipeline.values["passed"] is False


def beside(
    pipeline: Pipeline, champion: Saved, monkeypatch: pytest.MonkeyPatch, **gate: str
) -> tuple[Verdict, str]:
    """evaluate's verdict, as the next step reads it, and its line, beside `champion`."""
    monkeypatch.setattr(released, "client", lambda *_: None)
    monkeypatch.setattr(released, "fetch", lambda *_: champion)
    given = {"project": "p", "champion": "s3://b/c/manifest.json", "champion_sha256": "a" * 64}
    given |= {"s3": '{"region": "r"}', "gate": json.dumps({"metric": "ndcg@10", **gate})}
    pipeline.run("evaluate", ("model", "holdout"), ("metrics", "scores"), **given)
    verdict = msgspec.json.decode(pipeline.values["verdict"], type=Verdict)
    assert verdict.passed is pipeline.values["passed"]
    return verdict, pipeline.artifacts["metrics"]["metadata"]["summary"]


def test_evaluate_compares_with_the_champion(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_evaluate(pipeline)
    saved = Saved(pipeline.root / "cloud/bucket/model", "svd", "safetensors", "v1")
    verdict, line = beside(pipeline, saved, monkeypatch)
    assert verdict.comparison is not None
    assert (verdict.comparison.difference, verdict.comparison.decision) == (0.0, "passed")
    assert line.endswith("difference +0.0000 [+0.0000, +0.0000] · passed")
    metrics = pipeline.artifacts["metrics"]["metadata"]
    assert metrics["champion_ndcg@10"] == metrics["ndcg@10"]


def test_another_champion_on_twenty_users_is_undecided(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    to_evaluate(pipeline)
    storage.download("gs://bucket/training", tmp_path / "t", [split.FILE])
    flow.train(Train(algorithm="popularity"), Popularity(), tmp_path / "t", tmp_path)
    saved = Saved(tmp_path, "popularity", "safetensors", "v1")
    verdict, line = beside(pipeline, saved, monkeypatch)
    assert not verdict.passed
    assert line.endswith(" · undecided: refused")
    verdict, line = beside(pipeline, saved, monkeypatch, on_undecided="pass")
    assert verdict.passed
    assert line.endswith(" · undecided: passed")


def test_a_champion_of_an_unknown_format_is_not_comparable(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_evaluate(pipeline)
    saved = Saved(pipeline.root, "als", "onnx", "v1")
    verdict, line = beside(pipeline, saved, monkeypatch)
    assert "this recommender cannot open a model of als in onnx" in verdict.reasons[0]
    assert line.endswith(" · not comparable with the champion · refused")
    assert beside(pipeline, saved, monkeypatch, on_incomparable="pass")[0].passed


def test_a_champion_of_another_schema_is_not_comparable(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_evaluate(pipeline)
    saved = Saved(pipeline.root / "none", "", "", "v1", "s3://b/c/manifest.json: schema 2")
    verdict, line = beside(pipeline, saved, monkeypatch)
    assert "schema 2" in verdict.reasons[0]
    assert line.endswith(" · not comparable with the champion · refused")


def test_upload_model_gets_the_whole_story(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = flow.train

    def train(*given: Any) -> Any:
        (given[-1] / ASIDE).mkdir()
        (given[-1] / ASIDE / "for_evaluate").write_text("")
        return whole(*given)

    monkeypatch.setattr(flow, "train", train)
    to_evaluate(pipeline)
    seen: list[Any] = []
    done = upload.Uploaded("s3://store/models/recommender/v/manifest.json", "a" * 64, "proposed")

    def stand_in(*arguments: Any) -> upload.Uploaded:
        seen.append(arguments)
        return done

    monkeypatch.setattr(upload, "upload", stand_in)
    texts = dict.fromkeys(("champion", "champion_sha256"), "") | {
        "model_store": "s3://store",
        "project": "p",
    }
    tables = {
        "s3": '{"region": "r", "secret": "s"}',
        "github": '{"repository": "o/n", "secret": "g"}',
        "config": "{}",
    }
    run = {"version": "v20261121-084500-abc1234", "commit": "a" * 40, "image": "i@sha256:" + "b" * 64}
    run |= {"serving_image": "base@sha256:" + "c" * 64}
    run |= {"pipeline_job": "projects/p/locations/l/pipelineJobs/j", "environment": "local"}
    inputs = ("data", "training", "model", "metrics")
    pipeline.run(
        "upload_model", inputs, (), verdict=pipeline.values["verdict"], **texts, **tables, **run
    )
    candidate = seen[0][0]
    assert (candidate.data["rows"], candidate.data["users"], candidate.algorithm) == (400, 20, "svd")
    assert "ndcg@10" in candidate.metrics
    assert set(candidate.files) == {"model.safetensors"}
    assert candidate.serves == run["serving_image"]
    assert pipeline.values["state"] == "proposed"


def test_a_changed_model_is_refused(pipeline: Pipeline) -> None:
    to_evaluate(pipeline)
    (pipeline.root / "cloud/bucket/model/model.safetensors").write_bytes(b"other")
    given = {
        "project": "p",
        "champion": "",
        "champion_sha256": "",
        "s3": "{}",
        "gate": '{"metric": "m"}',
    }
    with pytest.raises(RetrainError, match=r"gs://bucket/model/model\.safetensors: it is 5 bytes"):
        pipeline.run("evaluate", ("model", "holdout"), ("metrics", "scores"), **given)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "parameter 'preprocess' is None"),
        ({"preprocess": "{"}, "parameter 'preprocess': not valid JSON"),
        (
            {"preprocess": '{"holdout_day": 1}'},
            "unknown key 'holdout_day'.*nearest known key: holdout_days",
        ),
        ({"preprocess": "{}", "flow": "nothing"}, "this image has no flow 'nothing'"),
        ({"preprocess": "{}", "flow": "../x"}, "this image has no flow"),
    ],
)
def test_a_wrong_parameter_is_named(pipeline: Pipeline, parameters: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pipeline.run("preprocess", ("data",), ("training", "holdout"), **parameters)


def test_help_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        step.main(["--help"])
    assert ended.value.code == 0
    assert "upload_model" in capsys.readouterr().out
