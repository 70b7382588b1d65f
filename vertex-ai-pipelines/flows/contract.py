"""What a flow's module offers. Each function is plain: folders in, files and a record out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from flows.config import Gate, Train
from flows.manifest import Verdict

Number: TypeAlias = int | float
Facts: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Window:
    """Which rows: `start` included, `end` excluded; `snapshot` is the table's last change. All UTC."""

    start: datetime
    end: datetime
    snapshot: datetime


@dataclass(frozen=True)
class Trained:
    """What `train` made: the files' format, training metrics and one line for people."""

    format: str
    metrics: Mapping[str, Number]
    summary: str


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` found; `facts` are of the scores, which it wrote to the folder it was given."""

    metrics: Mapping[str, Number | None]
    verdict: Verdict
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Saved:
    """A model's files in `folder`, and what `load` needs to open them; `version` once it has one.

    `obstacle` says why today's code cannot open it at all; then `folder` holds nothing.
    """

    folder: Path
    algorithm: str
    format: str
    version: str = ""
    obstacle: str = ""


class Model(Protocol):
    """A loaded model. `predict` gives one prediction for each instance, in order."""

    def predict(self, instances: list[Any]) -> list[Any]: ...


class Flow(Protocol):
    """One model's life: `flows/NAME/flow.py` has these functions.

    `flows/NAME/config.py` has `Config`, the flow's own options, and `METRICS`: the metrics that its
    gate can use, one value a unit of the holdout, and what people call them.

    Facts are JSON-able records for the artifact's metadata and the manifest; the key "summary" is
    the one line that people see beside the step's name. Options are the flow's own tables of
    flow.toml, as its `Config` declares them. Each raises InputError where what it was given is wrong.
    """

    def get_data(
        self, table: str, options: Any, query: str, window: Window, project: str, destination: str
    ) -> Facts:
        """Export the window's rows of `table` to Parquet files below `destination`, a gs:// URI.

        The next step fetches only what the fact "files" lists, by names relative to `destination`.
        """

    def preprocess(
        self, options: Any, data: Path, facts: Facts, training: Path, holdout: Path
    ) -> tuple[Facts, Facts]:
        """Split `data` (what get_data exported, with its `facts`) into the two folders."""

    def train(self, config: Train, options: Any, training: Path, model: Path) -> Trained:
        """Fit `config.algorithm` on the folder `training`; write the model's files to `model`."""

    def evaluate(
        self, gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path
    ) -> Evaluated:
        """Measure `model` on `holdout`, against `champion` where there is one.

        `flows.evaluation.evaluate` does all but the measuring. The champion's model may be one that
        today's code cannot open: that is a verdict, not an error.
        """

    def load(self, model: Path, algorithm: str, format: str) -> Model:  # noqa: A002
        """Open a model's folder, as its manifest's algorithm and format say."""
