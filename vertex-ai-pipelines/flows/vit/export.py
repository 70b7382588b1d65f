"""The network as ONNX nodes behind those that read images: one file, from base64 to label.

The nodes are written out here: so the file's bytes are the same for the same weights, and no exporter
has to be in the image.
"""

from typing import Any

import numpy as np

from flows.arrays import Arrays
from flows.images import export, graph
from flows.images.classifier import SHARES
from flows.vit.config import Vit

EPSILON = 1e-6  # as in flows.vit.network


class _Nodes:
    """Nodes and constants, in order; each call gives the name of what it adds."""

    def __init__(self, weights: Arrays) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights = weights
        self._kept = set[str]()

    def add(self, kind: str, *inputs: str, name: str = "", **options: Any) -> str:
        from onnx import helper

        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **options))
        return name

    def constant(self, name: str, value: Any, kind: Any = np.float32) -> str:
        from onnx import numpy_helper

        if name not in self._kept:
            self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
            self._kept.add(name)
        return name

    def shape(self, *sizes: int) -> str:
        return self.constant(f"shape{sizes}", sizes, np.int64)

    def weight(self, name: str) -> str:
        return self.constant(name, self._weights[name])

    def linear(self, tokens: str, name: str) -> str:
        turned = self.constant(f"{name}.turned", self._weights[f"{name}.weight"].T)
        return self.add("Add", self.add("MatMul", tokens, turned), self.weight(f"{name}.bias"))

    def norm(self, tokens: str, name: str) -> str:
        weights = (self.weight(f"{name}.{part}") for part in ("weight", "bias"))
        return self.add("LayerNormalization", tokens, *weights, epsilon=EPSILON)


def write(weights: Arrays, options: Vit, classes: list[str]) -> bytes:
    """The model's file; `weights` are those of `flows.vit.network.Network`, by name."""
    made = _Nodes(weights)
    tokens = _tokens(made, options)
    for number in range(options.depth):
        tokens = _block(made, tokens, f"blocks.{number}", options)
    _answer(made, made.norm(tokens, "norm"))
    return export.whole(made.nodes, made.constants, classes, options.size)


def _tokens(made: _Nodes, options: Vit) -> str:
    """From pixels to images × (1 + patches) × width."""
    from onnx import TensorProto

    values = made.add("Cast", graph.PIXELS, to=TensorProto.FLOAT)
    values = made.add("Transpose", values, perm=[0, 3, 1, 2])
    values = made.add("Div", values, made.constant("white", 255))
    for kind, name in (("Sub", "mean"), ("Div", "deviation")):
        value = np.reshape(getattr(options, name), (1, 3, 1, 1))
        values = made.add(kind, values, made.constant(name, value))
    weights = (made.weight(f"patch_embed.proj.{part}") for part in ("weight", "bias"))
    found = made.add("Conv", values, *weights, strides=[options.patch] * 2)
    flat = made.add("Reshape", found, made.shape(0, 0, -1))
    patches = made.add("Transpose", flat, perm=[0, 2, 1])
    images = made.add("Shape", patches, start=0, end=1)
    shape = made.add("Concat", images, made.shape(1, options.width), axis=0)
    first = made.add("Expand", made.weight("cls_token"), shape)
    tokens = made.add("Concat", first, patches, axis=1)
    return made.add("Add", tokens, made.weight("pos_embed"))


def _block(made: _Nodes, tokens: str, name: str, options: Vit) -> str:
    seen = _attention(made, made.norm(tokens, f"{name}.norm1"), f"{name}.attn", options)
    tokens = made.add("Add", tokens, seen)
    inner = made.linear(made.norm(tokens, f"{name}.norm2"), f"{name}.mlp.fc1")
    return made.add("Add", tokens, made.linear(made.add("Gelu", inner), f"{name}.mlp.fc2"))


def _attention(made: _Nodes, tokens: str, name: str, options: Vit) -> str:
    each = options.width // options.heads
    parts = made.add(
        "Reshape", made.linear(tokens, f"{name}.qkv"), made.shape(0, 0, 3, options.heads, each)
    )
    parts = made.add("Transpose", parts, perm=[2, 0, 3, 1, 4])
    query, key, value = (
        made.add("Gather", parts, made.constant(f"part{n}", n, np.int64), axis=0) for n in range(3)
    )
    turned = made.add("Transpose", key, perm=[0, 1, 3, 2])
    scale = made.constant("scale", each**-0.5)
    looks = made.add("Softmax", made.add("Mul", made.add("MatMul", query, turned), scale), axis=-1)
    seen = made.add("Transpose", made.add("MatMul", looks, value), perm=[0, 2, 1, 3])
    return made.linear(made.add("Reshape", seen, made.shape(0, 0, options.width)), f"{name}.proj")


def _answer(made: _Nodes, tokens: str) -> None:
    """From the first token to the probability of each class."""
    first = made.add("Gather", tokens, made.constant("first", 0, np.int64), axis=1)
    made.add("Softmax", made.linear(first, "head"), axis=-1, name=SHARES)
