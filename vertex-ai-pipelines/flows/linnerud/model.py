"""The trained model: an ONNX file, and what it answers."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from flows.contract import Form
from flows.errors import InputError
from flows.linnerud.people import MEASURES, Numbers
from flows.tabular.model import session

FILE, FORMAT = "model.onnx", "onnx"
ALGORITHMS = ("mlp",)
# Nobody has a million of any measure, and it still is far from the ends of a float.
Measure = Annotated[float, Meta(gt=0, lt=1e6)]


class Model:
    """Exercise counts for measures of the body.

    An instance is `[weight, waist, pulse]`: kilograms, centimetres, beats a minute.
    """

    form = Form(instance=tuple[Measure, Measure, Measure], example=[86.6, 91.4, 50])

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is not there or is not such a model."""
        try:
            self._session = session(path)
            self.counts(np.zeros((1, len(MEASURES))))
        except Exception as error:
            raise InputError(
                f"{path.name}: it cannot be opened: {error}",
                "another version of the code made it, or it is damaged: train again",
            ) from None

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:  # noqa: ARG002
        """`[chins, situps, jumps]` for each instance. There are no parameters."""
        answers: list[Any] = self.counts(
            np.array(instances, np.float64).reshape(-1, len(MEASURES))
        ).tolist()
        return answers

    def counts(self, measures: Numbers) -> Numbers:
        """The exercises (rows × 3) for `measures` (rows × 3)."""
        found: Numbers = self._session.run(["exercises"], {"body": measures})[0]
        return found


def read(folder: Path, algorithm: str, format: str) -> Model:  # noqa: A002
    """The model in `folder`. Raises InputError where this code cannot open it."""
    if algorithm not in ALGORITHMS or format != FORMAT:
        raise InputError(f"this flow cannot open a model of {algorithm} in {format}", "train again")
    return Model(folder / FILE)
