"""The flow's own options in flow.toml."""

from typing import Annotated

from msgspec import Meta

from flows.tables import Table

METRICS = {"ndcg@10": "NDCG@10"}


class Preprocess(Table):
    """`holdout_share` of the units, drawn with `seed`, are what the model is measured on."""

    holdout_share: Annotated[float, Meta(gt=0, lt=1)] = 0.25
    seed: int = 0


class Ridge(Table):
    """A linear model; `alpha` keeps its weights small."""

    alpha: Annotated[float, Meta(ge=0)] = 1.0


class Forest(Table):
    """The mean of `trees`, whose leaves have `leaf` rows at least."""

    trees: Annotated[int, Meta(ge=1)] = 100
    leaf: Annotated[int, Meta(ge=1)] = 5


class Train(Table):
    """The algorithms, each with its own table."""

    ridge: Ridge = Ridge()
    forest: Forest = Forest()


class Config(Table):
    """All of them; the frame's keys are not here."""

    preprocess: Preprocess = Preprocess()
    train: Train = Train()
