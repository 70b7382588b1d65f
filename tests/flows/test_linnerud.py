from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.config import Gate, Train, load
from flows.contract import Evaluated, Saved
from flows.errors import InputError
from flows.linnerud import flow, metrics, people, perceptron, sample
from flows.linnerud.config import METRICS, Mlp, Preprocess
from flows.linnerud.model import Model
from flows.linnerud.people import People

MLP = Train(algorithm="mlp")
GATE = Gate(metric="rae", goal="min", floor=10, margin=0.1, margin_kind="absolute")


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    """The sample table."""
    return pq.read_table(sample.table(tmp_path)[1])


def exported(root: Path, rows: pa.Table, order: int = 0) -> Path:
    """The rows in files as an export leaves them: shuffled, several, one of them empty."""
    folder = root / f"data{order}"
    folder.mkdir()
    mixed = rows.take(pa.array(np.random.default_rng(order).permutation(len(rows))))
    for name, part in {"a": mixed.slice(0, 0), "b": mixed.slice(0, 7), "c": mixed.slice(7)}.items():
        pq.write_table(part, folder / f"{name}.parquet")
    return folder


def prepared(root: Path, rows: pa.Table, order: int = 0) -> tuple[Path, Path]:
    folders = root / f"training{order}", root / f"holdout{order}"
    for folder in folders:
        folder.mkdir()
    flow.preprocess(Preprocess(), exported(root, rows, order), {}, *folders)
    return folders


def trained(root: Path, name: str, training: Path, seed: int = 0) -> Saved:
    folder = root / name
    folder.mkdir()
    made = flow.train(Train(algorithm="mlp", seed=seed), Mlp(), training, folder)
    return Saved(folder, "mlp", made.format, name)


def changed(rows: pa.Table, name: str, change: Callable[[list[Any]], list[Any]]) -> pa.Table:
    """The table with other values in one column."""
    return rows.set_column(rows.column_names.index(name), name, pa.array(change(rows[name].to_pylist())))


def some(seed: int = 0, size: int = 16) -> People:
    """Made-up people, with counts as large as the sample's."""
    random = np.random.default_rng(seed)
    measures = random.uniform(30, 250, (size, 3))
    exercises = random.uniform(1, 251, (size, 3))
    return People(list(range(size)), measures, exercises, exercises.mean(axis=0))


def test_from_rows_to_predictions(tmp_path: Path, table: pa.Table) -> None:
    training, holdout = prepared(tmp_path, table)
    found = flow.evaluate(GATE, trained(tmp_path, "model", training), holdout, None, tmp_path)
    assert found.verdict.passed
    expected = {f"{name}{end}" for name in METRICS for end in ("", "_low", "_high")}
    assert set(found.metrics) == expected | {"r2_chins", "r2_situps", "r2_jumps"}
    assert pq.read_table(tmp_path / "scores.parquet").column_names == ["unit", *METRICS]
    model = flow.load(tmp_path / "model", "mlp", "onnx")
    answers = model.predict([[176, 35, 60]] * 2)
    assert answers[0] == answers[1]
    assert len(answers[0]) == len(people.EXERCISES)
    assert model.predict([]) == []


def test_four_in_five_learn_and_nobody_is_in_both(tmp_path: Path, table: pa.Table) -> None:
    training, holdout = (people.load(folder) for folder in prepared(tmp_path, table))
    assert (len(training.subject), len(holdout.subject)) == (16, 4)
    assert sorted([*training.subject, *holdout.subject]) == list(range(1, 21))
    assert holdout.usual == pytest.approx(training.exercises.mean(axis=0))


def test_the_same_rows_in_other_files_give_the_same_bytes(tmp_path: Path, table: pa.Table) -> None:
    made = []
    for order in (1, 2):
        training, holdout = prepared(tmp_path, table, order)
        model = trained(tmp_path, f"model{order}", training).folder / "model.onnx"
        made.append(
            [file.read_bytes() for file in (training / people.FILE, holdout / people.FILE, model)]
        )
    assert made[0] == made[1]


def test_another_seed_is_another_model(tmp_path: Path, table: pa.Table) -> None:
    training, _ = prepared(tmp_path, table)
    one, other = (trained(tmp_path, f"model{seed}", training, seed) for seed in (0, 1))
    assert (one.folder / "model.onnx").read_bytes() != (other.folder / "model.onnx").read_bytes()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_onnx_predicts_what_scikit_learn_predicts(tmp_path: Path, activation: Any) -> None:
    options = Mlp(activations=(activation,), iterations=100)
    found, scale = perceptron.fit(some(), options, 0)
    perceptron.write(found.best_estimator_, scale, some().usual, tmp_path)
    asked = some(1, 500).measures
    expected = found.predict(asked) * scale + some().usual
    answer = Model(tmp_path / "model.onnx").counts(asked)
    assert answer.shape == (500, 3)
    assert np.abs(answer - expected).max() < 1e-5
    assert np.ptp(expected, axis=0).min() > 1


def test_the_whole_grid_is_tried(tmp_path: Path) -> None:
    found, _ = perceptron.fit(some(), Mlp(), 0)
    tried = {tuple(one.values()) for one in found.cv_results_["params"]}
    assert tried == {(name, alpha) for name in ("tanh", "relu") for alpha in (0.0001, 0.05)}
    assert found.n_splits_ == 4


