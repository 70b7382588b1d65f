"""BigQuery's catalog: datasets and tables as records, their rows in one DuckDB file."""
# ruff: noqa: S608 (names and texts are quoted)

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import duckdb

from localcloud import bigquery_history
from localcloud import bigquery_types as types
from localcloud.bigquery_fixes import MACROS
from localcloud.bigquery_grants import Grants
from localcloud.bigquery_types import Field, quoted
from localcloud.cloud import Cloud
from localcloud.errors import ApiError

FILE = "bigquery"  # also the catalog's name in DuckDB
WIDTHS = {
    "INTEGER": 8,
    "FLOAT": 8,
    "BOOLEAN": 1,
    "DATE": 8,
    "DATETIME": 8,
    "TIME": 8,
    "TIMESTAMP": 8,
    "NUMERIC": 16,
}

Record = dict[str, Any]


class TableRef(NamedTuple):
    """A table of the project."""

    dataset: str
    table: str

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{self.dataset}.{self.table}"

    @property
    def sql(self) -> str:
        """Its name in DuckDB."""
        return f"{FILE}.{quoted(self.dataset)}.{quoted(self.table)}"

    @classmethod
    def of(cls, reference: dict[str, str]) -> "TableRef":
        """From a tableReference."""
        return cls(reference["datasetId"], reference["tableId"])


