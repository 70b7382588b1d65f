"""tabledata.insertAll: rows as JSON, all of them or none."""
# ruff: noqa: S608 (names and texts are quoted)

import json
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from localcloud import bigquery_types as types
from localcloud.bigquery_catalog import Catalog, TableRef
from localcloud.bigquery_types import Field, quoted, text


def insert_all(catalog: Catalog, ref: TableRef, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Add the rows; the errors, by row, if there is one (then nothing is added)."""
    schema = catalog.table(ref)["fields"]
    known = {one["name"] for one in schema}
    required = {one["name"] for one in schema if one.get("mode") == "REQUIRED"}
    rows = [row["json"] for row in body.get("rows", [])]
    ignore = body.get("ignoreUnknownValues", False)
    errors = [
        _error(number, words)
        for number, row in enumerate(rows)
        for words in _wrong(row, set() if ignore else set(row) - known, required)
    ]
    return errors or _insert(catalog, ref, rows)


def _read(value: Any, fields: list[Field]) -> Any:
    """A row or record whose JSON columns hold the values that their texts stand for."""
    kinds = {one["name"]: one for one in fields}
    return {name: _value(one, kinds.get(name, {})) for name, one in value.items()}


def _value(value: Any, field: Field) -> Any:
    if isinstance(value, list) and field.get("mode") == "REPEATED":
        return [_value(one, field | {"mode": "NULLABLE"}) for one in value]
    if isinstance(value, dict) and field.get("fields"):
        return _read(value, field["fields"])
    if isinstance(value, str) and field.get("type") == "JSON":
        return json.loads(value)
    return value


def _wrong(row: dict[str, Any], unknown: set[str], required: set[str]) -> list[str]:
    missing = sorted(name for name in required if row.get(name) is None)
    return [f"no such field: {name}." for name in sorted(unknown)] + [
        f"Missing required field: {n}." for n in missing
    ]


def _error(number: int, words: str) -> dict[str, Any]:
    location = words.rstrip(".").rpartition(" ")[2]
    return {"index": number, "errors": [{"reason": "invalid", "location": location, "message": words}]}


def _insert(catalog: Catalog, ref: TableRef, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    schema = catalog.table(ref)["fields"]
    columns = ", ".join(f"{text(one['name'])}: {text(types.duckdb_type(one))}" for one in schema)
    names = ", ".join(quoted(one["name"]) for one in schema)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows"
        file.write_text("\n".join(json.dumps(_read(row, schema)) for row in rows))
        source = f"read_json({text(str(file))}, format = 'newline_delimited', columns = {{{columns}}})"
        try:
            with catalog.change() as cursor:
                versions = catalog.versions(cursor, ref, append=True)
                cursor.execute(f"INSERT INTO {ref.sql} ({names}) SELECT {names} FROM {source}")
                catalog.touch(cursor, ref, versions)
        except duckdb.Error as error:
            return [_error(number, str(error).splitlines()[0]) for number in range(len(rows))]
    return []
