from pathlib import Path

import pytest

from laptop.skeletons.regression import flow, sample
from laptop.skeletons.regression.config import METRICS, Config, Forest, Ridge
from tests.flows import tabular
from tests.flows.trial import Trial

ALGORITHMS = {"ridge": Ridge(), "forest": Forest(trees=10)}


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return tabular.trial(flow, Config, ALGORITHMS, sample.table, tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_from_rows_to_predictions(name: str, trial: Trial, tmp_path: Path) -> None:
    saved = trial.train(name, tmp_path / "model")
    found = trial.evaluate(saved)
    assert found.verdict.passed, found.verdict.reasons
    assert set(METRICS) < set(found.metrics)
    answers = trial.load(saved).predict(sample.INSTANCES * 2)
    assert answers[0] == answers[1]
    assert isinstance(answers[0], float)


def test_the_same_rows_give_the_same_bytes(trial: Trial, tmp_path: Path) -> None:
    one, other = (trial.train("forest", tmp_path / name).folder for name in ("one", "other"))
    assert (one / "model.onnx").read_bytes() == (other / "model.onnx").read_bytes()


def test_what_is_no_list_of_features_is_refused(trial: Trial, tmp_path: Path) -> None:
    model = trial.load(trial.train("ridge", tmp_path / "model"))
    for instance, words in tabular.wrong_rows(model.form.example):
        assert words in tabular.refused(model, instance)
