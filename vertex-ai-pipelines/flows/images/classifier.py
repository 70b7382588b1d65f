"""A classifier of images: one ONNX file, from base64 to label and confidence."""

import base64
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.contract import Form
from flows.errors import InputError
from flows.images import graph, header, png
from flows.images.graph import Pixels
from flows.tables import Table

FILE, FORMAT = "model.onnx", "onnx"
MOST = 256  # images of a request
MOST_PIXELS = 1 << 24  # of a request's images: they hold up all other requests while they are decoded
TOGETHER = 64  # images that the network is asked at once
LABEL, CONFIDENCE, SHARES = "label", "confidence", "shares"
DAMAGED = "its header is good, but its pixels cannot be decoded"


class Image(Table):
    """A PNG or JPEG in base64."""

    b64: str


def encoded(content: bytes) -> str:
    """An image as a model is asked with it."""
    return base64.b64encode(content).decode()


def check(instances: list[Image]) -> None:
    """Raises InputError, with index and reason, for what is no image that is read, or one too many."""
    pixels = 0
    for index, one in enumerate(instances):
        pixels += _pixels(index, one)
        if pixels > MOST_PIXELS:
            raise InputError(
                f"instances[{index}]: up to here, the images have {pixels:,} pixels together, "
                f"more than {MOST_PIXELS:,}",
                "send fewer in a request, or make them smaller",
            )


def _pixels(index: int, instance: Image) -> int:
    try:
        return header.check(header.decode(instance.b64))
    except InputError as error:
        raise InputError(f"instances[{index}]: {error.what}", error.mend) from None


EXAMPLE = Image(b64=encoded(png.grey(8, bytes(range(0, 256, 4)))))


class Classifier:
    """Label and confidence for images: `{"b64": …}` → `{"label": "7", "confidence": 0.98}`."""

    form = Form(instance=Image, example=EXAMPLE, most=MOST, check=check)

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is not there or is not such a model."""
        try:
            self._session = session(path.read_bytes())
            own = json.loads(self._session.get_modelmeta().custom_metadata_map["retrain"])
            self.classes: list[str] = own["classes"]
            self.size: int = own["size"]
            self._ask([LABEL, CONFIDENCE, SHARES, graph.PIXELS], [EXAMPLE.b64])
        except Exception as error:
            raise InputError(
                f"{path.name}: it cannot be opened: {error}",
                "another version of the code made it, or it is damaged: train again",
            ) from None

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:  # noqa: ARG002
        """`{"label", "confidence"}` for each instance. There are no parameters.

        Each is checked here, too: the decoder would end the process at what is no image. Their sum is
        not: they may be of several requests.
        """
        for index, one in enumerate(instances):
            _pixels(index, one)
        if not instances:
            return []
        texts = [one.b64 for one in instances]
        try:
            labels, confidences = self._ask([LABEL, CONFIDENCE], texts)
        except Exception:
            self._find(texts)
            raise
        found = zip(labels.tolist(), confidences.tolist(), strict=True)
        return [{"label": label, "confidence": confidence} for label, confidence in found]

    def shares(self, contents: list[bytes]) -> tuple[NDArray[np.float32], Pixels]:
        """Of each image, the probability of each class, and the pixels that the network saw."""
        shares, pixels = self._ask([SHARES, graph.PIXELS], [encoded(one) for one in contents])
        return shares, pixels

    def _ask(self, outputs: list[str], texts: list[str]) -> list[Any]:
        parts = [texts[at : at + TOGETHER] for at in range(0, len(texts), TOGETHER)]
        found = [self._session.run(outputs, {graph.IMAGE: np.array(part, object)}) for part in parts]
        return [np.concatenate(columns) for columns in zip(*found, strict=True)]

    def _find(self, texts: list[str]) -> None:
        """Raises InputError that names the first image that cannot be decoded; nothing where all can."""
        for index, text in enumerate(texts):
            try:
                self._ask([LABEL], [text])
            except Exception:
                raise InputError(f"instances[{index}]: {DAMAGED}", header.LOOKS) from None


def session(model: bytes) -> Any:
    """ONNX Runtime's session of a graph that reads images; one thread."""
    import onnxruntime
    import onnxruntime_extensions

    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep what the largest image once took
    options.log_severity_level = 4  # what fails is raised: nobody has to be told twice
    return onnxruntime.InferenceSession(model, options)


def pixels(contents: list[bytes], size: int) -> Pixels:
    """What training learns from: images × size × size × RGB, by the nodes that serve, too.

    Raises InputError that names the image, by its index, that cannot be decoded.
    """
    own = _reading(size)
    found = np.empty((len(contents), size, size, 3), np.uint8)
    for index, content in enumerate(contents):
        header.check(content)
        try:
            asked = {graph.IMAGE: np.array([encoded(content)], object)}
            found[index] = own.run([graph.PIXELS], asked)[0][0]
        except Exception:
            raise InputError(f"image {index}: {DAMAGED}", "leave it out in query.sql") from None
    return found


@functools.cache
def _reading(size: int) -> Any:
    from onnx import TensorProto, helper

    shown = helper.make_tensor_value_info(graph.PIXELS, TensorProto.UINT8, ["images", size, size, 3])
    return session(graph.model(graph.reading(size), "reading", [shown], []))
