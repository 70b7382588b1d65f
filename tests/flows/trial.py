"""For a flow's tests: what a pipeline would do with its sample, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import config
from flows.config import FlowConfig, Train
from flows.contract import Evaluated, Model, Saved
from flows.tables import Table, load_toml


@dataclass(frozen=True)
class Trial:
    """A flow with training set and holdout of its sample, and the options to try its algorithms with."""

    flow: Any
    config: FlowConfig
    algorithms: Mapping[str, Table]
    training: Path
    holdout: Path

    @classmethod
    def of(cls, flow: Any, own: Any, algorithms: Mapping[str, Table], data: Path) -> "Trial":
        """By the flow's `own` Config, of `data` as get_data leaves it; both sets lie beside it."""
        training, holdout = (data.with_name(name) for name in ("training", "holdout"))
        training.mkdir()
        holdout.mkdir()
        flow.preprocess(own().preprocess, data, {}, training, holdout)
        return cls(flow, described(flow, own), algorithms, training, holdout)

    def train(self, name: str, folder: Path) -> Saved:
        """A model of that algorithm in a new folder."""
        folder.mkdir()
        made = self.flow.train(Train(algorithm=name), self.algorithms[name], self.training, folder)
        return Saved(folder, name, made.format, folder.name)

    def evaluate(self, saved: Saved) -> Evaluated:
        """What the gate says of it, beside itself as the champion."""
        found: Evaluated = self.flow.evaluate(
            self.config.gate, saved, self.holdout, saved, saved.folder.parent
        )
        return found

    def load(self, saved: Saved) -> Model:
        """What the server asks."""
        model: Model = self.flow.load(saved.folder, saved.algorithm, saved.format)
        return model


def described(flow: Any, own: type[Table]) -> FlowConfig:
    """The flow.toml beside a flow's module."""
    path = Path(flow.__file__).with_name("flow.toml")
    return config.parse(path.parent.name, load_toml(path), own, path)
