"""What learns: your own model goes here, its options into config.py and flow.toml.

Whatever leads from pixels to probabilities in ONNX will do, see flows/images/export.py. A network in
torch goes here, too, and flow.toml says `image = "torch"`: the template's vision transformer shows it,
with its network (network.py), its training (fit.py) and its nodes (export.py).
"""

import warnings
from typing import Any

from flows.images.export import Values
from flows.tabular import graph
from flows.tabular.graph import Step
from laptop.skeletons.image.config import Forest, Perceptron

Learnt = tuple[Any, list[Step]]


def fit(values: Values, labels: list[str], options: Perceptron | Forest, seed: int) -> Learnt:
    """The trained model, and the operators of its ONNX file: values → the probability of each label."""
    if isinstance(options, Forest):
        return forest(values, labels, options, seed)
    return perceptron(values, labels, options, seed)


def perceptron(values: Values, labels: list[str], options: Perceptron, seed: int) -> Learnt:
    """A perceptron with one hidden layer."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    estimator = MLPClassifier(
        (options.hidden,), alpha=options.decay, max_iter=options.epochs, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are what was asked for
        estimator.fit(values, labels)
    return estimator, graph.perceptron(estimator)


def forest(values: Values, labels: list[str], options: Forest, seed: int) -> Learnt:
    """A random forest."""
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(options.trees, min_samples_leaf=options.leaf, random_state=seed)
    estimator.fit(values, labels)
    return estimator, graph.forest(estimator)
