"""A classifier's one file: it reads images, finds each class's probability, and names the best."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.images import graph
from flows.images.classifier import CONFIDENCE, FILE, LABEL, SHARES
from flows.tabular.graph import Step, chained

WHITE = 255.0
Values = NDArray[np.float64]


def whole(nodes: list[Any], constants: list[Any], classes: list[str], size: int) -> bytes:
    """The file of `nodes`, from `pixels` to `shares` (images × classes): the same bytes for the same."""
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info
    outputs = [
        info(LABEL, TensorProto.STRING, ["images"]),
        info(CONFIDENCE, TensorProto.FLOAT, ["images"]),
        info(SHARES, TensorProto.FLOAT, ["images", len(classes)]),
        info(graph.PIXELS, TensorProto.UINT8, ["images", size, size, 3]),
    ]
    facts = json.dumps({"classes": classes, "size": size}, sort_keys=True)
    every = [*graph.reading(size), *nodes, *_answer(classes)]
    return graph.model(every, "classifier", outputs, constants, facts)


def values(pixels: graph.Pixels) -> Values:
    """Images × (size · size · RGB), from 0 to 1: what `write`'s steps are given, to learn from."""
    return pixels.reshape(len(pixels), -1) / WHITE


def write(folder: Path, steps: Sequence[Step], classes: list[str], size: int) -> None:
    """Write model.onnx; `steps` lead from `values` to each class's probability, in double precision."""
    from onnx import TensorProto, helper

    line = [Step("Flatten"), Step("Cast", attributes={"to": TensorProto.DOUBLE})]
    scaled = [*line, Step("Div", (np.array(WHITE),))]
    nodes, constants = chained([*scaled, *steps], graph.PIXELS, "probabilities")
    nodes.append(helper.make_node("Cast", ["probabilities"], [SHARES], to=TensorProto.FLOAT))
    (folder / FILE).write_bytes(whole(nodes, constants, classes, size))


def _answer(classes: list[str]) -> list[Any]:
    """From `shares` to label and confidence."""
    from onnx import helper

    node = helper.make_node
    names = {"keys_int64s": list(range(len(classes))), "values_strings": classes}
    return [
        graph.constant("across", [1]),
        node("ReduceMax", [SHARES, "across"], [CONFIDENCE], keepdims=0),
        node("ArgMax", [SHARES], ["best"], axis=1, keepdims=0),
        node("LabelEncoder", ["best"], [LABEL], domain="ai.onnx.ml", **names),
    ]
