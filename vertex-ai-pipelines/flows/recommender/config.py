"""The recommender's own options in flow.toml."""

from typing import Annotated

from msgspec import Meta

from flows.tables import Table

METRICS = {"ndcg@10": "NDCG@10", "recall@10": "Recall@10"}


class Preprocess(Table):
    """The last `holdout_days` of the window are what the model is measured on."""

    holdout_days: Annotated[int, Meta(ge=1)] = 28


class Svd(Table):
    """Truncated SVD, and what a user bought before: `repeat` is its weight beside the factors."""

    factors: Annotated[int, Meta(ge=1)] = 32
    half_life_days: Annotated[float, Meta(gt=0)] = 90.0
    repeat: Annotated[float, Meta(ge=0)] = 2.0


class Popularity(Table):
    """What most purchases are of, for everybody."""


class Train(Table):
    """The algorithms, each with its own table."""

    svd: Svd = Svd()
    popularity: Popularity = Popularity()


class Config(Table):
    """All of them; the frame's keys are not here."""

    preprocess: Preprocess = Preprocess()
    train: Train = Train()
