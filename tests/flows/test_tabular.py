from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from flows.errors import InputError
from flows.tabular import graph, metrics, model, rows
from flows.tabular.graph import Step
from flows.tabular.model import Classifier, Ranker, Regressor, Scorer
from flows.tabular.rows import Numbers, Rows

NAMES = ("a", "b", "c")


def some(target: Any = None, size: int = 60) -> Rows:
    """Made-up rows; among the features are numbers that single precision does not have."""
    random = np.random.default_rng(0)
    features = random.normal(100, 30, (size, 3))
    numbers = features @ [1.0, -2.0, 0.5] + random.normal(0, 5, size)
    given = numbers if target is None else np.array(target)[np.digitize(numbers, [-80, -30])]
    return Rows(list(range(size)), NAMES, features, given)


def scores(steps: list[Step], own: Rows, folder: Path, labels: Any = None) -> Numbers:
    """What the written file says of its own rows."""
    graph.write(folder, steps, own, labels)
    return Scorer(folder / graph.FILE).of(own)


def table(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return folder


def test_a_linear_model_is_scikit_learn_s(tmp_path: Path) -> None:
    own = some()
    scaler = StandardScaler().fit(own.features)
    made = Ridge().fit(scaler.transform(own.features), own.target)
    found = scores(graph.linear(scaler, made), own, tmp_path)
    assert found[:, 0] == pytest.approx(made.predict(scaler.transform(own.features)), rel=1e-12)


@pytest.mark.parametrize("target", [["no", "no", "yes"], [3, 1, 2]])
def test_probabilities_are_scikit_learn_s(target: Any, tmp_path: Path) -> None:
    own = some(target)
    scaler = StandardScaler().fit(own.features)
    made = LogisticRegression().fit(scaler.transform(own.features), own.target)
    labels = made.classes_.tolist()
    found = scores(graph.logistic(scaler, made), own, tmp_path, labels)
    assert found == pytest.approx(made.predict_proba(scaler.transform(own.features)), abs=1e-12)
    answers = model.read(Classifier, tmp_path, graph.FORMAT).predict(own.features.tolist())
    assert [one["label"] for one in answers] == made.predict(scaler.transform(own.features)).tolist()
    assert [one["confidence"] for one in answers] == pytest.approx(found.max(axis=1))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("activation", graph.ACTIVATIONS)
@pytest.mark.parametrize("target", [["no", "no", "yes"], [3, 1, 2]])
def test_a_perceptron_is_scikit_learn_s(target: Any, activation: Any, tmp_path: Path) -> None:
    own = some(target)
    own = Rows(own.units, own.names, own.features / 100, own.target)
    network = MLPClassifier((5, 4), activation=activation, max_iter=20, random_state=0)
    made = network.fit(own.features, own.target)
    found = scores(graph.perceptron(made), own, tmp_path, made.classes_.tolist())
    assert found == pytest.approx(made.predict_proba(own.features), abs=1e-12)
    assert np.ptp(found, axis=0).min() > 0.001


def test_an_activation_without_an_operator_is_refused() -> None:
    other = SimpleNamespace(activation="softplus", coefs_=[np.eye(2)], intercepts_=[np.ones(2)])
    with pytest.raises(InputError, match="activation 'softplus' has no ONNX operator"):
        graph.perceptron(other)


def test_a_forest_is_scikit_learn_s_also_at_its_thresholds(tmp_path: Path) -> None:
    own = some()
    made = RandomForestRegressor(7, random_state=0).fit(own.features, own.target)
    steps = graph.forest(made)
    edges = np.concatenate([one.tree_.threshold for one in made.estimators_])
    at = Rows(list(range(len(edges))), NAMES, np.column_stack([edges] * 3), edges)
    assert scores(steps, own, tmp_path)[:, 0] == pytest.approx(made.predict(own.features), rel=1e-5)
    assert scores(steps, at, tmp_path)[:, 0] == pytest.approx(made.predict(at.features), rel=1e-5)


def test_a_forest_of_labels_has_each_one_s_probability(tmp_path: Path) -> None:
    own = some(["low", "middle", "high"])
    made = RandomForestClassifier(7, min_samples_leaf=3, random_state=0).fit(own.features, own.target)
    found = scores(graph.forest(made), own, tmp_path, made.classes_.tolist())
    assert found == pytest.approx(made.predict_proba(own.features), abs=1e-6)


def test_a_ranker_orders_each_instance_s_candidates(tmp_path: Path) -> None:
    graph.write(tmp_path, [Step("MatMul", (np.array([[1.0], [0], [0]]),))], some())
    found = model.read(Ranker, tmp_path, graph.FORMAT).predict([[[1, 0, 0], [3, 0, 0]], [[2, 9, 9]]])
    assert found == [{"order": [1, 0], "scores": [1, 3]}, {"order": [0], "scores": [2]}]


def test_a_model_holds_means_and_no_row(tmp_path: Path) -> None:
    own = some()
    graph.write(tmp_path, [Step("MatMul", (np.ones((3, 1)),))], own)
    found = model.read(Regressor, tmp_path, graph.FORMAT)
    assert found.form.example == pytest.approx(own.features.mean(axis=0), rel=1e-3)
    assert found.predict([]) == []


def test_what_this_code_cannot_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot open a model in safetensors"):
        model.read(Regressor, tmp_path, "safetensors")
    (tmp_path / graph.FILE).write_bytes(b"no model")
    with pytest.raises(InputError, match=r"model\.onnx: it cannot be opened"):
        model.read(Regressor, tmp_path, graph.FORMAT)


def test_a_model_of_other_columns_is_not_measured(tmp_path: Path) -> None:
    own = some()
    graph.write(tmp_path, [Step("MatMul", (np.ones((3, 1)),))], own)
    other = Rows(own.units, ("a", "c", "b"), own.features, own.target)
    with pytest.raises(InputError, match="features are a, b, c, the holdout's a, c, b"):
        Scorer(tmp_path / graph.FILE).of(other)


def test_metrics_by_hand() -> None:
    truth = np.array([0.0, 2, 4])
    found = metrics.errors(np.array([1.0, 2, 2]), truth)
    assert found["mae"].tolist() == [1, 0, 2]
    assert found["rae"] == pytest.approx([0.75, 0, 1.5])
    assert metrics.r2(np.array([1.0, 2, 2]), truth) == {"r2": pytest.approx(1 - 5 / 8)}
    assert metrics.r2(truth, np.ones(3)) == {}
    assert np.isnan(metrics.errors(truth, np.ones(3))["rae"]).all()


def test_a_label_that_the_model_does_not_know_is_missed() -> None:
    shares = np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]])
    found = metrics.hits(shares, ["a", "b"], ["a", "a", "new"])
    assert found["accuracy"].tolist() == [1, 0, 0]
    assert found["log_loss"] == pytest.approx([-np.log(0.75), -np.log(0.25), -np.log(1e-15)])


