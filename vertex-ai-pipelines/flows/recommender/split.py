"""Training set and holdout: by time, as the model will be used."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows import bigquery
from flows.arrays import Arrays, Ids, load, pack, save, unpack
from flows.contract import Facts
from flows.errors import InputError
from flows.recommender.purchases import Codes, Purchases, compact, ids

FILE = "purchases.safetensors"
DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Training:
    """One entry a purchase, sorted by user, item and age; `days` is its age when the holdout begins."""

    user: Codes
    item: Codes
    days: Codes
    users: Ids
    items: Ids


@dataclass(frozen=True)
class Holdout:
    """What each of `users` bought, once each: `item[ends[i]:ends[i + 1]]`, sorted places in `items`."""

    ends: NDArray[np.int64]
    item: Codes
    users: Ids
    items: Ids


def split(rows: Purchases, until: datetime, holdout_days: int) -> tuple[datetime, NDArray[np.bool_]]:
    """When the holdout begins, and which rows are before it. Raises InputError where a side is empty."""
    begin = until - timedelta(days=holdout_days)
    before = rows.at < _micros(begin)
    if not before.any() or before.all():
        side = "holdout" if before.any() else "training set"
        raise InputError(
            f"the {side} is empty: holdout_days = {holdout_days} cuts at {bigquery.moment(begin)}",
            "change [preprocess] holdout_days or [data] days in flow.toml",
        )
    if (rows.at >= _micros(until)).any():
        raise InputError(
            f"there are rows after {bigquery.moment(until)}", "query.sql must keep to @window_until"
        )
    return begin, before


def write_training(rows: Purchases, before: NDArray[np.bool_], begin: datetime, folder: Path) -> Facts:
    """Write what train may see; its facts: users, items, training_rows."""
    users, user = compact(rows.user[before], len(rows.users))
    items, item = compact(rows.item[before], len(rows.items))
    ages = ((_micros(begin) - rows.at[before]) // DAY).astype(np.int32)
    user, item, ages = _sorted(user, item, ages)
    arrays: Arrays = {"user": user, "item": item, "days": ages}
    save(
        folder / FILE,
        arrays | pack("users", ids(rows.users, users)) | pack("items", ids(rows.items, items)),
        {},
    )
    return {"users": len(users), "items": len(items), "training_rows": len(user)}


def write_holdout(rows: Purchases, before: NDArray[np.bool_], folder: Path) -> Facts:
    """Write what only evaluate sees; its facts, among them the users and items that training lacks."""
    users, user = compact(rows.user[~before], len(rows.users))
    items, item = compact(rows.item[~before], len(rows.items))
    pairs = np.unique(user.astype(np.int64) * len(items) + item)
    ends = np.searchsorted(pairs, np.arange(len(users) + 1) * len(items))
    arrays: Arrays = {"ends": ends, "item": (pairs % len(items)).astype(np.int32)}
    save(
        folder / FILE,
        arrays | pack("users", ids(rows.users, users)) | pack("items", ids(rows.items, items)),
        {},
    )
    unseen_users = _unseen(users, rows.user[before], len(rows.users))
    unseen_items = _unseen(items, rows.item[before], len(rows.items))
    facts = {"holdout_rows": len(user), "holdout_users": len(users), "holdout_items": len(items)}
    return facts | {"unseen_users": unseen_users, "unseen_items": unseen_items}


def read_training(folder: Path) -> Training:
    """What `write_training` wrote."""
    arrays, _ = load(folder / FILE)
    ids = unpack("users", arrays), unpack("items", arrays)
    return Training(arrays["user"], arrays["item"], arrays["days"], *ids)


def read_holdout(folder: Path) -> Holdout:
    """What `write_holdout` wrote."""
    arrays, _ = load(folder / FILE)
    return Holdout(arrays["ends"], arrays["item"], unpack("users", arrays), unpack("items", arrays))


def _sorted(user: Codes, item: Codes, days: Codes) -> tuple[Codes, Codes, Codes]:
    """By user, item, age: one 64-bit key sorts several times faster than three columns."""
    ages, items = int(days.max()) + 1, int(item.max()) + 1
    key = (user.astype(np.int64) * items + item) * ages + days
    key.sort()
    days = (key % ages).astype(np.int32)
    key //= ages
    item = (key % items).astype(np.int32)
    key //= items
    return key.astype(np.int32), item, days


def _unseen(places: NDArray[np.int64], codes: Codes, size: int) -> int:
    return int((np.bincount(codes, minlength=size)[places] == 0).sum())


def _micros(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)
