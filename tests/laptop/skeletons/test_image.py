from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from flows.errors import InputError
from flows.images import classifier, labelled
from flows.images.labelled import Labelled
from flows.serving.question import Reader
from laptop.skeletons.image import flow, sample
from laptop.skeletons.image.config import METRICS, Config, Forest, Perceptron
from tests.flows import tabular
from tests.flows.trial import Trial, described

ALGORITHMS = {"perceptron": Perceptron(), "forest": Forest(trees=20)}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """What the sample's table names is what lies in its bucket."""
    query = described(flow, Config).query
    rows = pq.read_table(
        tabular.exported(sample.table, query, tmp_path_factory.mktemp("sample")),
        columns=["image", "label"],
    ).to_pydict()
    lying = {f"gs://{sample.BUCKET}/{name}": content for name, content in sample.objects()}
    assert sorted(rows["image"]) == sorted(lying)
    found = Labelled(rows["image"], rows["label"], [lying[name] for name in rows["image"]])
    images = tmp_path_factory.mktemp("images") / "data"
    images.mkdir()
    labelled.write(found, images / labelled.FILE)
    return Trial.of(flow, Config, ALGORITHMS, images)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_from_images_to_predictions(name: str, trial: Trial, tmp_path: Path) -> None:
    saved = trial.train(name, tmp_path / "model")
    found = trial.evaluate(saved)
    assert found.verdict.passed, found.verdict.reasons
    assert {*METRICS, "skew", "export_skew"} < set(found.metrics)
    assert (found.metrics["accuracy"] or 0) > 0.94
    assert found.metrics["skew"] == 0
    assert (found.metrics["export_skew"] or 0) < 1e-6
    model = trial.load(saved)
    asked = msgspec.json.encode({"instances": sample.INSTANCES * 2})
    answers = model.predict(Reader(model.form).read(asked).instances)
    assert answers[0] == answers[1]
    assert answers[0]["label"] == "7"
    assert 0.5 <= answers[0]["confidence"] <= 1


def test_the_same_images_give_the_same_bytes(trial: Trial, tmp_path: Path) -> None:
    one, other = (trial.train("perceptron", tmp_path / name).folder for name in ("one", "other"))
    assert (one / "model.onnx").read_bytes() == (other / "model.onnx").read_bytes()


def test_what_is_no_image_is_refused(trial: Trial, tmp_path: Path) -> None:
    model = trial.load(trial.train("forest", tmp_path / "model"))
    [good] = sample.INSTANCES
    for wrong, words in [
        ({"b64": classifier.encoded(b"words")}, "instances[1]: it is neither PNG nor JPEG"),
        ({"b64": good["b64"][:40]}, "instances[1]: it is cut off"),
        ({"b64": "no base64"}, "instances[1]: it is not base64"),
        ({"b64": 7}, "instances[1].b64: expected str, got int"),
        ("{]", "the request is not valid JSON"),
    ]:
        assert words in tabular.refused(model, wrong)


def test_what_cannot_be_learnt_from_is_refused(trial: Trial, tmp_path: Path) -> None:
    label, content = next(sample.digits())
    labelled.write(Labelled(["gs://b/0"], [label], [content]), tmp_path / labelled.FILE)
    with pytest.raises(InputError, match="all images have one label"):
        replace(trial, training=tmp_path).train("forest", tmp_path / "model")
