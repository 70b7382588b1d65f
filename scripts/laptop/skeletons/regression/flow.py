"""The flow's life: the functions of `flows.contract.Flow`."""

from pathlib import Path
from typing import Any

from flows import evaluation
from flows.config import Gate, Train
from flows.contract import Evaluated, Facts, Saved, Trained, Window
from flows.evaluation import Measured
from flows.tabular import graph, metrics, rows
from flows.tabular.model import Regressor, read
from laptop.skeletons.regression import algorithms
from laptop.skeletons.regression.config import Forest, Preprocess, Ridge


def get_data(
    table: str,
    options: Any,  # noqa: ARG001
    query: str,
    window: Window,
    project: str,
    destination: str,
) -> Facts:
    """Export what query.sql selects: `unit`, `target`, and every other column is a feature."""
    return rows.export(query, table, window, project, destination, "rows")


def preprocess(
    options: Preprocess,
    data: Path,
    facts: Facts,  # noqa: ARG001
    training: Path,
    holdout: Path,
) -> tuple[Facts, Facts]:
    """Split at random, the same for the same unit and seed."""
    parts = rows.split(rows.read(data), options.holdout_share, options.seed)
    return rows.write_both(*parts, (training, holdout), "rows")


def train(config: Train, options: Ridge | Forest, training: Path, model: Path) -> Trained:
    """Fit and write model.onnx: the same bytes for the same training set, options and seed."""
    from threadpoolctl import threadpool_limits

    own = rows.load(training)
    with threadpool_limits(1):  # more threads would add up in another order
        steps = algorithms.fit(own, options, config.seed)
    graph.write(model, steps, own)
    facts = {"rows": len(own), "features": len(own.names)}
    return Trained(graph.FORMAT, facts, f"{config.algorithm} · {len(own.names)} features")


def evaluate(gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path) -> Evaluated:
    """The error of every row of the holdout, and R² of all of them."""
    truth = rows.load(holdout)

    def measure(saved: Saved) -> Measured:
        found = load(saved.folder, saved.algorithm, saved.format).scorer.of(truth)[:, 0]
        own, whole = metrics.errors(found, truth.target), metrics.r2(found, truth.target)
        return Measured(truth.units, own, whole)

    return evaluation.evaluate(gate, measure, model, champion, scores)


def load(model: Path, algorithm: str, format: str) -> Regressor:  # noqa: A002, ARG001
    """The model in a folder, as its manifest names algorithm and format."""
    return read(Regressor, model, format)
