"""Trained models of tables: an ONNX file, and what each kind of it answers."""

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from msgspec import Meta

from flows.arrays import Ids
from flows.contract import Form
from flows.errors import InputError
from flows.tabular.graph import FILE, FORMAT
from flows.tabular.rows import Numbers, Rows

# Far from the ends of single precision, in which trees compare; neither infinity nor NaN is among them.
Feature = Annotated[float, Meta(ge=-1e30, le=1e30)]
MOST_CANDIDATES = 1000  # of one question to a ranker


class Scorer:
    """An opened file: `names` of its features, their `means`, `labels` of its outputs, if it has any."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is not there or is not such a model."""
        try:
            self._session = session(path)
            told = self._session.get_modelmeta().custom_metadata_map
            self.names: tuple[str, ...] = tuple(json.loads(told["names"]))
            self.means: list[float] = json.loads(told["means"])
            self.labels: Ids = json.loads(told["labels"])
            self.scores(np.zeros((1, len(self.names))))
        except Exception as error:
            raise InputError(
                f"{path.name}: it cannot be opened: {error}",
                "another version of the code made it, or it is damaged: train again",
            ) from None

    @property
    def row(self) -> Any:
        """The type of one row's features, for a Form."""
        return tuple[(Feature,) * len(self.names)]  # type: ignore[misc]

    def scores(self, features: Numbers) -> Numbers:
        """Rows × outputs, for rows × features."""
        found: Numbers = self._session.run(["scores"], {"features": features})[0]
        return found

    def of(self, rows: Rows) -> Numbers:
        """The same for rows of a table. Raises InputError where it has other columns."""
        if rows.names != self.names:
            own, others = (", ".join(names) for names in (self.names, rows.names))
            raise InputError(f"the model's features are {own}, the holdout's {others}", "train again")
        return self.scores(rows.features)

    def asked(self, instances: list[Any]) -> Numbers:
        """Rows × outputs, for as many lists of features."""
        return self.scores(np.array(instances, np.float64).reshape(-1, len(self.names)))


class Regressor:
    """A number for each instance, a list of the features' values."""

    def __init__(self, path: Path) -> None:
        self.scorer = Scorer(path)
        self.form = Form(instance=self.scorer.row, example=self.scorer.means)

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:  # noqa: ARG002
        """A number for each instance. There are no parameters."""
        found: list[Any] = self.scorer.asked(instances)[:, 0].tolist()
        return found


class Classifier:
    """A label for each instance, a list of the features' values."""

    def __init__(self, path: Path) -> None:
        self.scorer = Scorer(path)
        self.form = Form(instance=self.scorer.row, example=self.scorer.means)

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:  # noqa: ARG002
        """`{"label": …, "confidence": probability}` for each instance. There are no parameters."""
        found = self.scorer.asked(instances)
        best = zip(found.argmax(axis=1).tolist(), found.max(axis=1).tolist(), strict=True)
        return [{"label": self.scorer.labels[place], "confidence": share} for place, share in best]


class Ranker:
    """An order for each instance, a list of candidates, each a list of the features' values."""

    def __init__(self, path: Path) -> None:
        self.scorer = Scorer(path)
        candidates = Annotated[
            list[self.scorer.row],  # type: ignore[name-defined]
            Meta(min_length=1, max_length=MOST_CANDIDATES),
        ]
        self.form = Form(instance=candidates, example=[self.scorer.means], most=MOST_CANDIDATES)

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:  # noqa: ARG002
        """`{"order": [places, best first], "scores": [one a candidate]}` for each instance."""
        return [self._ranked(candidates) for candidates in instances]

    def _ranked(self, candidates: list[Any]) -> dict[str, Any]:
        scores = self.scorer.asked(candidates)[:, 0]
        return {"order": np.argsort(-scores, kind="stable").tolist(), "scores": scores.tolist()}


def session(path: Path) -> Any:
    """ONNX Runtime's, of one thread, for the file at `path`. It raises errors of many kinds."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised: nobody has to be told twice
    return onnxruntime.InferenceSession(path.read_bytes(), options)


Kind = TypeVar("Kind", Regressor, Classifier, Ranker)


def read(kind: type[Kind], folder: Path, format: str) -> Kind:  # noqa: A002
    """The model in `folder`. Raises InputError where this code cannot open it."""
    if format != FORMAT:
        raise InputError(f"this flow cannot open a model in {format}", "train again")
    return kind(folder / FILE)
