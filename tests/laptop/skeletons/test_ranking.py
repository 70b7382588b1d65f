from pathlib import Path

import pytest

from laptop.skeletons.ranking import flow, sample
from laptop.skeletons.ranking.config import METRICS, Config, Forest, Ridge
from tests.flows import tabular
from tests.flows.trial import Trial

ALGORITHMS = {"ridge": Ridge(), "forest": Forest(trees=10, leaf=20)}


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
    assert sorted(answers[0]["order"]) == list(range(len(sample.INSTANCES[0])))


def test_the_same_rows_give_the_same_bytes(trial: Trial, tmp_path: Path) -> None:
    one, other = (trial.train("forest", tmp_path / name).folder for name in ("one", "other"))
    assert (one / "model.onnx").read_bytes() == (other / "model.onnx").read_bytes()


def test_what_is_no_list_of_features_is_refused(trial: Trial, tmp_path: Path) -> None:
    model = trial.load(trial.train("ridge", tmp_path / "model"))
    [good] = model.form.example
    assert "instances[1]: expected array of length >= 1" in tabular.refused(model, [])
    for row, words in tabular.wrong_rows(good):
        candidates = "[[NaN]]" if row == "[NaN]" else [good, row]
        assert words.replace("instances[1]", "instances[1][1]") in tabular.refused(model, candidates)
