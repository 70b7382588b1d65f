"""What a flow's module offers. Each function is plain: folders in, files and a record out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from flows import config
from flows.config import Gate, Train
from flows.errors import InputError
from flows.manifest import Verdict
from flows.tables import Table

Number: TypeAlias = int | float
Facts: TypeAlias = dict[str, Any]
ASIDE = "aside"  # what a model's folder has below it is for evaluate alone: it is not released


@dataclass(frozen=True)
class Window:
    """Which rows: `start` included, `end` excluded; `snapshot` is the table's last change. All UTC."""

    start: datetime
    end: datetime
    snapshot: datetime


@dataclass(frozen=True)
class Trained:
    """What `train` made: the files' format, training metrics and one line for people.

    `series` has how metrics went, one value a turn (an epoch, …), for the pull request's plot.
    """

    format: str
    metrics: Mapping[str, Number]
    summary: str
    series: Mapping[str, Sequence[Number]] = field(default_factory=dict)


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


class NoParameters(Table):
    """The parameters of a model that has none."""


@dataclass(frozen=True)
class Form:
    """What a model is asked with: types that msgspec checks, of an instance and of the parameters.

    `example` is an instance, for people and to warm the model up; a request has `most` at most. `check`
    is given all instances of a request, and raises InputError, with the index, for one that is of its
    type and still wrong, or that makes the request too much; the model is not asked then.
    """

    instance: Any
    example: Any
    parameters: type[Table] = NoParameters
    most: int = 10_000
    check: Callable[[list[Any]], None] | None = None


class Model(Protocol):
    """A loaded model: it needs its folder no more."""

    form: Form

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        """One prediction for each instance, in order, as JSON can have it; as `form` says.

        The server may ask for several requests at once: an answer is a matter of its own instance.
        Raises InputError, with the instance's index, for what the form's types cannot refuse.
        """


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
        """Fit `config.algorithm` on the folder `training`; write the model's files to `model`.

        What is below ASIDE there is not the model's: evaluate has it, and nobody else.
        """

    def evaluate(
        self, gate: Gate, model: Saved, holdout: Path, champion: Saved | None, scores: Path
    ) -> Evaluated:
        """Measure `model` on `holdout`, against `champion` where there is one.

        `flows.evaluation.evaluate` does all but the measuring. The champion's model may be one that
        today's code cannot open: that is a verdict, not an error.
        """

    def load(self, model: Path, algorithm: str, format: str) -> Model:  # noqa: A002
        """Open a model's folder, as its manifest's algorithm and format say."""


def part(flow: str, name: Literal["flow", "config"]) -> Any:
    """The module `flows.FLOW.NAME`. Raises InputError where there is no such flow."""
    if not flow.isidentifier() or not (config.FLOWS / flow / "flow.py").is_file():
        raise InputError(f"this image has no flow '{flow}'", "was it added after the image was built?")
    return import_module(f"flows.{flow}.{name}")
