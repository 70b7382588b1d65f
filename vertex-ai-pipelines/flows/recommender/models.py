"""The trained recommender: its file, and what it answers."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.arrays import Arrays, Ids, load, pack, save, unpack
from flows.errors import InputError
from flows.recommender.ranking import Best, Scores, top
from flows.recommender.split import Training

FILE, FORMAT = "model.safetensors", "safetensors"
ALGORITHMS = ("svd", "popularity")
TOP = 10
MOST = 1000  # items an instance may ask for


class Recommender:
    """Items for users. Users that training did not see get what is popular."""

    def __init__(self, arrays: Arrays) -> None:
        self.items: Ids = unpack("items", arrays)
        self._users = {user: place for place, user in enumerate(unpack("users", arrays))}
        self._popularity = arrays["popularity"]
        names = ("user_factors", "item_factors", "history_ends", "history_items", "history_weights")
        self._scores = Scores(*(arrays[name] for name in names))

    def predict(self, instances: list[Any]) -> list[Any]:
        """`{"items": [id, …], "scores": [number, …]}` for each instance, best first.

        An instance is a user's id, or `{"user": id, "k": 10}`. Raises InputError for another.
        """
        asked = [_asked(instance) for instance in instances]
        places, scores = self.best([user for user, _ in asked], max((k for _, k in asked), default=0))
        return [
            {"items": [self.items[place] for place in row[:k]], "scores": values[:k].tolist()}
            for row, values, (_, k) in zip(places, scores, asked, strict=True)
        ]

    def best(self, users: Ids, k: int) -> Best:
        """Places in `items` and scores of the `k` best items of each user: users × k."""
        places = np.array([self._users.get(user, -1) for user in users], np.int64)
        popular, counts = top(self._popularity[None, :], k)
        found, scores = np.repeat(popular, len(users), 0), np.repeat(counts, len(users), 0)
        known = places >= 0
        if known.any():
            found[known], scores[known] = self._scores.best(places[known], k)
        return found, scores


def write_popularity(folder: Path, training: Training) -> None:
    """Write a model that knows no users."""
    ends, nothing = np.zeros(1, np.int64), np.empty(0, np.float32)
    arrays: Arrays = {
        "user_factors": nothing.reshape(0, 0),
        "item_factors": np.empty((len(training.items), 0), np.float32),
    }
    history: Arrays = {
        "history_ends": ends,
        "history_items": np.empty(0, np.int32),
        "history_weights": nothing,
    }
    _write(folder, training, [], arrays | history)


def write_svd(
    folder: Path, training: Training, factors: tuple[NDArray[Any], NDArray[Any]], own: Any
) -> None:
    """Write factors, and `own`: users × items in CSR, what is added to the factors' scores."""
    arrays: Arrays = {"user_factors": factors[0], "item_factors": factors[1]}
    history: Arrays = {
        "history_ends": own.indptr.astype(np.int64),
        "history_items": own.indices.astype(np.int32),
        "history_weights": own.data.astype(np.float32),
    }
    _write(folder, training, training.users, arrays | history)


def read(folder: Path, algorithm: str, format: str) -> Recommender:  # noqa: A002
    """The model in `folder`. Raises InputError where this code cannot open it."""
    if algorithm not in ALGORITHMS or format != FORMAT:
        raise InputError(
            f"this recommender cannot open a model of {algorithm} in {format}", "train again"
        )
    arrays, _ = load(folder / FILE)
    try:
        return Recommender(arrays)
    except KeyError as error:
        raise InputError(
            f"{FILE}: it has no array {error}", "another version of the code made it: train again"
        ) from None


def _write(folder: Path, training: Training, users: Ids, arrays: Arrays) -> None:
    counts = np.bincount(training.item, minlength=len(training.items)).astype(np.float32)
    names = pack("users", users) | pack("items", training.items)
    save(folder / FILE, arrays | names | {"popularity": counts}, {})


def _asked(instance: Any) -> tuple[Any, int]:
    user, k = (
        (instance.get("user"), instance.get("k", TOP)) if isinstance(instance, dict) else (instance, TOP)
    )
    if not isinstance(user, int | str) or isinstance(user, bool):
        raise InputError(
            f"instance {instance!r} names no user", 'it looks like 1228 or {"user": 1228, "k": 10}'
        )
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= MOST:
        raise InputError(f"instance {instance!r}: k is not a whole number from 1 to {MOST}")
    return user, k