def test_metrics_by_hand() -> None:
    truth = People(
        [1, 2],
        np.zeros((2, 3)),
        np.array([[10.0, 100, 50], [20, 100, 70]]),
        np.array([10.0, 110, 60]),
    )
    predicted = np.array([[10.0, 105, 60], [15, 100, 60]])
    # The mean is off by 5, 10 and 10 on average.
    assert metrics.relative(predicted, truth) == pytest.approx([(0 + 0.5 + 1) / 3, (1 + 0 + 1) / 3])
    assert metrics.absolute(predicted, truth)["mae_situps"].tolist() == [5, 0]
    assert metrics.r2(predicted, truth) == {"r2_chins": 0.5, "r2_jumps": 0.0}


def test_who_predicts_the_mean_has_a_relative_error_of_one() -> None:
    truth = some()
    assert metrics.relative(np.tile(truth.usual, (16, 1)), truth).mean() == pytest.approx(1)


def judged(root: Path, rows: pa.Table, gate: Gate) -> Evaluated:
    """Candidate and champion, both trained on the sample, with other seeds."""
    training, holdout = prepared(root, rows)
    models = (trained(root, f"model{seed}", training, seed) for seed in (0, 1))
    return flow.evaluate(gate, next(models), holdout, next(models), root)


@pytest.mark.parametrize(("on_undecided", "passed"), [("pass", True), ("refuse", False)])
def test_four_people_cannot_tell_two_models_apart(
    tmp_path: Path, table: pa.Table, on_undecided: Any, passed: bool
) -> None:
    gate = Gate(metric="rae", goal="min", margin=0.1, margin_kind="absolute", on_undecided=on_undecided)
    found = judged(tmp_path, table, gate)
    assert found.verdict.comparison
    assert found.verdict.comparison.decision == "undecided"
    assert found.verdict.passed is passed
    assert found.verdict.champion == "model1"


def test_a_model_beyond_the_bound_is_refused(tmp_path: Path, table: pa.Table) -> None:
    training, holdout = prepared(tmp_path, table)
    gate = Gate(metric="rae", goal="min", floor=0.01)
    found = flow.evaluate(gate, trained(tmp_path, "model", training), holdout, None, tmp_path)
    assert not found.verdict.passed


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("waist", lambda old: [None, *old[1:]], "column 'waist' is null in 1 rows"),
        ("jumps", lambda old: [str(one) for one in old], "column 'jumps' is string, expected INT64"),
        ("pulse", lambda old: [float("nan"), *old[1:]], "column 'pulse' holds NaN or infinity"),
        ("subject", lambda old: [None, *old[1:]], "column 'subject' is null in 1 rows"),
        ("subject", lambda old: [2, *old[1:]], "subject 2 has more than one row"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, table: pa.Table, name: str, change: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        people.read(exported(tmp_path, changed(table, name, change)))


def test_a_missing_column_is_named(tmp_path: Path, table: pa.Table) -> None:
    with pytest.raises(InputError, match=r"has no column 'waist'; its columns: subject, "):
        people.read(exported(tmp_path, table.drop_columns("waist")))


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1e-9, "the holdout is empty: holdout_share = 1e-09 of 16 rows is 0"),
        (1 - 1e-9, "the training set is empty: holdout_share = 1 of 16 rows is 16"),
    ],
)
def test_an_empty_side_is_refused(share: float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        people.split(some(), share, 0)


def test_a_person_s_side_stays_when_others_come() -> None:
    few, more = (people.split(some(size=size), 0.3, 1) for size in (16, 40))
    for side, larger in zip(few, more, strict=True):
        assert set(side.subject) < set(larger.subject)


def test_about_the_share_is_held_out_and_another_seed_holds_others() -> None:
    one, other = (people.split(some(size=2000), 0.2, seed)[1].subject for seed in (0, 1))
    assert 330 < len(one) < 470
    assert set(one) != set(other)


def test_too_few_rows_for_the_folds_are_refused() -> None:
    with pytest.raises(InputError, match="the training set has 3 rows, too few for folds = 4"):
        perceptron.fit(some(size=3), Mlp(), 0)


def test_an_exercise_that_never_varies_is_refused() -> None:
    same = some()
    same.exercises[:, 2] = 7
    with pytest.raises(InputError, match="column 'jumps' is the same in all 16 rows"):
        perceptron.fit(same, Mlp(), 0)


def test_what_this_code_cannot_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot open a model of svd in safetensors"):
        flow.load(tmp_path, "svd", "safetensors")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"model\.onnx: it cannot be opened"):
        flow.load(tmp_path, "mlp", "onnx")


def test_flow_toml_is_valid_and_the_sample_has_its_columns(tmp_path: Path) -> None:
    found = load("linnerud")
    assert found.train.algorithm == "mlp"
    assert found.train.options == {
        "hidden": 8,
        "iterations": 5,
        "folds": 4,
        "activations": ["tanh", "relu"],
        "alphas": [0.0001, 0.05],
    }
    name, path = sample.table(tmp_path)
    rows = pq.read_table(path)
    assert (name, len(rows)) == (found.data.table, 20)
    assert {people.KEY, "measured_at", *people.MEASURES, *people.EXERCISES} == set(rows.column_names)
    first = rows.slice(0, 1).to_pylist()[0]
    assert (first["weight"], first["chins"], first["jumps"]) == (191, 5, 60)
    assert max(rows["measured_at"].to_pylist()) < datetime(2026, 1, 1, tzinfo=UTC)
