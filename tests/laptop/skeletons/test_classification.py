from pathlib import Path

import pytest

from flows.config import Train
from flows.contract import Saved
from laptop.skeletons.classification import flow, sample
from laptop.skeletons.classification.config import METRICS, Config, Forest, Logistic, Preprocess
from tests.flows import tabular

FOUND = tabular.described(flow, Config)
ALGORITHMS: dict[str, Logistic | Forest] = {"logistic": Logistic(), "forest": Forest(trees=10)}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Training set and holdout of the sample."""
    data = tabular.exported(sample.table, FOUND.query, tmp_path_factory.mktemp("sample"))
    training, holdout = (tmp_path_factory.mktemp(name) for name in ("training", "holdout"))
    flow.preprocess(Preprocess(), data, {}, training, holdout)
    return training, holdout


def trained(name: str, training: Path, folder: Path) -> Saved:
    """A model in a new folder."""
    folder.mkdir()
    made = flow.train(Train(algorithm=name), ALGORITHMS[name], training, folder)
    return Saved(folder, name, made.format, folder.name)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_from_rows_to_predictions(name: str, parts: tuple[Path, Path], tmp_path: Path) -> None:
    training, holdout = parts
    saved = trained(name, training, tmp_path / "model")
    found = flow.evaluate(FOUND.gate, saved, holdout, saved, tmp_path)
    assert found.verdict.passed, found.verdict.reasons
    assert set(METRICS) < set(found.metrics)
    answers = flow.load(saved.folder, name, saved.format).predict(sample.INSTANCES * 2)
    assert answers[0] == answers[1]
    assert answers[0]["label"] in {"malignant", "benign"}
    assert 0.5 <= answers[0]["confidence"] <= 1


def test_the_same_rows_give_the_same_bytes(parts: tuple[Path, Path], tmp_path: Path) -> None:
    one, other = (trained("forest", parts[0], tmp_path / name) for name in ("one", "other"))
    assert (one.folder / "model.onnx").read_bytes() == (other.folder / "model.onnx").read_bytes()


def test_what_is_no_list_of_features_is_refused(parts: tuple[Path, Path], tmp_path: Path) -> None:
    model = flow.load(trained("logistic", parts[0], tmp_path / "model").folder, "logistic", "onnx")
    good = list(model.form.example)
    for wrong, words in [
        (good[:-1], f"instances[1]: expected array of length {len(good)}"),
        ([*good[:-1], "much"], f"instances[1][{len(good) - 1}]: expected float, got str"),
        ([*good[:-1], None], f"instances[1][{len(good) - 1}]: expected float, got null"),
        ([1e300, *good[1:]], "instances[1][0]: expected float <= 1e+30"),
        ("[NaN]", "the request is not valid JSON"),
    ]:
        assert words in tabular.refused(model, wrong)
