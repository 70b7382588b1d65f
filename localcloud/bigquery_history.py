"""Time travel: a table's rows as they were before each change, for as long as BigQuery keeps them."""
# ruff: noqa: S608 (names are quoted)

import time
from typing import Any

import duckdb

from localcloud.bigquery_types import quoted

KEPT = 7 * 24 * 3600 * 1000  # milliseconds
SCHEMA = "bigquery._history"

Version = dict[str, Any]


def before_append(record: dict[str, Any]) -> list[Version]:
    """The versions once rows are added: the present one is the table's first rows."""
    return [*_versions(record), {"at": record["modified"], "rows": record["rows"], "copy": None}]


def before_change(cursor: duckdb.DuckDBPyConnection, sql: str, record: dict[str, Any]) -> list[Version]:
    """The versions once anything else is done to the table, named `sql`: its rows are copied first."""
    copy = f"{SCHEMA}.{quoted(sql + '@' + str(record['modified']))}"
    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    cursor.execute(f"CREATE OR REPLACE TABLE {copy} AS SELECT * FROM {sql} ORDER BY rowid")
    versions = [one | {"copy": one["copy"] or copy} for one in before_append(record)]
    kept = [one for one in versions if one["at"] >= _now() - KEPT]
    _drop(cursor, {one["copy"] for one in versions} - {one["copy"] for one in kept})
    return kept


def forget(cursor: duckdb.DuckDBPyConnection, record: dict[str, Any]) -> None:
    """Remove what is kept of a table that goes."""
    _drop(cursor, {one["copy"] for one in _versions(record)} - {None})


def rows_at(sql: str, record: dict[str, Any], moment: int) -> str | None:
    """A query for the rows of the table `sql` at a moment (milliseconds); None for today's rows.

    Raises LookupError(the first moment known) where the table was not there yet, or it is forgotten.
    """
    if moment >= record["modified"]:
        return None
    found = [one for one in _versions(record) if one["at"] <= moment]
    if not found:
        raise LookupError(min([record["modified"], *(one["at"] for one in _versions(record))]))
    return f"SELECT * FROM {found[-1]['copy'] or sql} ORDER BY rowid LIMIT {found[-1]['rows']}"


def _drop(cursor: duckdb.DuckDBPyConnection, copies: set[str]) -> None:
    for copy in copies:
        cursor.execute(f"DROP TABLE IF EXISTS {copy}")


def _versions(record: dict[str, Any]) -> list[Version]:
    return list(record.get("versions", []))


def _now() -> int:
    return time.time_ns() // 1_000_000