def test_ndcg_by_hand() -> None:
    scores, gains = np.array([1.0, 2, 3, 5, 4, 9]), np.array([1.0, 0, 2, 0, 0, 1])
    units, found = metrics.ndcg(scores, gains, ["x", "x", "x", "y", "y", "z"])
    assert units == ["x", "z"]  # nothing of y is relevant
    assert found == pytest.approx([(2 + 1 / np.log2(4)) / (2 + 1 / np.log2(3)), 1])


@pytest.mark.parametrize("target", [None, [1, 2, 3], ["a", "b", "c"]])
def test_rows_are_read_as_they_were_written(target: Any, tmp_path: Path) -> None:
    own = some(target)
    rows.save(own, tmp_path)
    found = rows.load(tmp_path)
    assert (found.units, found.names) == (own.units, own.names)
    assert (found.features == own.features).all()
    assert (found.target == own.target).all()


def test_features_are_what_the_query_has_beside_unit_and_target(tmp_path: Path) -> None:
    found = rows.read(table(tmp_path, z=[1.5, 2], unit=["v", "u"], a=[3, 4], target=[5, 6]))
    assert (found.units, found.names) == (["u", "v"], ("z", "a"))
    assert found.features.tolist() == [[2, 4], [1.5, 3]]
    assert found.target.tolist() == [6, 5]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"unit": [1, 2], "a": [1, 2]}, "has no column 'target'"),
        ({"target": [1, 2], "a": [1, 2]}, "has no column 'unit'"),
        ({"unit": [1, 2], "target": [1, 2]}, "has no column beside unit and target"),
        ({"unit": [1, 1], "target": [1, 2], "a": [1, 2]}, "unit 1 has more than one row"),
        ({"unit": [1, None], "target": [1, 2], "a": [1, 2]}, "column 'unit' is null in 1 rows"),
        ({"unit": [0.5, 1], "target": [1, 2], "a": [1, 2]}, "column 'unit' is double, expected INT64"),
        ({"unit": [1, 2], "target": ["x", "y"], "a": [1, 2]}, "column 'target' is string, expected INT"),
        ({"unit": [1, 2], "target": [1, 2], "a": ["x", "y"]}, "column 'a' is string, expected INT64"),
        ({"unit": [1, 2], "target": [1, 2], "a": [1, np.nan]}, "column 'a' holds NaN or infinity"),
    ],
)
def test_a_wrong_column_is_named(columns: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        rows.read(table(tmp_path, **columns))


def test_labels_are_texts_or_whole_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column 'target' is double, expected INT64 or STRING"):
        rows.read(table(tmp_path, unit=[1], target=[0.5], a=[1]), "label")


def test_a_unit_s_rows_are_on_one_side_which_stays_when_others_come() -> None:
    units = [n // 2 for n in range(400)]
    whole = some(size=400)
    many = Rows(units, NAMES, whole.features, whole.target)
    few = many.at(np.arange(100))
    sides = [[set(part.units) for part in rows.split(one, 0.25, 3)] for one in (few, many)]
    for side, larger in zip(*sides, strict=True):
        assert side < larger
    assert not sides[1][0] & sides[1][1]
    assert 25 < len(sides[1][1]) < 80


@pytest.mark.parametrize(("share", "side"), [(1e-9, "holdout"), (1 - 1e-9, "training set")])
def test_an_empty_side_is_refused(share: float, side: str) -> None:
    with pytest.raises(InputError, match=f"the {side} is empty: holdout_share = .* of 60 rows"):
        rows.split(some(), share, 0)


def test_a_target_that_never_varies_is_refused() -> None:
    with pytest.raises(InputError, match="column 'target' is x in all 60 rows"):
        some(["x", "x", "x"]).refuse_one_target()
