"""The flow's own options in flow.toml."""

from typing import Annotated

from msgspec import Meta

from flows.tables import Table

METRICS = {"accuracy": "accuracy", "log_loss": "log loss"}
Positive = Annotated[int, Meta(ge=1)]


class Preprocess(Table):
    """`holdout_share` of the images, drawn with `seed`, are what the model is measured on."""

    holdout_share: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    seed: int = 0


class Perceptron(Table):
    """One layer of `hidden` units, trained for `epochs` at most; `decay` keeps its weights small.

    It sees each image at `size` × `size` pixels.
    """

    size: Positive = 8
    hidden: Positive = 64
    epochs: Positive = 60
    decay: Annotated[float, Meta(ge=0)] = 0.001


class Forest(Table):
    """The mean of `trees`, whose leaves have `leaf` images at least, of `size` × `size` pixels."""

    size: Positive = 8
    trees: Positive = 100
    leaf: Positive = 1


class Train(Table):
    """The algorithms, each with its own table."""

    perceptron: Perceptron = Perceptron()
    forest: Forest = Forest()


class Config(Table):
    """All of them; the frame's keys are not here."""

    preprocess: Preprocess = Preprocess()
    train: Train = Train()
