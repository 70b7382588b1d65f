"""ONNX files of scikit-learn's estimators, operator by operator: the same bytes for the same model."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flows.arrays import Ids
from flows.errors import InputError
from flows.tabular.rows import Numbers, Rows

FILE, FORMAT = "model.onnx", "onnx"
# Of 2021 and 2022: every ONNX Runtime in use reads them.
OPSET, TREES, IR_VERSION = 17, 3, 8
ML = "ai.onnx.ml"
ACTIVATIONS = {"identity": "Identity", "logistic": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}


class Step(NamedTuple):
    """One operator: its constants follow what the step before has made."""

    operator: str
    constants: tuple[Numbers, ...] = ()
    attributes: Mapping[str, Any] = {}
    domain: str = ""


SOFTMAX = Step("Softmax", attributes={"axis": 1})


def linear(scaler: Any, estimator: Any) -> list[Step]:
    """A linear model behind a StandardScaler: rows × features → rows × outputs, in double precision."""
    weights = np.atleast_2d(estimator.coef_) / scaler.scale_
    base = np.atleast_1d(estimator.intercept_) - weights @ scaler.mean_
    return [Step("MatMul", (weights.T,)), Step("Add", (base,))]


def logistic(scaler: Any, estimator: Any) -> list[Step]:
    """A logistic regression behind a StandardScaler: the probability of each of its classes."""
    product, base = linear(scaler, estimator)
    return _probabilities(product.constants[0], base.constants[0])


def perceptron(estimator: Any) -> list[Step]:
    """A multi-layer perceptron (MLPClassifier): the probability of each of its classes.

    Raises InputError for an activation that is not one of ACTIVATIONS.
    """
    *hidden, last = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    if (name := estimator.activation) not in ACTIVATIONS:
        raise InputError(f"activation '{name}' has no ONNX operator", f"one of {', '.join(ACTIVATIONS)}")
    between = Step(ACTIVATIONS[name])
    steps = [[Step("MatMul", (weights,)), Step("Add", (base,)), between] for weights, base in hidden]
    return [*itertools.chain(*steps), *_probabilities(*last)]


def forest(estimator: Any) -> list[Step]:
    """A forest of scikit-learn's: its trees' mean, of a number or of each class's probability.

    In single precision, as the trees themselves take their features; a threshold is the next number
    below, so that each row falls where it does in scikit-learn.
    """
    trees = [one.tree_ for one in estimator.estimators_]
    outputs = trees[0].value.shape[2]
    attributes = {"n_targets": outputs, **_nodes(trees), **_leaves(trees)}
    return [
        Step("Cast", attributes={"to": 1}),
        Step("TreeEnsembleRegressor", attributes=attributes, domain=ML),
        Step("Cast", attributes={"to": 11}),
    ]


def write(folder: Path, steps: Sequence[Step], rows: Rows, labels: Ids | None = None) -> None:
    """Write model.onnx: features (rows × columns) → scores (rows × outputs), both in double precision.

    It also holds the columns' names and means, of the training set `rows`, and the labels of a
    classifier's outputs. The same bytes for the same steps.
    """
    import onnx
    from onnx import helper

    nodes, constants = chained(steps, "features", "scores")
    begin, end = (
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, ["rows", columns])
        for name, columns in (("features", len(rows.names)), ("scores", None))
    )
    made = helper.make_model(
        helper.make_graph(nodes, "tabular", [begin], [end], constants),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, TREES)],
        ir_version=IR_VERSION,
    )
    # Means, not a row: a person's row has no place in a model.
    means = [float(f"{mean:.4g}") for mean in rows.features.mean(axis=0)]
    told = {"names": list(rows.names), "means": means, "labels": labels or []}
    helper.set_model_props(made, {name: json.dumps(told[name]) for name in sorted(told)})
    onnx.checker.check_model(made)
    (folder / FILE).write_bytes(made.SerializeToString(deterministic=True))


def chained(steps: Sequence[Step], first: str, last: str) -> tuple[list[Any], list[Any]]:
    """Nodes, each of which follows the one before, from `first` to `last`; and their constants."""
    from onnx import helper, numpy_helper

    nodes, constants = [], []
    for number, step in enumerate(steps):
        named = [
            numpy_helper.from_array(np.ascontiguousarray(one), f"constant{number}_{place}")
            for place, one in enumerate(step.constants)
        ]
        inputs, first = [first, *(one.name for one in named)], f"step{number}"
        nodes.append(
            helper.make_node(step.operator, inputs, [first], domain=step.domain, **step.attributes)
        )
        constants += named
    nodes[-1].output[0] = last
    return nodes, constants


def _probabilities(weights: Numbers, base: Numbers) -> list[Step]:
    """The last layer; of two classes, scikit-learn has the second one's alone."""
    if len(base) == 1:
        weights, base = (np.hstack([np.zeros_like(one), one]) for one in (weights, base))
    return [Step("MatMul", (weights,)), Step("Add", (base,)), SOFTMAX]


def _nodes(trees: Sequence[Any]) -> dict[str, Any]:
    """Where each node of each tree leads to."""
    leaf = [tree.children_left < 0 for tree in trees]
    thresholds = [np.where(tree.children_left < 0, 0, _below(tree.threshold)) for tree in trees]
    return {
        "nodes_treeids": _joined([np.full(tree.node_count, n) for n, tree in enumerate(trees)]),
        "nodes_nodeids": _joined([np.arange(tree.node_count) for tree in trees]),
        "nodes_featureids": _joined([np.maximum(tree.feature, 0) for tree in trees]),
        "nodes_modes": np.where(np.concatenate(leaf), "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values": _joined(thresholds),
        "nodes_truenodeids": _joined([np.maximum(tree.children_left, 0) for tree in trees]),
        "nodes_falsenodeids": _joined([np.maximum(tree.children_right, 0) for tree in trees]),
    }


def _leaves(trees: Sequence[Any]) -> dict[str, Any]:
    """What each leaf adds to each output: its share of the mean."""
    places = [np.flatnonzero(tree.children_left < 0) for tree in trees]
    values = [tree.value[own, 0] / len(trees) for tree, own in zip(trees, places, strict=True)]
    outputs = values[0].shape[1]
    return {
        "target_treeids": _joined([np.full(own.size * outputs, n) for n, own in enumerate(places)]),
        "target_nodeids": _joined([np.repeat(own, outputs) for own in places]),
        "target_ids": _joined([np.tile(np.arange(outputs), own.size) for own in places]),
        "target_weights": _joined([own.ravel() for own in values]),
    }


def _below(thresholds: Numbers) -> Any:
    """The largest numbers of single precision that are not above `thresholds`."""
    near = thresholds.astype(np.float32)
    return np.where(near > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


def _joined(parts: Sequence[Any]) -> list[Any]:
    found: list[Any] = np.concatenate(parts).tolist()
    return found
