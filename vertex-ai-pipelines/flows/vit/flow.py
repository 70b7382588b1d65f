"""The image classifier's life: the functions of `flows.contract.Flow`."""

from pathlib import Path
from typing import Any

import numpy as np

from flows import evaluation
from flows.config import Gate, Train
from flows.contract import Evaluated, Facts, Saved, Trained, Window
from flows.errors import InputError
from flows.images import classifier, labelled, measured
from flows.images.classifier import Classifier
from flows.vit.config import Preprocess, Vit

ALGORITHMS = ("vit",)


def get_data(
    table: str,
    options: Any,  # noqa: ARG001
    query: str,
    window: Window,
    project: str,
    destination: str,
) -> Facts:
    """Export each image's label, and the image with it. It has no options."""
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


def train(config: Train, options: Vit, training: Path, model: Path) -> Trained:
    """Train and write model.onnx: from base64 to label and confidence."""
    from flows.vit import export, fit
    from flows.vit.network import Network

    images = labelled.read(training)
    classes = images.classes()
    pixels = classifier.pixels(images.contents, options.size)
    number = {name: place for place, name in enumerate(classes)}
    wanted = np.array([number[name] for name in images.labels], np.int64)
    work = fit.Training(
        _network(Network, options, classes, config.seed), options, config.seed, (pixels, wanted)
    )
    work.run()
    measured.keep(model, images.contents, pixels, work.shares)
    weights = {name: value.cpu().numpy() for name, value in work.network.state_dict().items()}
    (model / classifier.FILE).write_bytes(export.write(weights, options, classes))
    return _trained(config, work.progress, work.device.type)


def evaluate(gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path) -> Evaluated:
    """Whether each image of the holdout is named rightly, and what differs from training."""
    return evaluation.evaluate(gate, measured.on(holdout, load), model, champion, scores)


def load(model: Path, algorithm: str, format: str) -> Classifier:  # noqa: A002
    """The model in a folder, as its manifest names algorithm and format."""
    if algorithm not in ALGORITHMS or format != classifier.FORMAT:
        raise InputError(f"this flow cannot open a model of {algorithm} in {format}", "train again")
    return Classifier(model / classifier.FILE)


def _network(kind: Any, options: Vit, classes: list[str], seed: int) -> Any:
    import torch  # type: ignore[import-not-found, unused-ignore]

    from flows.vit import pretrained

    torch.set_num_threads(options.threads)
    torch.manual_seed(seed)
    network = kind(options, len(classes))
    if options.weights:
        pretrained.begin(network, options.weights, options.weights_sha256)
    return network


def _trained(config: Train, progress: Any, device: str) -> Trained:
    at = progress.best - 1
    found = {name: values[at] for name, values in progress.series.items()}
    metrics = {"epochs": progress.epoch, "best_epoch": progress.best, **found}
    summary = (
        f"{config.algorithm} on {device} · epoch {progress.best} of {progress.epoch} ·"
        f" {found['validation_accuracy']:.1%} right on the validation set"
    )
    return Trained(classifier.FORMAT, metrics, summary, _finite(progress.series))


def _finite(series: dict[str, list[float]]) -> dict[str, list[float]]:
    """Without the epochs that diverged: JSON has no such numbers."""
    epochs = [one for one in zip(*series.values(), strict=True) if np.isfinite(one).all()]
    return {name: [one[at] for one in epochs] for at, name in enumerate(series)}
