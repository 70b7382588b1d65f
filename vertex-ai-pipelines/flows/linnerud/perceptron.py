"""A multi-layer perceptron, by grid search, and its ONNX file."""

import warnings
from pathlib import Path
from typing import Any

from flows.errors import InputError
from flows.linnerud.config import Mlp
from flows.linnerud.model import FILE
from flows.linnerud.people import EXERCISES, MEASURES, Numbers, People

OPSET, IR_VERSION = 17, 8  # of 2022: every ONNX Runtime in use reads them


def fit(people: People, options: Mlp, seed: int) -> tuple[Any, Numbers]:
    """The best estimator of the grid, refitted on all rows, and the scale of its outputs.

    It predicts (exercises - usual) / scale: one error measure then fits the three of them. Raises
    InputError where there are too few rows, or an exercise is the same in all of them.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, KFold
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    scale = _scale(people, options.folds)
    layers, steps = (options.hidden,), options.iterations
    network = MLPRegressor(hidden_layer_sizes=layers, solver="lbfgs", max_iter=steps, random_state=seed)
    search = GridSearchCV(
        Pipeline([("scaler", StandardScaler()), ("network", network)]),
        {"network__activation": options.activations, "network__alpha": options.alphas},
        scoring="neg_mean_absolute_error",
        cv=KFold(options.folds, shuffle=True, random_state=seed),
        error_score="raise",
    )
    # More threads would add up in another order. To stop early is what few rows need.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(people.measures, (people.exercises - people.usual) / scale)
    return search, scale


def write(estimator: Any, scale: Numbers, usual: Numbers, folder: Path) -> None:
    """Write model.onnx: body (rows × 3) → exercises (rows × 3), in double precision.

    Single precision has 7 digits: 251 jumps would be off by 1e-5. The nodes are written out here,
    since skl2onnx 1.20 makes one column of a perceptron's three.
    """
    import onnx
    from onnx import helper

    nodes, constants, last = [], [], "body"
    for number, (kind, *values) in enumerate(_steps(estimator, scale, usual)):
        named = [onnx.numpy_helper.from_array(value, f"constant{number}") for value in values]
        inputs, last = [last, *(one.name for one in named)], f"step{number}"
        nodes.append(helper.make_node(kind, inputs, [last]))
        constants += named
    nodes[-1].output[0] = "exercises"
    begin, end = (
        helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, ["rows", len(columns)])
        for name, columns in (("body", MEASURES), ("exercises", EXERCISES))
    )
    graph = helper.make_graph(nodes, "perceptron", [begin], [end], constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    (folder / FILE).write_bytes(model.SerializeToString(deterministic=True))


def _steps(estimator: Any, scale: Numbers, usual: Numbers) -> list[tuple[Any, ...]]:
    """Each operator of ONNX in turn, with its constant where it has one."""
    scaler, network = estimator.named_steps["scaler"], estimator.named_steps["network"]
    (into, out), (bias, bias_out) = network.coefs_, network.intercepts_
    return [
        ("Sub", scaler.mean_),
        ("Div", scaler.scale_),
        ("MatMul", into),
        ("Add", bias),
        (network.activation.capitalize(),),
        ("MatMul", out),
        ("Add", bias_out),
        ("Mul", scale),
        ("Add", usual),
    ]


def _scale(people: People, folds: int) -> Numbers:
    """The standard deviation of each exercise."""
    if len(people.subject) < folds:
        raise InputError(
            f"the training set has {len(people.subject)} rows, too few for folds = {folds}",
            "change [train.mlp] folds, [preprocess] holdout_share or [data] days in flow.toml",
        )
    scale: Numbers = people.exercises.std(axis=0)
    for name, one in zip(EXERCISES, scale, strict=True):
        if one == 0:
            raise InputError(
                f"column '{name}' is the same in all {len(people.subject)} rows of the training set",
                "there is nothing to learn: select other rows in query.sql",
            )
    return scale
