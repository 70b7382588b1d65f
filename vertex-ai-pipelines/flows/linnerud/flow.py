"""Linnerud's life: the functions of `flows.contract.Flow`."""

from pathlib import Path
from typing import Any

from flows import evaluation
from flows.config import Gate, Train
from flows.contract import Evaluated, Facts, Saved, Trained, Window
from flows.evaluation import Measured
from flows.linnerud import metrics, people, perceptron
from flows.linnerud.config import Mlp, Preprocess
from flows.linnerud.model import FORMAT, Model, read


def get_data(
    table: str,
    options: Any,  # noqa: ARG001
    query: str,
    window: Window,
    project: str,
    destination: str,
) -> Facts:
    """Export each person's row. It has no options."""
    from flows import bigquery

    facts = bigquery.export(query, table, window, project, destination)
    columns = (people.KEY, *people.MEASURES, *people.EXERCISES)
    bigquery.require(columns, facts["columns"], "the query's result")
    return facts | {"summary": f"{facts['rows']:,} people · {bigquery.period(facts, window)}"}


def preprocess(
    options: Preprocess,
    data: Path,
    facts: Facts,  # noqa: ARG001
    training: Path,
    holdout: Path,
) -> tuple[Facts, Facts]:
    """Split at random, the same for the same people and seed."""
    own, held = people.split(people.read(data), options.holdout_share, options.seed)
    people.write(own, training)
    people.write(held, holdout)
    sizes = {"training_rows": len(own.subject), "holdout_rows": len(held.subject)}
    summary = f"{sizes['training_rows']:,} people to learn from · {sizes['holdout_rows']:,} held out"
    return sizes | {"summary": summary}, sizes


def train(config: Train, options: Mlp, training: Path, model: Path) -> Trained:
    """Search and write model.onnx: the same bytes for the same training set, options and seed."""
    rows = people.load(training)
    search, scale = perceptron.fit(rows, options, config.seed)
    perceptron.write(search.best_estimator_, scale, rows.usual, model)
    activation, alpha = (search.best_params_[f"network__{name}"] for name in ("activation", "alpha"))
    tried = len(search.cv_results_["params"])
    summary = f"{config.algorithm} · {activation}, alpha {alpha:g}: the best of {tried}"
    return Trained(
        FORMAT, {"tried": tried, "alpha": alpha, "cv_error": -float(search.best_score_)}, summary
    )


def evaluate(gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path) -> Evaluated:
    """The errors of every person of the holdout, and R² of each exercise."""
    truth = people.load(holdout)

    def measure(saved: Saved) -> Measured:
        predicted = load(saved.folder, saved.algorithm, saved.format).counts(truth.measures)
        own = {"rae": metrics.relative(predicted, truth)} | metrics.absolute(predicted, truth)
        return Measured(truth.subject, own, metrics.r2(predicted, truth))

    return evaluation.evaluate(gate, measure, model, champion, scores)


def load(model: Path, algorithm: str, format: str) -> Model:  # noqa: A002
    """The model in a folder, as its manifest names algorithm and format."""
    return read(model, algorithm, format)