class Catalog:
    """Records: kind "bq-dataset" by id, kind "bq-table" by "dataset.table"."""

    def __init__(self, cloud: Cloud) -> None:
        self.project, self._store = cloud.world.project, cloud.store
        self.grants = Grants(cloud)
        self._path = cloud.root / f"{FILE}.duckdb"
        self._lock, self._opening = threading.RLock(), threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one thread."""
        with self._opening:
            if self._connection is None:
                self._connection = duckdb.connect(self._path)
                self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
                # Otherwise a table's name may be taken for a Python variable here.
                self._connection.execute("SET GLOBAL python_enable_replacements = false")
                for macro in MACROS:
                    self._connection.execute(macro)
            return self._connection.cursor()

    def close(self) -> None:
        """Write everything out."""
        with self._opening:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def change(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One writer at a time, all or nothing."""
        with self._lock, self.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    # -------------------------------------------------------------- datasets

    def dataset(self, name: str, location: str = "") -> Record:
        """The dataset. Raises notFound, also where it is not in `location`."""
        found = self._store.get("bq-dataset", name)
        if found is None or location not in ("", found["location"]):
            where = f" was not found in location {location}" if location else ""
            raise ApiError(
                "NOT_FOUND", f"Not found: Dataset {self.project}:{name}{where}", reason="notFound"
            )
        return found

    def datasets(self) -> list[Record]:
        """All datasets, by name."""
        return [row for _, row in self._store.list("bq-dataset")]

    def create_dataset(self, name: str, wanted: Record) -> Record:
        """A new dataset. Raises duplicate."""
        with self.change() as cursor:
            if self._store.get("bq-dataset", name):
                words = f"Already Exists: Dataset {self.project}:{name}"
                raise ApiError("ALREADY_EXISTS", words, reason="duplicate")
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {FILE}.{quoted(name)}")
            now = str(_millis())
            record = {**wanted, "creationTime": now, "lastModifiedTime": now}
            record["location"] = wanted.get("location") or "US"
            self._store.put("bq-dataset", name, record)
        return record

    def change_dataset(self, name: str, changes: Record) -> Record:
        """Set the given fields; None removes one."""
        merged = {**self.dataset(name), **changes, "lastModifiedTime": str(_millis())}
        record = {key: value for key, value in merged.items() if value is not None}
        self._store.put("bq-dataset", name, record)
        return record

    def delete_dataset(self, name: str, contents: bool) -> None:
        """Remove a dataset. Raises resourceInUse where tables are in it, unless they go too."""
        with self.change() as cursor:
            self.dataset(name)
            if not contents and self.tables(name):
                words = f"Dataset {self.project}:{name} is still in use"
                raise ApiError("INVALID_ARGUMENT", words, reason="resourceInUse")
            for ref in self.tables(name):
                self._store.delete("bq-table", ref.key)
            cursor.execute(f"DROP SCHEMA IF EXISTS {FILE}.{quoted(name)} CASCADE")
            self._store.delete("bq-dataset", name)

    # -------------------------------------------------------------- tables

    def find(self, ref: TableRef) -> Record | None:
        """The table's record, or None."""
        return self._store.get("bq-table", ref.key)

    def table(self, ref: TableRef, location: str = "") -> Record:
        """The table's record. Raises notFound in BigQuery's words."""
        found = self.find(ref)
        where = self.dataset(ref.dataset, location)["location"]
        if found is None:
            words = f"Not found: Table {self.project}:{ref.key} was not found in location {where}"
            raise ApiError("NOT_FOUND", words, reason="notFound")
        return found

    def reference(self, ref: TableRef) -> dict[str, str]:
        """A tableReference."""
        return {"projectId": self.project, "datasetId": ref.dataset, "tableId": ref.table}

    def tables(self, dataset: str, prefix: str = "") -> list[TableRef]:
        """A dataset's tables, by name."""
        self.dataset(dataset)
        return [
            TableRef(*key.split(".", 1))
            for key, _ in self._store.list("bq-table", f"{dataset}.{prefix}")
        ]

    def create_table(self, ref: TableRef, schema: list[Field], wanted: Record) -> Record:
        """A new empty table. Raises duplicate."""
        with self.change() as cursor:
            self.dataset(ref.dataset)
            if self.find(ref):
                words = f"Already Exists: Table {self.project}:{ref.dataset}.{ref.table}"
                raise ApiError("ALREADY_EXISTS", words, reason="duplicate")
            # DuckDB has no table without columns.
            columns = schema or [{"name": "_", "type": "STRING"}]
            inner = ", ".join(f"{quoted(one['name'])} {types.duckdb_type(one)}" for one in columns)
            cursor.execute(f"CREATE TABLE {ref.sql} ({inner})")
            return self.touch(cursor, ref, wanted | {"fields": schema})

    def change_table(self, ref: TableRef, changes: Record) -> Record:
        """Set descriptions, labels and the like; a schema may only grow."""
        with self.change() as cursor:
            known = {one["name"] for one in self.table(ref)["fields"]}
            wanted = changes.pop("fields", None)
            for one in wanted or []:
                if one["name"] not in known:
                    column = f"{quoted(one['name'])} {types.duckdb_type(one)}"
                    cursor.execute(f"ALTER TABLE {ref.sql} ADD COLUMN {column}")
            changes |= self.versions(cursor, ref, append=True)
            return self.touch(cursor, ref, changes | ({"fields": wanted} if wanted else {}))

    def versions(self, cursor: duckdb.DuckDBPyConnection, ref: TableRef, append: bool = False) -> Record:
        """Before a change: what its record must know for time travel. `append`: no row is lost."""
        before = self.find(ref)
        if before is None or before["type"] != "TABLE":
            return {}
        if append:
            return {"versions": bigquery_history.before_append(before)}
        return {"versions": bigquery_history.before_change(cursor, ref.sql, before)}

    def delete_table(self, ref: TableRef) -> None:
        """Remove a table or view. Raises notFound."""
        with self.change() as cursor:
            record = self.table(ref)
            cursor.execute(f"DROP {record['type']} {ref.sql}")
            bigquery_history.forget(cursor, record)
            self._store.delete("bq-table", ref.key)

    def touch(
        self, cursor: duckdb.DuckDBPyConnection, ref: TableRef, changes: Record | None = None
    ) -> Record:
        """Bring the record up to what DuckDB has now, and move its last change on."""
        before, changes = self.find(ref) or {}, changes or {}
        relation = cursor.sql(f"SELECT * FROM {ref.sql}")
        known = {one["name"]: one for one in [*before.get("fields", []), *changes.get("fields", [])]}
        pairs = zip(types.fields(relation), map(str, relation.types), strict=True)
        fields = [_remembered(_fine(one, kind), known) for one, kind in pairs]
        if changes.get("fields") == []:
            fields = []
        modified = max(_millis(), before.get("modified", 0) + 1)
        own = {"created": before.get("created", modified), "modified": modified, "fields": fields}
        sizes = self._sizes(cursor, ref, fields)
        merged = {"type": "TABLE", **before, **changes, **own, **sizes}
        record = {key: value for key, value in merged.items() if value is not None}
        self._store.put("bq-table", ref.key, record)
        return record

    def forget(self, ref: TableRef) -> None:
        """Remove a record whose table DuckDB has dropped."""
        self._store.delete("bq-table", ref.key)

    @staticmethod
    def _sizes(cursor: duckdb.DuckDBPyConnection, ref: TableRef, fields: list[Field]) -> Record:
        """Rows, and bytes by column, as BigQuery would bill them."""
        sums = [_size(one) for one in fields]
        found = cursor.execute(f"SELECT {', '.join(['count(*)', *sums])} FROM {ref.sql}").fetchone() or (
            0,
        )
        names = [one["name"] for one in fields]
        return {
            "rows": found[0],
            "bytes": {n: int(s or 0) for n, s in zip(names, found[1:], strict=True)},
        }


def _size(field: Field) -> str:
    name, kind = quoted(field["name"]), field["type"]
    if field.get("mode") != "REPEATED" and kind in WIDTHS:
        return f"count({name}) * {WIDTHS[kind]}"
    return f"sum(strlen(CAST({name} AS VARCHAR)) + 2)"


def _fine(field: Field, kind: str) -> Field:
    """A table's column with this type was declared so: what a query gives is NUMERIC."""
    return field | {"type": "BIGNUMERIC"} if kind == types.TO_DUCKDB["BIGNUMERIC"] else field


def _remembered(field: Field, known: dict[str, Field]) -> Field:
    """What DuckDB does not keep of a field: its mode, description and the type's own name."""
    old = known.get(field["name"], {})
    same = types.duckdb_type({**field, **old}) == types.duckdb_type(field) if old else False
    return {**field, **old} if same else field


def _millis() -> int:
    return time.time_ns() // 1_000_000
