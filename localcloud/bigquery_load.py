"""Load jobs: files in Cloud Storage, or sent along, into a table."""
# ruff: noqa: S608 (names and texts are quoted)

import fnmatch
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from localcloud import bigquery_types as types
from localcloud.bigquery_catalog import Catalog, TableRef
from localcloud.bigquery_grants import CALLER
from localcloud.bigquery_query import Runner
from localcloud.bigquery_types import Field, text
from localcloud.errors import ApiError
from localcloud.storage import Storage

GZIP = b"\x1f\x8b"

Configuration = dict[str, Any]


class Loader:
    """Runs load jobs."""

    def __init__(self, catalog: Catalog, storage: Storage, runner: Runner) -> None:
        self._catalog, self._storage, self._runner = catalog, storage, runner

    def run(self, configuration: Configuration, data: bytes | None = None) -> dict[str, Any]:
        """Load what `data` or the sourceUris hold; the job's load statistics. Raises ApiError."""
        with self._files(configuration, data) as files:
            size = sum(file.stat().st_size for file in files)
            try:
                rows = self._load(files, configuration)
            except duckdb.Error as error:
                words = f"Error while reading data, error message: {str(error).splitlines()[0]}"
                raise ApiError("INVALID_ARGUMENT", words, reason="invalid") from None
        counts = {
            "inputFiles": len(files),
            "inputFileBytes": size,
            "outputRows": rows,
            "outputBytes": size,
        }
        return {key: str(value) for key, value in counts.items()} | {"badRecords": "0"}

    @contextmanager
    def _files(self, configuration: Configuration, data: bytes | None) -> Iterator[list[Path]]:
        if data is None:
            yield [path for uri in configuration.get("sourceUris", []) for path in self._found(uri)]
            return
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "data"
            file.write_bytes(data)
            yield [file]

    def _found(self, uri: str) -> list[Path]:
        """The files of one sourceUri. Raises notFound where there is none."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        self._storage.check(CALLER.get(), "storage.objects.get", bucket, name)
        try:
            names = self._storage.names(bucket, name.partition("*")[0])
        except ApiError:
            names = []
        # In a source URI only `*` is special.
        pattern = name.replace("[", "[[]").replace("?", "[?]")
        found = [one for one in names if fnmatch.fnmatchcase(one, pattern)]
        if not found:
            raise ApiError("NOT_FOUND", f"Not found: URI {uri}", reason="notFound")
        return [self._storage.path(bucket, one) for one in found]

    def _load(self, files: list[Path], configuration: Configuration) -> int:
        wanted = self._schema(configuration, TableRef.of(configuration["destinationTable"]))
        source = _source(files, configuration, wanted)
        with self._catalog.cursor() as cursor:
            relation = cursor.sql(source)
            schema = _matched(relation, wanted) if wanted else _detected(relation, configuration)
            sql = types.conformed(source, relation, schema)
            _check_required(cursor, sql, schema, wanted)
        settings = {"writeDisposition": "WRITE_APPEND"} | configuration
        return self._runner.materialize(
            sql, settings | ({} if wanted else {"schema": {"fields": schema}})
        )

    def _schema(self, configuration: Configuration, ref: TableRef) -> list[Field]:
        """The schema that is given, or that of the table that is added to."""
        given: list[Field] = (configuration.get("schema") or {}).get("fields") or []
        before = self._catalog.find(ref)
        adds = configuration.get("writeDisposition") != "WRITE_TRUNCATE"
        return given or (list(before["fields"]) if before and adds else [])


def _matched(relation: duckdb.DuckDBPyRelation, wanted: list[Field]) -> list[Field]:
    """The wanted fields that the data has, in the data's own spelling. Raises where it has others."""
    known = {one["name"].lower(): one for one in wanted}
    for name in relation.columns:
        if name.lower() not in known:
            words = f"Provided Schema does not match the data: no such field: {name}."
            raise ApiError("INVALID_ARGUMENT", words, reason="invalid")
    return [known[name.lower()] for name in relation.columns]


