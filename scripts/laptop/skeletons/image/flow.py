"""The flow's life: the functions of `flows.contract.Flow`."""

from pathlib import Path
from typing import Any

from flows import evaluation
from flows.config import Gate, Train
from flows.contract import Evaluated, Facts, Saved, Trained, Window
from flows.errors import InputError
from flows.images import classifier, export, labelled, measured
from flows.images.classifier import Classifier
from laptop.skeletons.image import algorithms
from laptop.skeletons.image.config import Forest, Perceptron, Preprocess


def get_data(
    table: str,
    options: Any,  # noqa: ARG001
    query: str,
    window: Window,
    project: str,
    destination: str,
) -> Facts:
    """Export what query.sql selects, `image` and `label`, and the images with it."""
    return labelled.export(query, table, window, project, destination)


def preprocess(
    options: Preprocess,
    data: Path,
    facts: Facts,  # noqa: ARG001
    training: Path,
    holdout: Path,
) -> tuple[Facts, Facts]:
    """Split by each image's bytes and the seed: no copy of a held-out image is learnt from."""
    parts = labelled.split(labelled.read(data), options.holdout_share, options.seed)
    return labelled.write_both(*parts, (training, holdout))


def train(config: Train, options: Perceptron | Forest, training: Path, model: Path) -> Trained:
    """Fit and write model.onnx: the same bytes for the same training set, options and seed."""
    from threadpoolctl import threadpool_limits

    images = labelled.read(training)
    classes = images.classes()
    pixels = classifier.pixels(images.contents, options.size)  # by the nodes that serve, too
    values = export.values(pixels)
    with threadpool_limits(1):  # more threads would add up in another order
        learnt, steps = algorithms.fit(values, images.labels, options, config.seed)
    export.write(model, steps, classes, options.size)
    measured.keep(model, images.contents, values, learnt.predict_proba)  # for evaluate
    facts = {"images": len(pixels), "labels": len(classes)}
    return Trained(classifier.FORMAT, facts, f"{config.algorithm} · {len(classes)} labels")


def evaluate(gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path) -> Evaluated:
    """Whether the label is right and what it costs, for every image; and what differs from training."""
    return evaluation.evaluate(gate, measured.on(holdout, load), model, champion, scores)


def load(model: Path, algorithm: str, format: str) -> Classifier:  # noqa: A002
    """The model in a folder, as its manifest names algorithm and format."""
    if format != classifier.FORMAT:
        raise InputError(f"this flow cannot open a model of {algorithm} in {format}", "train again")
    return Classifier(model / classifier.FILE)
