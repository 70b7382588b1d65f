"""The flow's own options in flow.toml."""

from typing import Annotated

from msgspec import Meta

from flows.tables import Table

METRICS = {"accuracy": "accuracy", "log_loss": "log loss"}


class Preprocess(Table):
    """`holdout_share` of the rows, drawn with `seed`, are what the model is measured on."""

    holdout_share: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    seed: int = 0


class Logistic(Table):
    """Logistic regression; a smaller `c` keeps its weights smaller."""

    c: Annotated[float, Meta(gt=0)] = 1.0


class Forest(Table):
    """The mean of `trees`, whose leaves have `leaf` rows at least."""

    trees: Annotated[int, Meta(ge=1)] = 100
    leaf: Annotated[int, Meta(ge=1)] = 5


class Train(Table):
    """The algorithms, each with its own table."""

    logistic: Logistic = Logistic()
    forest: Forest = Forest()


class Config(Table):
    """All of them; the frame's keys are not here."""

    preprocess: Preprocess = Preprocess()
    train: Train = Train()