def _check_required(
    cursor: duckdb.DuckDBPyConnection, sql: str, schema: list[Field], wanted: list[Field]
) -> None:
    """Raises where a required column is not there, or has a row without a value."""
    names = [one["name"] for one in wanted if one.get("mode") == "REQUIRED"]
    there = {one["name"]: one for one in schema}
    counts = [f"count(*) - count({types.quoted(name)})" for name in names if name in there]
    found = cursor.execute(f"SELECT {', '.join(counts)} FROM ({sql})").fetchone() if counts else ()
    empty = [
        name for name, count in zip([n for n in names if n in there], found or (), strict=True) if count
    ]
    for name in [*(one for one in names if one not in there), *empty]:
        words = f"Error while reading data, error message: Required field {name} cannot be null"
        raise ApiError("INVALID_ARGUMENT", words, reason="invalid")


def _detected(relation: duckdb.DuckDBPyRelation, configuration: Configuration) -> list[Field]:
    """The data's own schema; text knows only one kind of time."""
    found = types.fields(relation)
    if configuration.get("sourceFormat") == "PARQUET":
        pairs = zip(found, map(str, relation.types), strict=True)
        return [one | {"type": "BIGNUMERIC"} if _is_fine(kind) else one for one, kind in pairs]
    return [one | {"type": "TIMESTAMP"} if one["type"] == "DATETIME" else one for one in found]


def _is_fine(kind: str) -> bool:
    """Whether a column of DuckDB's type has more decimal places than NUMERIC's nine."""
    found = re.fullmatch(r"DECIMAL\(\d+,\s*(\d+)\)", kind)
    return found is not None and int(found[1]) > 9


def _source(files: list[Path], configuration: Configuration, wanted: list[Field]) -> str:
    """A query that reads the files."""
    names = f"[{', '.join(text(str(file)) for file in files)}]"
    kind = configuration.get("sourceFormat") or "CSV"
    if kind == "PARQUET":
        return f"SELECT * FROM read_parquet({names}, union_by_name = true)"
    if not wanted and not configuration.get("autodetect"):
        raise ApiError("INVALID_ARGUMENT", "No schema specified on job or table.", reason="invalid")
    with files[0].open("rb") as file:
        packed = "gzip" if file.read(2) == GZIP else "none"
    if kind == "NEWLINE_DELIMITED_JSON":
        return f"SELECT * FROM read_json({names}, compression = '{packed}', {_json(wanted)})"
    if kind == "CSV":
        return (
            f"SELECT * FROM read_csv({names}, compression = '{packed}', {_csv(configuration, wanted)})"
        )
    raise ApiError("INVALID_ARGUMENT", f"the local BigQuery does not load {kind}", reason="invalid")


def _json(wanted: list[Field]) -> str:
    columns = (f"{text(one['name'])}: {text(types.duckdb_type(one))}" for one in wanted)
    given = f", columns = {{{', '.join(columns)}}}" if wanted else ""
    return f"format = 'newline_delimited'{given}"


def _csv(configuration: Configuration, wanted: list[Field]) -> str:
    """With a schema, columns go by place; without, the last skipped line may name them."""
    skipped = int(configuration.get("skipLeadingRows") or 0)
    options = [
        f"delim = {text(configuration.get('fieldDelimiter') or ',')}",
        f"quote = {text(configuration.get('quote', chr(34)))}",
        f"nullstr = {text(configuration.get('nullMarker') or '')}",
        f"null_padding = {bool(configuration.get('allowJaggedRows'))}",
    ]
    if wanted:
        names = ", ".join(text(one["name"]) for one in wanted)
        options += [f"skip = {skipped}", "header = false", "all_varchar = true", f"names = [{names}]"]
    elif skipped:
        options += [f"skip = {skipped - 1}", "header = true"]
    return ", ".join(options)
