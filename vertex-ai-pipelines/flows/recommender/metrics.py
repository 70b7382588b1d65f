"""Ranking metrics: of each user, and of a whole model."""

import numpy as np
from numpy.typing import NDArray

from flows.recommender.split import Holdout

Hits = NDArray[np.bool_]
Values = NDArray[np.float64]


def hits(ranked: NDArray[np.int64], holdout: Holdout) -> Hits:
    """Whether a user bought what is ranked (users × k places in holdout.items; -1 is no such item).

    What was bought before counts too, since groceries are bought again.
    """
    size = len(holdout.items)
    relevant = np.repeat(np.arange(len(holdout.users)), np.diff(holdout.ends)) * size + holdout.item
    asked = np.arange(len(ranked))[:, None] * size + ranked
    nearest = np.minimum(np.searchsorted(relevant, asked), len(relevant) - 1)
    result: Hits = (ranked >= 0) & (relevant[nearest] == asked)
    return result


def ndcg(hit: Hits, holdout: Holdout) -> Values:
    """NDCG of each user's ranked list, from its `hits`: users × k.

    Binary relevance; the ideal list also has items that no training set knows. Järvelin and
    Kekäläinen 2002, with log2(rank + 1).
    """
    k = hit.shape[1]
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(np.diff(holdout.ends), k) - 1]
    result: Values = (hit @ discounts) / ideal
    return result


def recall(hit: Hits, holdout: Holdout) -> Values:
    """The share of all that each user bought that is in the user's ranked list."""
    result: Values = hit.sum(axis=1) / np.diff(holdout.ends)
    return result


def coverage(ranked: NDArray[np.int64], items: int) -> float:
    """The share of a catalogue of `items` that is ranked for anybody (places in the catalogue)."""
    return len(np.unique(ranked)) / items
