"""Ranking metrics, one value a user."""

import numpy as np
from numpy.typing import NDArray

from flows.recommender.split import Holdout


def ndcg(ranked: NDArray[np.int64], holdout: Holdout) -> NDArray[np.float64]:
    """NDCG of each user's ranked list (users × k places in holdout.items; -1 is no such item).

    Binary relevance: what the user bought in the holdout, also what was bought before, since
    groceries are bought again, and also items that no training set knows: the ideal list has them.
    Järvelin and Kekäläinen 2002, with log2(rank + 1).
    """
    size, k = len(holdout.items), ranked.shape[1]
    relevant = np.repeat(np.arange(len(holdout.users)), np.diff(holdout.ends)) * size + holdout.item
    asked = np.arange(len(ranked))[:, None] * size + ranked
    hits = (ranked >= 0) & np.isin(asked, relevant)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(np.diff(holdout.ends), k) - 1]
    result: NDArray[np.float64] = (hits @ discounts) / ideal
    return result
