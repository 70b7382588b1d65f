"""From BigQuery to Parquet files in Cloud Storage, and from those files to one table in memory."""

import hashlib
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows import storage
from flows.arrays import Ids
from flows.contract import Facts, Window
from flows.errors import InputError, RetrainError

AT = "at"  # the column that says when a row was: if the query has it, its days are shown
TABLE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_*$ -]+){1,2}")
CALL = 60.0  # seconds that one call may take; the job itself may take any time
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two looks at a job
FOOTER = 256 << 10  # bytes a read: a footer of some columns fits
TIME_TRAVEL = timedelta(hours=47)  # every dataset remembers 48 hours at least
MILLISECOND = timedelta(milliseconds=1)


def export(query: str, table: str, window: Window, project: str, destination: str) -> Facts:
    """Export what `query` finds in `table` and `window` to Parquet files below `destination`, gs://.

    `${table}` in the query becomes the table's name, `${snapshot}` the moment to read a table at (FOR
    SYSTEM_TIME AS OF); @window_from and @window_until are timestamps.
    The files go to a folder that is new to this attempt, so that a retry never mixes with what an
    earlier one left. Facts: rows, columns (name → type), from, until, snapshot, query_sha256, files; and
    the first and the last day of the column `at`, where the query has it.
    Raises InputError where the query is wrong or finds nothing.
    """
    if not TABLE.fullmatch(table):
        raise InputError(
            f"'{table}' is not a table's name", "it looks like DATASET.TABLE or PROJECT.DATASET.TABLE"
        )
    attempt = uuid.uuid4().hex
    folder = f"{destination.rstrip('/')}/{attempt}"
    _run(_statement(query, table, as_of(window.snapshot), folder), window, project)
    files = storage.listing(folder)
    footers = _footers(files.values())
    rows = sum(one.num_rows for one in footers)
    if not rows:
        raise InputError(
            f"the query finds no rows in {table} from {moment(window.start)} until {moment(window.end)}",
            "set [data] days and until in flow.toml to a time in which the table has rows",
        )
    return {
        "rows": rows,
        "columns": {field.name: str(field.type) for field in footers[0].schema.to_arrow_schema()},
        **_span(footers),
        "from": moment(window.start),
        "until": moment(window.end),
        "snapshot": moment(window.snapshot),
        "query_sha256": hashlib.sha256(query.encode()).hexdigest(),
        "files": [f"{attempt}/{name}" for name in sorted(files)],
    }


def require(columns: Iterable[str], found: Iterable[str], where: str) -> None:
    """That all `columns` are among those `found`. Raises InputError that names missing and found."""
    there = list(found)
    missing = [column for column in columns if column not in there]
    if missing:
        raise InputError(
            f"{where} has no column '{missing[0]}'; its columns: {', '.join(there)}",
            f"name it in the query: select … as `{missing[0]}`",
        )


def read(folder: Path, columns: list[str]) -> pa.Table:
    """The columns of all Parquet files below `folder`, in no particular order; empty files are fine.

    Raises InputError where a file lacks a column or is not Parquet.
    """
    tables = [_read(path, columns) for path in sorted(folder.rglob("*.parquet"))]
    filled = [table for table in tables if table.num_rows] or tables[:1]
    if not filled:
        raise InputError(f"{folder}: there are no Parquet files", "run get_data again")
    return pa.concat_tables(filled)


def columns(folder: Path) -> list[str]:
    """The columns of the Parquet files below `folder`, in the query's order; none without a file."""
    return next((_columns(path) for path in sorted(folder.rglob("*.parquet"))), [])


def no_nulls(rows: pa.Table, name: str) -> None:
    """That the column has a value in every row. Raises InputError."""
    if nulls := rows[name].null_count:
        mend = f"in query.sql: where {name} is not null"
        raise InputError(f"column '{name}' is null in {nulls:,} rows", mend)


def numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """The column as float64, one a row. Raises InputError where it is no number, or not in each row."""
    no_nulls(rows, name)
    kind = rows[name].type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        mend = f"in query.sql: cast(`{name}` as float64) as `{name}`"
        raise InputError(f"column '{name}' is {kind}, expected INT64 or FLOAT64", mend)
    found: NDArray[np.float64] = rows[name].to_numpy().astype(np.float64)
    if not np.isfinite(found).all():
        raise InputError(f"column '{name}' holds NaN or infinity", "leave these rows out in query.sql")
    return found


def ids(rows: pa.Table, name: str) -> Ids:
    """The column as whole numbers or texts, one a row. Raises InputError where it is neither."""
    no_nulls(rows, name)
    kind = rows[name].type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)):
        mend = f"in query.sql: cast(`{name}` as string) as `{name}`"
        raise InputError(f"column '{name}' is {kind}, expected INT64 or STRING", mend)
    found: Ids = rows[name].to_pylist()
    return found


def wait(job: Any) -> None:
    """Wait for a BigQuery job's end, however long it takes; each call has a limit of its own.

    Raises google.api_core's GoogleAPICallError where the job failed.
    """
    pause = FIRST_PAUSE
    # `result` would take its timeout for the whole job, and none would let a call hang for ever.
    while not job.done(timeout=CALL):
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)
    if error := job.exception(timeout=CALL):
        raise error


