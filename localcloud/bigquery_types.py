"""BigQuery's types as DuckDB has them, and back."""
# ruff: noqa: S608 (names and texts are quoted)

import base64
import math
from typing import Any

import duckdb

from localcloud.errors import ApiError

Field = dict[str, Any]

# Type names of schemas and parameters (both vocabularies) → DuckDB
TO_DUCKDB = {
    **dict.fromkeys(("INTEGER", "INT64"), "BIGINT"),
    **dict.fromkeys(("FLOAT", "FLOAT64"), "DOUBLE"),
    **dict.fromkeys(("BOOLEAN", "BOOL"), "BOOLEAN"),
    **{"NUMERIC": "DECIMAL(38,9)", "BIGNUMERIC": "DECIMAL(38,18)"},
    **{"STRING": "VARCHAR", "BYTES": "BLOB", "JSON": "JSON", "DATE": "DATE", "TIME": "TIME"},
    "GEOGRAPHY": "VARCHAR",  # as text only: no function of it is served
    **{"DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMP WITH TIME ZONE"},
}
INTEGERS = (
    "tinyint",
    "smallint",
    "integer",
    "bigint",
    "hugeint",
    "utinyint",
    "usmallint",
    "uinteger",
    "ubigint",
)
TIME = "TIMESTAMP"
# DuckDB type ids → BigQuery
TO_BIGQUERY = {
    **dict.fromkeys((*INTEGERS, '"null"', "sqlnull", "null"), "INTEGER"),
    **dict.fromkeys(("float", "double"), "FLOAT"),
    **dict.fromkeys(("varchar", "uuid", "enum"), "STRING"),
    **dict.fromkeys(("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"), "DATETIME"),
    **{"timestamp with time zone": "TIMESTAMP", "decimal": "NUMERIC", "boolean": "BOOLEAN"},
    **{"blob": "BYTES", "date": "DATE", "time": "TIME"},
}


def quoted(name: str) -> str:
    """An identifier for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal for DuckDB."""
    return "'" + value.replace("'", "''") + "'"


def duckdb_type(field: Field) -> str:
    """The DuckDB type of a schema's field. Raises `invalid`."""
    kind = str(field["type"]).upper()
    if kind in ("RECORD", "STRUCT"):
        inner = (f"{quoted(one['name'])} {duckdb_type(one)}" for one in field.get("fields", []))
        base = f"STRUCT({', '.join(inner)})"
    elif kind in TO_DUCKDB:
        base = TO_DUCKDB[kind]
    else:
        raise ApiError("INVALID_ARGUMENT", f"Invalid field type: {kind}", reason="invalid")
    return f"{base}[]" if field.get("mode") == "REPEATED" else base


def field(name: str, kind: Any) -> Field:
    """The schema's field of a DuckDB column. Raises invalidQuery where BigQuery has no such type."""
    if kind.id in ("list", "array"):
        return field(name, kind.children[0][1]) | {"mode": "REPEATED"}
    if kind.id == "struct":
        fields = [field(*child) for child in kind.children]
        return {"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields}
    found = "JSON" if str(kind) == "JSON" else TO_BIGQUERY.get(str(kind.id).lower())
    if found is None:
        raise ApiError(
            "INVALID_ARGUMENT", f"Column {name} has type {kind}: not served here", reason="invalidQuery"
        )
    return {"name": name, "type": found, "mode": "NULLABLE"}


def fields(relation: duckdb.DuckDBPyRelation) -> list[Field]:
    """A query's schema, without running it."""
    return [field(name, kind) for name, kind in zip(relation.columns, relation.types, strict=True)]


def conformed(sql: str, relation: duckdb.DuckDBPyRelation, wanted: list[Field]) -> str:
    """The query `sql`, which `relation` has described, with exactly the types that `wanted` has."""
    types = [duckdb_type(one) for one in wanted]
    names = [one["name"] for one in wanted]
    if relation.columns == names and [str(kind) for kind in relation.types] == types:
        return sql
    pairs = zip(relation.columns, relation.types, types, names, strict=True)
    casts = (f"{_cast(quoted(old), str(kind), to)} AS {quoted(new)}" for old, kind, to, new in pairs)
    return f"SELECT {', '.join(casts)} FROM ({sql})"


def _cast(name: str, kind: str, to: str) -> str:
    if (kind, to) in ((TIME, f"{TIME} WITH TIME ZONE"), (f"{TIME}_NS", f"{TIME} WITH TIME ZONE")):
        # DuckDB's own cast asks a calendar for each row: twenty times slower.
        return f"make_timestamptz(epoch_us({name}))"
    return f"CAST({name} AS {to})"


def literal(kind: dict[str, Any], value: dict[str, Any]) -> str:
    """A query parameter as a DuckDB expression."""
    if kind["type"] == "ARRAY":
        inner = ", ".join(literal(kind["arrayType"], one) for one in value.get("arrayValues") or [])
        return f"CAST([{inner}] AS {_parameter_type(kind)})"
    if kind["type"] == "STRUCT":
        values = value.get("structValues") or {}
        parts = (
            f"{text(one['name'])}: {literal(one['type'], values[one['name']])}"
            for one in kind["structTypes"]
        )
        return f"{{{', '.join(parts)}}}"
    plain = value.get("value")
    if kind["type"] == "BYTES" and plain is not None:
        return f"from_base64({text(base64.b64encode(base64.b64decode(plain)).decode())})"
    return f"CAST({'NULL' if plain is None else text(str(plain))} AS {_parameter_type(kind)})"


def _parameter_type(kind: dict[str, Any]) -> str:
    if kind["type"] == "ARRAY":
        return _parameter_type(kind["arrayType"]) + "[]"
    if kind["type"] == "STRUCT":
        inner = (f"{quoted(one['name'])} {_parameter_type(one['type'])}" for one in kind["structTypes"])
        return f"STRUCT({', '.join(inner)})"
    return duckdb_type({"type": kind["type"]})


def float_text(value: float) -> str:
    """A FLOAT64 on the wire."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
