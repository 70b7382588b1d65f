"""Rows in BigQuery's JSON form: {"f": [{"v": …}]}, every scalar a string."""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from localcloud.bigquery_types import Field, float_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows(table: Any, schema: list[Field], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table's rows; `options` are the request's formatOptions."""
    columns = [_column(_whole(table.column(number)), one, options) for number, one in enumerate(schema)]
    return [{"f": [{"v": value} for value in row]} for row in zip(*columns, strict=True)]


def _whole(column: Any) -> Any:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _column(array: Any, field: Field, options: Mapping[str, Any]) -> list[Any]:
    if field.get("mode") == "REPEATED":
        flat = _column(array.flatten(), {**field, "mode": "NULLABLE"}, options)
        ends = list(accumulate(size or 0 for size in pc.list_value_length(array).to_pylist()))
        pairs = zip([0, *ends], ends, strict=False)
        return [[{"v": value} for value in flat[start:end]] for start, end in pairs]
    if field["type"] == "RECORD":
        inner = [_column(a, f, options) for a, f in zip(array.flatten(), field["fields"], strict=True)]
        records = ({"f": [{"v": value} for value in row]} for row in zip(*inner, strict=True))
        valid = array.is_valid().to_pylist()
        return [record if there else None for record, there in zip(records, valid, strict=True)]
    if field["type"] == "TIMESTAMP":
        return _timestamps(array, options)
    return _scalars(array, str(field["type"]))


def _scalars(array: Any, kind: str) -> list[Any]:
    if kind in ("INTEGER", "BOOLEAN", "DATE"):
        array = array.cast(pa.string())
    own = SCALARS.get(kind)
    values: list[Any] = array.to_pylist()
    return [None if value is None else own(value) for value in values] if own else values


def _timestamps(array: Any, options: Mapping[str, Any]) -> list[Any]:
    micros: list[Any] = array.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    if str(options.get("useInt64Timestamp", "")).lower() == "true":
        return [None if value is None else str(value) for value in micros]
    if options.get("timestampOutputFormat") == "ISO8601_STRING":
        return [None if value is None else _iso(value) for value in micros]
    return [None if value is None else f"{value / 1e6:.6f}" for value in micros]


def _iso(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


SCALARS: dict[str, Callable[[Any], str]] = {
    "FLOAT": float_text,
    "BYTES": lambda value: base64.b64encode(value).decode(),
    "DATETIME": lambda value: str(value.isoformat()),
    "TIME": lambda value: str(value.isoformat()),
    "NUMERIC": lambda value: f"{value.normalize():f}",
    "BIGNUMERIC": lambda value: f"{value.normalize():f}",
}
