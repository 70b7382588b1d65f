"""The trained recommender: its file, and what it answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flows.arrays import Arrays, Ids, load, pack, save, unpack
from flows.errors import InputError
from flows.recommender.asked import MOST_ITEMS, Asked, Filters, form
from flows.recommender.ranking import BLOCK, Best, Matrix, Scores, top

if TYPE_CHECKING:  # reads Parquet: 40 MB that a prediction has no use for
    from flows.recommender.split import Training

FILE, FORMAT = "model.safetensors", "safetensors"
ALGORITHMS = ("svd", "popularity")
TOP = 10
NEVER = -np.inf  # the score of an item that a filter leaves out
Looked = dict[int, NDArray[np.int64]]  # the places of a list of items, by the list's identity


class Recommender:
    """Items for users. Users that training did not see get what is popular."""

    def __init__(self, arrays: Arrays) -> None:
        self.items: Ids = unpack("items", arrays)
        users = unpack("users", arrays)
        self.form = form(users, self.items)
        self._users = {user: place for place, user in enumerate(users)}
        self._places = {item: place for place, item in enumerate(self.items)}
        self._popularity = arrays["popularity"]
        names = ("user_factors", "item_factors", "history_ends", "history_items", "history_weights")
        self._scores = Scores(*(arrays[name] for name in names))

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        """`{"items": [id, …], "scores": [number, …]}` for each instance, best first.

        An instance is a user's id, or `Asked` with filters; `parameters` are `Filters` for all of them.
        """
        usual = parameters or Filters()
        users = [one.user if isinstance(one, Asked) else one for one in instances]
        filters = [one.filters(usual) if isinstance(one, Asked) else usual for one in instances]
        _refuse_many(filters)
        size = max(1, BLOCK // max(1, len(self.items)))
        parts = [slice(start, start + size) for start in range(0, len(users), size)]
        looked_up = Looked()
        return [one for part in parts for one in self._answers(users[part], filters[part], looked_up)]

    def _answers(
        self, ids: list[Any], filters: list[Filters[Any]], looked_up: Looked
    ) -> list[dict[str, Any]]:
        """The answers to as many as one block of scores holds."""
        users = self._known(ids)
        scores = np.repeat(self._popularity[None, :], len(users), 0)
        known = users >= 0
        scores[known] = self._scores.of(users[known])
        for row, user, own in zip(scores, users, filters, strict=True):
            self._filter(row, user, own, looked_up)
        counts = [int(own.count) for own in filters]
        best = zip(*top(scores, max(counts)), counts, strict=True)
        return [self._answer(places[:count], values[:count]) for places, values, count in best]

    def _answer(self, places: NDArray[np.int64], scores: Matrix) -> dict[str, Any]:
        left = scores > NEVER
        found = [self.items[place] for place in places[left]]
        return {"items": found, "scores": scores[left].tolist()}

    def _filter(self, scores: Matrix, user: int, filters: Filters[Any], looked_up: Looked) -> None:
        """Of one user's scores, those that `filters` leave."""
        if filters.only is not None:
            places = self._known_items(filters.only, looked_up)
            kept = scores[places]
            scores[:] = NEVER
            scores[places] = kept
        if filters.exclude:
            scores[self._known_items(filters.exclude, looked_up)] = NEVER
        if filters.new and user >= 0:
            scores[self._scores.before(user)] = NEVER

    def _known(self, users: Sequence[Any]) -> NDArray[np.int64]:
        """The users' places; -1 is one that training did not see."""
        return np.array([self._users.get(user, -1) for user in users], np.int64)

    def _known_items(self, items: list[Any], looked_up: Looked) -> NDArray[np.int64]:
        """The items' places. A request's own list is one for all of its users: looked up once."""
        if id(items) not in looked_up:
            places = (self._places.get(item) for item in items)
            known = [place for place in places if place is not None]
            looked_up[id(items)] = np.array(known, np.int64)
        return looked_up[id(items)]

    def best(self, users: Ids, k: int) -> Best:
        """Places in `items` and scores of the `k` best items of each user: users × k."""
        places = self._known(users)
        popular, counts = top(self._popularity[None, :], k)
        found, scores = np.repeat(popular, len(users), 0), np.repeat(counts, len(users), 0)
        known = places >= 0
        if known.any():
            found[known], scores[known] = self._scores.best(places[known], k)
        return found, scores


def _refuse_many(filters: list[Filters[Any]]) -> None:
    """An answer is bounded as its question is: nobody else waits for a very long one."""
    items = sum(int(own.count) for own in filters)
    if items > MOST_ITEMS:
        raise InputError(
            f"instances: {items:,} items are asked for, {MOST_ITEMS:,} at most in one request",
            "ask for fewer items, or split the instances",
        )


def write_popularity(folder: Path, training: "Training") -> None:
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
    folder: Path, training: "Training", factors: tuple[NDArray[Any], NDArray[Any]], own: Any
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


def _write(folder: Path, training: "Training", users: Ids, arrays: Arrays) -> None:
    counts = np.bincount(training.item, minlength=len(training.items)).astype(np.float32)
    names = pack("users", users) | pack("items", training.items)
    save(folder / FILE, arrays | names | {"popularity": counts}, {})