def moment(time: datetime) -> str:
    """A moment as parameters and manifests have it: 2026-11-21T08:45:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def days(start: datetime, end: datetime) -> str:
    """The first and the last day of a window, for people: 2017-01-01 … 2017-12-31."""
    last = end - timedelta(microseconds=1)
    return f"{start.astimezone(UTC).date()} … {last.astimezone(UTC).date()}"


def period(facts: Facts, window: Window) -> str:
    """The days of what was exported, and those that were asked for where they are others."""
    asked = days(window.start, window.end)
    if "first" not in facts:
        return f"asked for {asked}"
    own = f"{facts['first']} … {facts['last']}"
    return own if own == asked else f"{own} · asked for {asked}"


def as_of(snapshot: datetime) -> datetime:
    """The moment at which a table is read as it was at `snapshot`, its last change.

    What has not changed for long is read at a moment that BigQuery still remembers.
    """
    # Last changes are told in whole milliseconds: what came within that one belongs to it.
    return max(snapshot + MILLISECOND, datetime.now(UTC) - TIME_TRAVEL)


def _statement(query: str, table: str, at: datetime, folder: str) -> str:
    # A newline at the end: the query's last line may be a comment.
    body = query.replace("${table}", f"`{table}`").replace(
        "${snapshot}", f"TIMESTAMP '{at.isoformat()}'"
    )
    body = body.strip().rstrip(";")
    options = f"uri = '{folder}/*.parquet', format = 'PARQUET', compression = 'SNAPPY'"
    return f"EXPORT DATA OPTIONS ({options}) AS\n{body}\n"


def _run(statement: str, window: Window, project: str) -> None:
    from google.api_core import exceptions
    from google.cloud import bigquery

    moments = {"window_from": window.start, "window_until": window.end}
    parameters = [bigquery.ScalarQueryParameter(name, "TIMESTAMP", at) for name, at in moments.items()]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    try:
        # One job alone: a second one would export into what the first has left.
        job = bigquery.Client(project=project).query(
            statement, job_config=config, job_retry=None, timeout=CALL
        )
        wait(job)
    except exceptions.GoogleAPICallError as error:
        _refuse(error, project)


def _refuse(error: Any, project: str) -> NoReturn:
    from google.api_core import exceptions

    # The client repeats the message behind its reason, then adds location and job.
    message = str(error.message).splitlines()[0].partition("; reason:")[0]
    if isinstance(error, exceptions.BadRequest):
        raise InputError(
            f"BigQuery refuses the flow's query: {message}", "mend the flow's query.sql"
        ) from None
    if isinstance(error, exceptions.NotFound):
        raise InputError(
            f"BigQuery, for the flow's query: {message}", "mend [data] table in flow.toml"
        ) from None
    if isinstance(error, exceptions.Forbidden):
        raise InputError(
            f"BigQuery, for the flow's query in {project}: {message}",
            "the step's account needs bigquery.jobUser, and dataViewer on the table",
        ) from None
    raise RetrainError(f"BigQuery, for the flow's query: {message}") from None


def _footers(blobs: Iterable[Any]) -> list[pq.FileMetaData]:
    with ThreadPoolExecutor(storage.THREADS) as pool:
        return list(pool.map(_footer, blobs))


def _footer(blob: Any) -> pq.FileMetaData:
    with blob.open("rb", chunk_size=FOOTER) as stream:
        return pq.read_metadata(stream)


def _span(footers: list[pq.FileMetaData]) -> dict[str, str]:
    """`first` and `last`: the days of the column `at`, where the files' own statistics have them."""
    schema = footers[0].schema
    paths = [schema.column(number).path for number in range(len(schema))]
    if AT not in paths:
        return {}
    unit = _unit(schema.to_arrow_schema().field(AT).type)
    place = paths.index(AT)
    groups = [one.row_group(number) for one in footers for number in range(one.num_row_groups)]
    found = [one.column(place).statistics for one in groups if one.num_rows]
    if not (unit and all(one and one.has_min_max for one in found)):
        return {}
    # Raw: as Python's own moments they would need the machine's time zones.
    first, last = min(one.min_raw for one in found), max(one.max_raw for one in found)
    return {"first": _day(first, unit), "last": _day(last, unit)}


def _unit(kind: pa.DataType) -> str:
    """What a moment of that type counts, in numpy's words; nothing where it is no moment."""
    if pa.types.is_timestamp(kind):
        return str(kind.unit)
    return "D" if pa.types.is_date32(kind) else ""


def _day(count: int, unit: str) -> str:
    return str(np.asarray(count).astype(f"datetime64[{unit}]").astype("datetime64[D]"))


def _columns(path: Path) -> list[str]:
    with _parquet(path) as file:
        return list(file.schema_arrow.names)


def _read(path: Path, columns: list[str]) -> pa.Table:
    with _parquet(path) as file:
        require(columns, file.schema_arrow.names, f"the file {path.name}")
        return file.read(columns=columns)


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path.name}: it is not a Parquet file: {error}", "run get_data again"
        ) from None
