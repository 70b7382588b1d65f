"""Rows of purchases as numbers: codes of users and items, in an order that files do not decide."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows import bigquery
from flows.arrays import Ids
from flows.errors import InputError

COLUMNS = ["user", "item", "at"]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Purchases:
    """`user` and `item` are places in the sorted `users` and `items`; `at` is in microseconds UTC."""

    user: Codes
    item: Codes
    at: NDArray[np.int64]
    users: pa.Array
    items: pa.Array


def read(folder: Path) -> Purchases:
    """All purchases of the Parquet files in `folder`. Raises InputError where a column is wrong."""
    # One column at a time: together they would be most of the step's memory.
    user, users = _encode(_column(folder, "user"), "user")
    item, items = _encode(_column(folder, "item"), "item")
    at = _moments(_column(folder, "at"))
    return Purchases(user, item, at, users, items)


def compact(codes: Codes, size: int) -> tuple[NDArray[np.int64], Codes]:
    """The places below `size` that occur in `codes`, and `codes` as places among those."""
    there = np.bincount(codes, minlength=size) > 0
    places: Codes = (np.cumsum(there) - 1).astype(np.int32)
    return np.flatnonzero(there), places[codes]


def ids(values: pa.Array, places: NDArray[np.int64]) -> Ids:
    """The ids at `places`."""
    found: Ids = values.take(pa.array(places)).to_pylist()
    return found


def _column(folder: Path, name: str) -> pa.ChunkedArray:
    rows = bigquery.read(folder, [name])
    bigquery.no_nulls(rows, name)
    return rows[name]


def _encode(column: pa.ChunkedArray, name: str) -> tuple[Codes, pa.Array]:
    if not (pa.types.is_integer(column.type) or pa.types.is_string(column.type)):
        raise InputError(
            f"column '{name}' is {column.type}, expected INT64 or STRING", "cast it in query.sql"
        )
    encoded = pc.dictionary_encode(column).combine_chunks()
    encoded = encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)
    order = pc.sort_indices(encoded.dictionary)
    rank = np.empty(len(order), np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    return rank[encoded.indices.to_numpy(zero_copy_only=False)], encoded.dictionary.take(order)


def _moments(column: pa.ChunkedArray) -> NDArray[np.int64]:
    if not pa.types.is_timestamp(column.type):
        mend = "in query.sql: cast(… as timestamp) as `at`"
        raise InputError(f"column 'at' is {column.type}, expected TIMESTAMP", mend)
    found: Any = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_numpy()
    return np.asarray(found, np.int64)
