"""Runs BigQuery's statements on DuckDB."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import duckdb
from sqlglot import exp

from localcloud import bigquery_export, bigquery_history, bigquery_sql
from localcloud import bigquery_types as types
from localcloud.bigquery_catalog import Catalog, TableRef
from localcloud.bigquery_sql import SUFFIX, invalid
from localcloud.bigquery_types import Field
from localcloud.errors import ApiError
from localcloud.storage import Storage

Cursor = duckdb.DuckDBPyConnection
Names = dict[type[exp.Expr], str]


@dataclass
class Outcome:
    """What a query has given: rows in memory, or none, and its part of the job's statistics."""

    statistics: dict[str, Any] = field(default_factory=dict)
    schema: list[Field] | None = None
    table: Any = None
    bytes: int = 0


@dataclass
class Query:
    """One query job: its text, its configuration, and what it has touched so far."""

    sql: str
    configuration: dict[str, Any]
    job: str
    location: str
    seen: dict[str, TableRef] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters as DuckDB expressions; positional ones by number."""
        given = self.configuration.get("queryParameters") or []
        return {
            one.get("name") or f"positional_{number}": types.literal(
                one["parameterType"], one["parameterValue"]
            )
            for number, one in enumerate(given)
        }


class Runner:
    """Runs queries; a defect in one is an ApiError in BigQuery's words."""

    def __init__(self, catalog: Catalog, storage: Storage) -> None:
        self._catalog, self._storage = catalog, storage
        self._kinds: list[tuple[type[exp.Expr], Callable[..., Outcome]]] = [
            (exp.Export, self._export),
            (exp.Query, self._select),
            (exp.Create, self._create),
            (exp.Drop, self._drop),
            (exp.Expr, self._change),
        ]

    def run(self, query: Query) -> Outcome:
        """Run all statements; the last one's outcome. Raises ApiError."""
        try:
            statements = self._catalog.grants.checked(bigquery_sql.parse(query.sql))
            outcomes = [self._run(query, statement) for statement in statements]
        except duckdb.Error as error:
            raise bigquery_sql.explain(error, query.sql) from None
        last = outcomes[-1]
        last.bytes = sum(one.bytes for one in outcomes)
        if len(statements) > 1:
            last.statistics["statementType"] = "SCRIPT"
        return last

    def dry_run(self, query: Query) -> Outcome:
        """What the first statement would read and give."""
        statement = self._catalog.grants.checked(bigquery_sql.parse(query.sql))[0]
        inner = statement.this if isinstance(statement, exp.Export) else statement
        outcome = Outcome(self._statistics(statement))
        try:
            if isinstance(inner, exp.Query):
                with self._catalog.cursor() as cursor:
                    outcome.schema = types.fields(cursor.sql(self._translate(query, inner)))
            else:
                self._translate(query, inner)
        except duckdb.Error as error:
            raise bigquery_sql.explain(error, query.sql) from None
        return self._finished(query, statement, outcome)

    def _run(self, query: Query, statement: exp.Expr) -> Outcome:
        run = next(run for kind, run in self._kinds if isinstance(statement, kind))
        return self._finished(query, statement, run(query, statement))

    # -------------------------------------------------------------- kinds of statements

    def _select(self, query: Query, statement: exp.Query) -> Outcome:
        outcome = Outcome(self._statistics(statement))
        with self._catalog.cursor() as cursor:
            outcome.schema, sql = self._typed(cursor, self._translate(query, statement))
            if "destinationTable" in query.configuration:
                self.materialize(sql, query.configuration)
            else:
                outcome.table = cursor.sql(sql).to_arrow_table()
        return outcome

    def _export(self, query: Query, statement: exp.Export) -> Outcome:
        to = bigquery_export.options(statement)
        bigquery_export.check(to, self._storage)
        with self._catalog.cursor() as cursor:
            schema, sql = self._typed(cursor, self._translate(query, statement.this))
            table = cursor.sql(sql).to_arrow_table()
        files, rows = bigquery_export.write(table, schema, to, self._storage, query.job)
        counts = {"exportDataStatistics": {"fileCount": str(files), "rowCount": str(rows)}}
        return Outcome(self._statistics(statement) | counts)

    def _create(self, query: Query, statement: exp.Create) -> Outcome:
        target = statement.this.find(exp.Table)
        if statement.kind == "SCHEMA":
            return self._create_schema(query, statement, target)
        ref, replace = self._ref(query, target), bool(statement.args.get("replace"))
        outcome = Outcome(self._statistics(statement, ref))
        if self._catalog.find(ref) and not replace:
            if statement.args.get("exists"):
                outcome.statistics["ddlOperationPerformed"] = "SKIP"
                return outcome
            words = f"Already Exists: Table {self._catalog.project}:{ref.key}"
            raise ApiError("ALREADY_EXISTS", words, reason="duplicate")
        with self._catalog.change() as cursor:
            versions = self._catalog.versions(cursor, ref)
            cursor.execute(self._creation(query, statement, ref, cursor))
            self._catalog.touch(cursor, ref, {"type": statement.kind, **versions})
        outcome.statistics["ddlOperationPerformed"] = "REPLACE" if replace else "CREATE"
        return outcome

    def _creation(self, query: Query, statement: exp.Create, ref: TableRef, cursor: Cursor) -> str:
        if statement.expression is None or isinstance(statement.this, exp.Schema):
            return self._translate(query, statement)
        _, sql = self._typed(cursor, self._translate(query, statement.expression))
        return f"CREATE OR REPLACE {statement.kind} {ref.sql} AS {sql}"

    def _create_schema(self, query: Query, statement: exp.Create, target: exp.Table) -> Outcome:
        name = target.db or target.name
        known = any(one["datasetReference"]["datasetId"] == name for one in self._catalog.datasets())
        if not (known and statement.args.get("exists")):
            reference = {"projectId": self._catalog.project, "datasetId": name}
            wanted: dict[str, Any] = {"datasetReference": reference, "location": query.location}
            self._catalog.create_dataset(name, wanted)
        return Outcome(self._statistics(statement) | {"ddlOperationPerformed": "CREATE"})

    def _drop(self, query: Query, statement: exp.Drop) -> Outcome:
        target = statement.find(exp.Table)
        if target is None or statement.kind not in ("TABLE", "VIEW"):
            raise invalid(f"the local BigQuery does not serve DROP {statement.kind}")
        ref = self._ref(query, target)
        if self._catalog.find(ref) or not statement.args.get("exists"):
            self._catalog.delete_table(ref)
        return Outcome(self._statistics(statement, ref) | {"ddlOperationPerformed": "DROP"})

    def _change(self, query: Query, statement: exp.Expr) -> Outcome:
        """INSERT, UPDATE, DELETE, MERGE, TRUNCATE, ALTER."""
        if isinstance(statement, exp.Update | exp.Delete) and not statement.args.get("where"):
            raise invalid(f"{statement.key.upper()} must have a WHERE clause at [1:1]")
        target = statement.find(exp.Table)
        assert target is not None
        ref = self._ref(query, target)
        with self._catalog.change() as cursor:
            self._catalog.table(ref)
            versions = self._catalog.versions(cursor, ref, isinstance(statement, exp.Insert))
            found = cursor.execute(self._translate(query, statement)).fetchone()
            self._catalog.touch(cursor, ref, versions)
        count = str(found[0]) if found else "0"
        counted: dict[str, Any] = (
            {} if isinstance(statement, exp.Alter) else {"numDmlAffectedRows": count}
        )
        keys: Names = {exp.Insert: "inserted", exp.Update: "updated", exp.Delete: "deleted"}
        if type(statement) in keys:
            counted |= {"dmlStats": {f"{keys[type(statement)]}RowCount": count}}
        return Outcome(self._statistics(statement, ref) | counted)

    def materialize(self, sql: str, configuration: dict[str, Any]) -> int:
        """Write a SELECT's rows to the configuration's destinationTable; how many they were."""
        ref = TableRef.of(configuration["destinationTable"])
        how = configuration.get("writeDisposition") or "WRITE_EMPTY"
        with self._catalog.change() as cursor:
            self._catalog.dataset(ref.dataset)
            before = self._catalog.find(ref)
            if before is None and configuration.get("createDisposition") == "CREATE_NEVER":
                self._catalog.table(ref)
            if before and how == "WRITE_EMPTY" and before["rows"]:
                words = f"Already Exists: Table {self._catalog.project}:{ref.key}"
                raise ApiError("ALREADY_EXISTS", words, reason="duplicate")
            append = before is not None and how == "WRITE_APPEND"
            verb = (
                f"INSERT INTO {ref.sql} BY NAME" if append else f"CREATE OR REPLACE TABLE {ref.sql} AS"
            )
            versions = self._catalog.versions(cursor, ref, append)
            found = cursor.execute(f"{verb} {sql}").fetchone()
            declared = (configuration.get("schema") or {}).get("fields")
            self._catalog.touch(cursor, ref, versions | ({"fields": declared} if declared else {}))
        return int(found[0]) if found else 0

    # -------------------------------------------------------------- names, types, numbers

    def _typed(self, cursor: Cursor, sql: str) -> tuple[list[Field], str]:
        relation = cursor.sql(sql)
        schema = types.fields(relation)
        return schema, types.conformed(sql, relation, schema)

    def _translate(self, query: Query, statement: exp.Expr) -> str:
        target = statement.this.find(exp.Table) if isinstance(statement, exp.Create) else None

        def resolve(table: exp.Table) -> exp.Expr:
            is_target = target is not None and table.sql() == target.sql()
            return self._resolve(query, table, must_exist=not is_target)

        return bigquery_sql.translate(statement, resolve, query.parameters)

    def _resolve(self, query: Query, table: exp.Table, must_exist: bool) -> exp.Expr:
        ref = self._ref(query, table)
        if must_exist:
            self._catalog.grants.check_query(ref.dataset, ref.table)
        if ref.table.endswith("*"):
            return self._wildcard(query, table, ref)
        if must_exist:
            self._catalog.table(ref, query.location)
            query.seen[ref.key] = ref
            if earlier := self._travel(query, table, ref):
                return bigquery_sql.subquery(earlier, table.alias or ref.table)
        else:
            self._catalog.dataset(ref.dataset, query.location)
        place = exp.to_table(ref.sql, dialect="duckdb")
        place.set("alias", table.args.get("alias"))
        return place

    def _ref(self, query: Query, table: exp.Table) -> TableRef:
        project, default = table.catalog, query.configuration.get("defaultDataset") or {}
        dataset = table.db or default.get("datasetId", "")
        if not dataset:
            words = f'Table "{table.name}" must be qualified with a dataset (e.g. dataset.table).'
            raise invalid(words, "invalid")
        if project not in ("", self._catalog.project):
            name = f"Table {project}:{dataset}.{table.name}"
            words = f"Access Denied: {name}: no permission to query it, or perhaps it does not exist."
            raise ApiError("PERMISSION_DENIED", words, reason="accessDenied")
        if "INFORMATION_SCHEMA" in table.name.upper():
            raise invalid(f"the local BigQuery does not serve {dataset}.{table.name}")
        return TableRef(dataset, table.name)

    def _wildcard(self, query: Query, table: exp.Table, ref: TableRef) -> exp.Expr:
        prefix = ref.table.removesuffix("*")
        self._catalog.dataset(ref.dataset, query.location)
        found = self._catalog.tables(ref.dataset, prefix)
        if not found:
            words = f"Not found: {self._catalog.project}:{ref.key} does not match any table."
            raise ApiError("NOT_FOUND", words, reason="notFound")
        query.seen |= {one.key: one for one in found}
        bigquery_sql.hide_suffix(table.find_ancestor(exp.Select))
        return bigquery_sql.union(
            [(one.sql, one.table.removeprefix(prefix)) for one in found], table.alias
        )

    def _travel(self, query: Query, table: exp.Table, ref: TableRef) -> str | None:
        """FOR SYSTEM_TIME AS OF: a query for the rows of that time; None for today's rows."""
        version = table.args.get("version")
        if version is None:
            return None
        wanted = bigquery_sql.expression(version.expression, query.parameters)
        with self._catalog.cursor() as cursor:
            row = cursor.execute(f"SELECT epoch_ms(CAST({wanted} AS TIMESTAMPTZ))").fetchone()
        at, name = int(row[0]) if row else 0, f"{self._catalog.project}:{ref.key}"
        if at > time.time() * 1000 + 1000:
            raise invalid(f"Invalid snapshot time {at} for table {name}: it is in the future.")
        try:
            return bigquery_history.rows_at(ref.sql, self._catalog.table(ref), at)
        except LookupError as error:
            words = f"Invalid time travel timestamp {at} for table {name}@{at}."
            raise invalid(f"{words} Cannot read before {error}.") from None

    def _statistics(self, statement: exp.Expr, ref: TableRef | None = None) -> dict[str, Any]:
        kind = bigquery_sql.statement_type(statement)
        target = self._catalog.reference(ref) if ref and "_" in kind else None
        return {"statementType": kind} | ({"ddlTargetTable": target} if target else {})

    def _finished(self, query: Query, statement: exp.Expr, outcome: Outcome) -> Outcome:
        """Add what the statement read: the columns that it names, in all their rows."""
        names = {one.name for one in statement.find_all(exp.Column)} | {SUFFIX}
        every = any(not isinstance(one.parent, exp.Count) for one in statement.find_all(exp.Star))
        tables = [self._catalog.find(ref) or {"bytes": {}} for ref in query.seen.values()]
        sizes = [size for one in tables for name, size in one["bytes"].items() if every or name in names]
        outcome.bytes = sum(sizes)
        outcome.statistics["referencedTables"] = [
            self._catalog.reference(ref) for ref in query.seen.values()
        ]
        return outcome
