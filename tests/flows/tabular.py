"""For the tests of flows on tables: what get_data would leave of a sample, and what a server refuses."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest
import sqlglot

from flows.contract import Model
from flows.errors import InputError
from flows.serving.question import Reader
from flows.tables import Table
from tests.flows.trial import Trial, described

Sample = Callable[[Path], tuple[str, Path]]  # a flow's sample.table
SOURCE = "${table} for system_time as of ${snapshot}"


def trial(flow: Any, own: Any, algorithms: Mapping[str, Table], table: Sample, folder: Path) -> Trial:
    """The flow on its sample `table`."""
    return Trial.of(flow, own, algorithms, exported(table, described(flow, own).query, folder))


def exported(sample: Sample, query: str, folder: Path) -> Path:
    """What the flow's query finds in its sample, in files as an export leaves them: one is empty."""
    assert SOURCE in query
    own = duckdb.read_parquet(str(sample(folder)[1]))
    [sql] = sqlglot.transpile(query.replace(SOURCE, "sample"), read="bigquery", write="duckdb")
    window = {
        "window_from": datetime(2000, 1, 1, tzinfo=UTC),
        "window_until": datetime(2100, 1, 1, tzinfo=UTC),
    }
    with duckdb.connect() as connection:
        connection.register("sample", own.to_arrow_table())
        rows = connection.sql(sql, params=window).to_arrow_table()
    data = folder / "data"
    data.mkdir()
    for name, part in {"a": rows.slice(0, 0), "b": rows.slice(7), "c": rows.slice(0, 7)}.items():
        pq.write_table(part, data / f"{name}.parquet")
    return data


def refused(model: Model, instance: Any) -> str:
    """What the server says to a good instance and then this one, before the model is asked."""
    good = msgspec.json.encode(model.form.example).decode()
    text = instance if isinstance(instance, str) else msgspec.json.encode(instance).decode()
    with pytest.raises(InputError) as raised:
        Reader(model.form).read(f'{{"instances": [{good}, {text}]}}'.encode())
    return raised.value.what


def wrong_rows(good: list[float]) -> list[tuple[Any, str]]:
    """What is no list of features such as `good`, behind a good one, and what is said of it."""
    last = len(good) - 1
    return [
        (good[:-1], f"instances[1]: expected array of length {len(good)}"),
        ([*good[:-1], "much"], f"instances[1][{last}]: expected float, got str"),
        ([*good[:-1], None], f"instances[1][{last}]: expected float, got null"),
        ([1e300, *good[1:]], "instances[1][0]: expected float <= 1e+30"),
        ("[NaN]", "not JSON: NaN"),
    ]
