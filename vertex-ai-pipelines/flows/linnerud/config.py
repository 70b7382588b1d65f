"""Linnerud's own options in flow.toml."""

from typing import Annotated, Literal

from msgspec import Meta

from flows.tables import Table

METRICS = {
    "rae": "relative error",
    "mae_chins": "chins off",
    "mae_situps": "situps off",
    "mae_jumps": "jumps off",
}


class Preprocess(Table):
    """`holdout_share` of the rows, drawn with `seed`, are what the model is measured on."""

    holdout_share: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    seed: int = 0


class Mlp(Table):
    """A perceptron with one hidden layer; `activations` × `alphas` are tried, with `folds` folds."""

    hidden: Annotated[int, Meta(ge=1)] = 8
    iterations: Annotated[int, Meta(ge=1)] = 5
    folds: Annotated[int, Meta(ge=2)] = 4
    activations: Annotated[tuple[Literal["tanh", "relu"], ...], Meta(min_length=1)] = ("tanh", "relu")
    alphas: Annotated[tuple[Annotated[float, Meta(ge=0)], ...], Meta(min_length=1)] = (0.0001, 0.05)


class Train(Table):
    """The algorithms, each with its own table."""

    mlp: Mlp = Mlp()


class Config(Table):
    """All of them; the frame's keys are not here."""

    preprocess: Preprocess = Preprocess()
    train: Train = Train()
