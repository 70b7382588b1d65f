"""Images in ONNX: from base64 to pixels of one size, the same nodes for training and for serving.

A model is one file that needs ONNX Runtime and onnxruntime-extensions, which has the decoder.
"""

import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET, IR_VERSION = 20, 9
EXTENSIONS = "com.microsoft.extensions"
DOMAINS = {"": OPSET, "ai.onnx.ml": 3, "com.microsoft": 1, EXTENSIONS: 1}
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
IMAGE, PIXELS = "image", "pixels"
Pixels = NDArray[np.uint8]


def reading(size: int) -> list[Any]:
    """The nodes from `image` (texts: PNG or JPEG in base64) to `pixels` (images × size × size × RGB).

    The whole image is scaled to size × size, as it stands, linearly; what is made smaller is averaged.
    """
    from onnx import TensorProto, helper

    node, info = helper.make_node, helper.make_tensor_value_info
    body = helper.make_graph(
        [
            node("Gather", [IMAGE, "turn"], ["one"]),
            *_bytes(),
            node("DecodeImage", ["bytes"], ["decoded"], domain=EXTENSIONS),
            constant("wanted", [size, size, 3]),
            node("Resize", ["decoded", "", "", "wanted"], ["bgr"], mode="linear", antialias=1),
            constant("order", [2, 1, 0]),  # the decoder gives blue first; the small image costs less
            node("Gather", ["bgr", "order"], ["scaled"], axis=2),
            node("Identity", ["go"], ["going"]),
        ],
        "one_image",
        [
            info("turn", TensorProto.INT64, []),
            info("go", TensorProto.BOOL, []),
        ],
        [
            info("going", TensorProto.BOOL, []),
            info("scaled", TensorProto.UINT8, [size, size, 3]),
        ],
    )
    return [
        node("Size", [IMAGE], ["images"]),
        node("Loop", ["images", ""], [PIXELS], body=body),
    ]


def model(
    nodes: list[Any], name: str, outputs: list[Any], constants: list[Any], facts: str = ""
) -> bytes:
    """The ONNX file of `nodes`, which begin with `reading`; `facts` are kept in it."""
    import onnx
    from onnx import helper

    asked = helper.make_tensor_value_info(IMAGE, onnx.TensorProto.STRING, ["images"])
    whole = helper.make_graph(nodes, name, [asked], outputs, constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in DOMAINS.items()]
    made = helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION)
    if facts:
        helper.set_model_props(made, {"retrain": facts})
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def _bytes() -> list[Any]:
    """The nodes from `one`, a text in base64, to `bytes`: by characters, of six bits each."""
    from onnx import helper

    node = helper.make_node
    return [
        constant("flat", [1]),
        node("Reshape", ["one", "flat"], ["text"]),
        node(
            "Tokenizer", ["text"], ["letters"],
            domain="com.microsoft", mark=0, mincharnum=1, pad_value="=", separators=[""],
        ),
        node(
            "LabelEncoder", ["letters"], ["coded"],
            domain="ai.onnx.ml", keys_strings=list(ALPHABET), values_int64s=list(range(64)),
            default_int64=-1,
        ),
        constant("none", 0),
        node("Less", ["coded", "none"], ["padding"]),
        node("Cast", ["padding"], ["padded"], to=7),
        node("ReduceSum", ["padded"], ["missing"], keepdims=0),
        node("Max", ["coded", "none"], ["six"]),
        constant("fours", [-1, 4]),
        node("Reshape", ["six", "fours"], ["quads"]),
        constant("weights", [1 << 18, 1 << 12, 1 << 6, 1]),
        node("Mul", ["quads", "weights"], ["shifted"]),
        constant("last", [1]),
        node("ReduceSum", ["shifted", "last"], ["words"], keepdims=1),
        constant("places", [1 << 16, 1 << 8, 1]),
        node("Div", ["words", "places"], ["high"]),
        constant("byte", 256),
        node("Mod", ["high", "byte"], ["low"]),
        node("Cast", ["low"], ["triples"], to=2),
        constant("line", [-1]),
        node("Reshape", ["triples", "line"], ["padded_bytes"]),
        constant("begin", [0]),
        node("Size", ["padded_bytes"], ["all"]),
        node("Sub", ["all", "missing"], ["end"]),
        node("Unsqueeze", ["end", "begin"], ["ends"]),
        node("Slice", ["padded_bytes", "begin", "ends"], ["bytes"]),
    ]  # fmt: skip


def constant(name: str, value: int | list[int]) -> Any:
    """A node that gives whole numbers."""
    from onnx import helper, numpy_helper

    tensor = numpy_helper.from_array(np.array(value, np.int64), name)
    return helper.make_node("Constant", [], [name], value=tensor)
