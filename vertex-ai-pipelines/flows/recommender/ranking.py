"""The best items of each user, from factors and history, for many users at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
Matrix = NDArray[np.float32]
WIDTH = 32  # items a stripe
BLOCK = 1 << 21  # scores at a time: 8 MB, which a cache can hold
WORKERS = 2
Best = tuple[NDArray[np.int64], Matrix]


@dataclass(frozen=True)
class Scores:
    """scores[u, i] = user[u] · item[i] + what history has for u and i (CSR: ends, seen, weight)."""

    user: Matrix
    item: Matrix
    ends: NDArray[np.int64]
    seen: Codes
    weight: Matrix

    def best(self, users: NDArray[np.int64], k: int) -> Best:
        """Places and scores of the `k` best items of each of `users`: users × k, best first.

        Equal scores come in the order of their places.
        """
        size = max(1, BLOCK // max(1, len(self.item)))
        parts = [users[start : start + size] for start in range(0, len(users), size)]
        with ThreadPoolExecutor(WORKERS) as pool:
            found = list(pool.map(lambda part: top(self.of(part), k), parts))
        places, scores = (
            zip(*found, strict=True) if found else ([np.empty((0, k), int)], [np.empty((0, k))])
        )
        return np.concatenate(places), np.concatenate(scores)

    def of(self, users: NDArray[np.int64]) -> Matrix:
        """The scores of all items for `users`: users × items."""
        scores: Matrix = self.user[users] @ self.item.T
        for row, user in enumerate(users):
            part = slice(self.ends[user], self.ends[user + 1])
            scores[row, self.seen[part]] += self.weight[part]
        return scores

    def before(self, user: int) -> Codes:
        """The places of what `user` has bought before."""
        return self.seen[self.ends[user] : self.ends[user + 1]]


def top(scores: Matrix, k: int) -> Best:
    """Places and values of the `k` largest of each row, largest first."""
    items = scores.shape[1]
    k = min(k, items)
    stripes = items // WIDTH
    places = np.broadcast_to(np.arange(items), scores.shape) if stripes <= k else _candidates(scores, k)
    values = np.take_along_axis(scores, places, 1)
    few = np.argpartition(values, values.shape[1] - k, axis=1)[:, values.shape[1] - k :]
    places, values = np.take_along_axis(places, few, 1), np.take_along_axis(values, few, 1)
    order = np.lexsort((places, -values))[:, :k]
    return np.take_along_axis(places, order, 1), np.take_along_axis(values, order, 1)


def _candidates(scores: Matrix, k: int) -> NDArray[np.int64]:
    """Places among which the `k` largest are: a stripe without one of them has a smaller maximum.

    A stripe is every `stripes`-th item, so that the maxima are taken over whole rows at once.
    """
    stripes = scores.shape[1] // WIDTH
    whole = scores[:, : stripes * WIDTH].reshape(-1, WIDTH, stripes)
    largest = np.argpartition(whole.max(axis=1), stripes - k, axis=1)[:, stripes - k :]
    inside = (largest[:, :, None] + np.arange(WIDTH) * stripes).reshape(len(scores), -1)
    rest = np.broadcast_to(
        np.arange(stripes * WIDTH, scores.shape[1]), (len(scores), scores.shape[1] - stripes * WIDTH)
    )
    return np.concatenate([inside, rest], axis=1)
