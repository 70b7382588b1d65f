"""The trained model: an ONNX file, and what it answers."""

from pathlib import Path
from typing import Any

import numpy as np

from flows.errors import InputError
from flows.linnerud.people import EXERCISES, MEASURES, Numbers

FILE, FORMAT = "model.onnx", "onnx"
ALGORITHMS = ("mlp",)
MOST = 1e6  # of any measure: nobody has as much, and it still is far from the ends of a float


class Model:
    """Exercise counts for measures of the body."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is not there or is not such a model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options)
            self.counts(np.zeros((1, len(MEASURES))))
        except Exception as error:
            raise InputError(
                f"{path.name}: it cannot be opened: {error}",
                "another version of the code made it, or it is damaged: train again",
            ) from None

    def predict(self, instances: list[Any]) -> list[Any]:
        """`{"chins": …, "situps": …, "jumps": …}` for each instance.

        An instance is `{"weight": 176, "waist": 35, "pulse": 60}` (pounds, inches, beats a
        minute). Raises InputError for another.
        """
        measures = np.array([_measures(instance) for instance in instances], np.float64)
        found = self.counts(measures.reshape(-1, len(MEASURES)))
        return [dict(zip(EXERCISES, row, strict=True)) for row in found.tolist()]

    def counts(self, measures: Numbers) -> Numbers:
        """The exercises (rows × 3) for `measures` (rows × 3)."""
        found: Numbers = self._session.run(["exercises"], {"body": measures})[0]
        return found


def read(folder: Path, algorithm: str, format: str) -> Model:  # noqa: A002
    """The model in `folder`. Raises InputError where this code cannot open it."""
    if algorithm not in ALGORITHMS or format != FORMAT:
        raise InputError(f"this flow cannot open a model of {algorithm} in {format}", "train again")
    return Model(folder / FILE)


def _measures(instance: Any) -> list[float]:
    if not isinstance(instance, dict) or set(instance) != set(MEASURES):
        raise _refused(instance)
    found = [instance[name] for name in MEASURES]
    if not all(_is_measure(value) for value in found):
        raise _refused(instance)
    return found


def _is_measure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MOST


def _refused(instance: Any) -> InputError:
    example = '{"weight": 176, "waist": 35, "pulse": 60}'
    return InputError(f"instance {instance!r} is not a body's measures", f"it looks like {example}")
