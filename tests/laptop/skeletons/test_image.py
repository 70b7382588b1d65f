from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from flows.config import Train
from flows.contract import Saved
from flows.errors import InputError
from flows.images import classifier, labelled
from flows.images.labelled import Labelled
from flows.serving.question import Reader
from laptop.skeletons.image import flow, sample
from laptop.skeletons.image.config import METRICS, Config, Forest, Perceptron, Preprocess
from tests.flows import tabular

FOUND = tabular.described(flow, Config)
ALGORITHMS: dict[str, Perceptron | Forest] = {"perceptron": Perceptron(), "forest": Forest(trees=20)}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Training set and holdout of the sample: what its table names is what lies in its bucket."""
    data = tabular.exported(sample.table, FOUND.query, tmp_path_factory.mktemp("sample"))
    rows = pq.read_table(data).to_pylist()
    lying = {f"gs://{sample.BUCKET}/{name}": content for name, content in sample.objects()}
    assert len(rows) == len(lying)
    names = [row["image"] for row in rows]
    found = Labelled(names, [row["label"] for row in rows], [lying[name] for name in names])
    images, training, holdout = (tmp_path_factory.mktemp(name) for name in ("images", "own", "held"))
    labelled.write(found, images / labelled.FILE)
    flow.preprocess(Preprocess(), images, {}, training, holdout)
    return training, holdout


def trained(name: str, training: Path, folder: Path) -> Saved:
    """A model in a new folder."""
    folder.mkdir()
    made = flow.train(Train(algorithm=name), ALGORITHMS[name], training, folder)
    return Saved(folder, name, made.format, folder.name)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_from_images_to_predictions(name: str, parts: tuple[Path, Path], tmp_path: Path) -> None:
    training, holdout = parts
    saved = trained(name, training, tmp_path / "model")
    found = flow.evaluate(FOUND.gate, saved, holdout, saved, tmp_path)
    assert found.verdict.passed, found.verdict.reasons
    assert {*METRICS, "skew", "export_skew"} < set(found.metrics)
    assert (found.metrics["accuracy"] or 0) > 0.94
    assert found.metrics["skew"] == 0
    assert (found.metrics["export_skew"] or 0) < 1e-6
    model = flow.load(saved.folder, name, saved.format)
    asked = msgspec.json.encode({"instances": sample.INSTANCES * 2})
    answers = model.predict(Reader(model.form).read(asked).instances)
    assert answers[0] == answers[1]
    assert answers[0]["label"] == "7"
    assert 0.5 <= answers[0]["confidence"] <= 1


def test_the_same_images_give_the_same_bytes(parts: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = (trained("perceptron", parts[0], tmp_path / name) for name in ("one", "other"))
    assert (one.folder / "model.onnx").read_bytes() == (other.folder / "model.onnx").read_bytes()


def test_what_is_no_image_is_refused(parts: tuple[Path, Path], tmp_path: Path) -> None:
    model = flow.load(trained("forest", parts[0], tmp_path / "model").folder, "forest", "onnx")
    [good] = sample.INSTANCES
    for wrong, words in [
        ({"b64": classifier.encoded(b"words")}, "instances[1]: it is neither PNG nor JPEG"),
        ({"b64": good["b64"][:40]}, "instances[1]: it is cut off"),
        ({"b64": "no base64"}, "instances[1]: it is not base64"),
        ({"b64": 7}, "instances[1].b64: expected str, got int"),
        ("{]", "the request is not valid JSON"),
    ]:
        assert words in tabular.refused(model, wrong)


def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    label, content = next(sample.digits())
    labelled.write(Labelled(["gs://b/0"], [label], [content]), tmp_path / labelled.FILE)
    with pytest.raises(InputError, match="all images have one label"):
        flow.train(Train(algorithm="forest"), Forest(), tmp_path, tmp_path)
