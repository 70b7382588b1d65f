"""EXPORT DATA: several files, no order, one of them empty, as the real service may write them."""
# ruff: noqa: S608 (names and texts are quoted)

import hashlib
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from localcloud import bigquery_types as types
from localcloud.bigquery_grants import CALLER
from localcloud.bigquery_sql import invalid
from localcloud.bigquery_types import Field, quoted
from localcloud.storage import Storage

ROWS = 500_000  # rows a file, at most
LEAST = 3  # files, one of them empty
CODECS = {"": "none", "NONE": "none", "SNAPPY": "snappy", "GZIP": "gzip", "ZSTD": "zstd"}


class Options(NamedTuple):
    """The OPTIONS of an EXPORT DATA statement."""

    bucket: str
    before: str
    after: str
    format: str
    compression: str
    overwrite: bool
    header: bool
    delimiter: str


def options(statement: exp.Export) -> Options:
    """A statement's options. Raises where one is wrong or unknown."""
    given = dict(_option(one) for one in statement.args["options"].expressions)
    uri = str(given.pop("uri", ""))
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or uri.count("*") != 1 or "*" not in name:
        words = "Option 'uri' value must be a wild card URI with exactly one '*'."
        raise invalid(f"Invalid destination URI '{uri}': {words}")
    before, _, after = name.partition("*")
    made = Options(
        bucket,
        before,
        after,
        format=str(given.pop("format", "")).upper(),
        compression=str(given.pop("compression", "")).upper(),
        overwrite=bool(given.pop("overwrite", False)),
        header=bool(given.pop("header", False)),
        delimiter=str(given.pop("field_delimiter", ",")),
    )
    if given:
        raise invalid(f"Unknown option: {', '.join(given)}")
    if made.format not in ("PARQUET", "CSV", "JSON") or made.compression not in CODECS:
        raise invalid(f"the local BigQuery does not export {made.format} {made.compression}".rstrip())
    return made


def _option(node: Any) -> tuple[str, Any]:
    value = node.this if isinstance(node, exp.FileFormatProperty) else node.args["value"]
    name = "format" if isinstance(node, exp.FileFormatProperty) else node.name.lower()
    return name, value.this


def write(table: Any, schema: list[Field], to: Options, storage: Storage, job: str) -> tuple[int, int]:
    """Write the rows of a query's result; the numbers of files and rows."""
    parts = shards(table, job)
    encode = _as_parquet if to.format == "PARQUET" else _as_text
    for number, data in enumerate(encode(parts, schema, to)):
        storage.write(to.bucket, f"{to.before}{number:012d}{to.after}", data, "application/octet-stream")
    return len(parts), table.num_rows


def check(to: Options, storage: Storage) -> None:
    """Raises where the destination is not empty and may not be overwritten, or not be written at all."""
    storage.check(CALLER.get(), "storage.objects.create", to.bucket, to.before)
    if to.overwrite:
        storage.check(CALLER.get(), "storage.objects.delete", to.bucket, to.before)
    if storage.names(to.bucket, to.before) and not to.overwrite:
        place = f"gs://{to.bucket}/{to.before}"
        raise invalid(
            f"Invalid value: Destination {place} is not empty. Use overwrite=true to replace.", "invalid"
        )


def shards(table: Any, job: str) -> list[Any]:
    """The rows in another order, cut into files; the order depends on the job alone."""
    seed = int.from_bytes(hashlib.sha256(job.encode()).digest()[:8], "big")
    random = np.random.default_rng(seed)
    shuffled = table.combine_chunks().take(pa.array(random.permutation(table.num_rows)))
    count = max(LEAST - 1, -(-table.num_rows // ROWS))
    edges = np.linspace(0, table.num_rows, count + 1).astype(int).tolist()
    parts = [shuffled.slice(a, b - a) for a, b in pairwise(edges)]
    parts.insert(int(random.integers(count + 1)), shuffled.slice(0, 0))
    return parts


def _as_parquet(parts: list[Any], _: list[Field], to: Options) -> Iterator[bytes]:
    for part in parts:
        sink = pa.BufferOutputStream()
        pq.write_table(part, sink, compression=CODECS[to.compression])
        yield bytes(sink.getvalue())


def _as_text(parts: list[Any], schema: list[Field], to: Options) -> Iterator[bytes]:
    """CSV or JSON lines, written by DuckDB, with the values spelt as BigQuery spells them."""
    columns = ", ".join(_spelt(one, to.format) for one in schema)
    how = f"FORMAT {to.format}, COMPRESSION {CODECS[to.compression]}"
    if to.format == "CSV":
        how += f", HEADER {to.header}, DELIMITER {types.text(to.delimiter)}"
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as local:
        file = Path(folder) / "part"
        local.execute("SET TimeZone = 'UTC'")
        for part in parts:
            local.register("part", part)
            local.execute(f"COPY (SELECT {columns} FROM part) TO {types.text(str(file))} ({how})")
            yield file.read_bytes()


def _spelt(field: Field, kind: str) -> str:
    name = quoted(field["name"])
    if field.get("mode") == "REPEATED" or field["type"] == "RECORD":
        if kind == "CSV":
            raise invalid(
                f"Operation cannot be performed on a nested schema. Field: {field['name']}", "invalid"
            )
        return name
    if field["type"] == "TIMESTAMP":
        plain = f"rtrim(rtrim(strftime({name}, '%Y-%m-%d %H:%M:%S.%f'), '0'), '.')"
        return f"{plain} || ' UTC' AS {name}"
    if field["type"] == "BYTES":
        return f"to_base64({name}) AS {name}"
    if kind == "JSON" and field["type"] in ("INTEGER", "NUMERIC"):
        return f"CAST({name} AS VARCHAR) AS {name}"
    return name
