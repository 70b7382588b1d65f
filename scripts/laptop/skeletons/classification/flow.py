"""The flow's life: the functions of `flows.contract.Flow`."""

from pathlib import Path
from typing import Any

from flows import evaluation
from flows.config import Gate, Train
from flows.contract import Evaluated, Facts, Saved, Trained, Window
from flows.evaluation import Measured
from flows.tabular import graph, metrics, rows
from flows.tabular.model import Classifier, read
from laptop.skeletons.classification import algorithms
from laptop.skeletons.classification.config import Forest, Logistic, Preprocess


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
    parts = rows.split(rows.read(data, "label"), options.holdout_share, options.seed)
    return rows.write_both(*parts, (training, holdout), "rows")


def train(config: Train, options: Logistic | Forest, training: Path, model: Path) -> Trained:
    """Fit and write model.onnx: the same bytes for the same training set, options and seed."""
    from threadpoolctl import threadpool_limits

    own = rows.load(training)
    with threadpool_limits(1):  # more threads would add up in another order
        steps, labels = algorithms.fit(own, options, config.seed)
    graph.write(model, steps, own, labels)
    facts = {"rows": len(own), "features": len(own.names), "labels": len(labels)}
    return Trained(graph.FORMAT, facts, f"{config.algorithm} · {len(own.names)} features")


def evaluate(gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path) -> Evaluated:
    """Whether the label is right and what it costs, for every row of the holdout."""
    truth = rows.load(holdout)

    def measure(saved: Saved) -> Measured:
        scorer = load(saved.folder, saved.algorithm, saved.format).scorer
        own = metrics.hits(scorer.of(truth), scorer.labels, truth.target.tolist())
        return Measured(truth.units, own)

    return evaluation.evaluate(gate, measure, model, champion, scores)


def load(model: Path, algorithm: str, format: str) -> Classifier:  # noqa: A002, ARG001
    """The model in a folder, as its manifest names algorithm and format."""
    return read(Classifier, model, format)
