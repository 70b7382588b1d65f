import io
import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as bigquery_sdk

from flows import bigquery, storage
from flows.contract import Window
from flows.errors import InputError, RetrainError
from flows.recommender import flow
from laptop import provision

WINDOW = Window(*(datetime(2017, month, 1, tzinfo=UTC) for month in (1, 2, 3)))


class Blob:
    def __init__(self, data: pa.Table) -> None:
        self._stream = io.BytesIO()
        pq.write_table(data, self._stream)

    def open(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._stream.getvalue())


def exporting(
    monkeypatch: pytest.MonkeyPatch, data: pa.Table, error: Exception | None = None
) -> list[str]:
    statements: list[str] = []

    def query(_: Any, sql: str, **_options: Any) -> Any:
        statements.append(sql)
        if error:
            raise error
        return SimpleNamespace(done=lambda timeout: True, exception=lambda timeout: None)

    monkeypatch.setattr(
        bigquery_sdk, "Client", type("Client", (), {"__init__": lambda *_, **__: None, "query": query})
    )
    blobs = {"0.parquet": Blob(data.slice(0, 0)), "1.parquet": Blob(data)}
    monkeypatch.setattr(storage, "listing", lambda _: blobs)
    return statements


def export(query: str = "select 1 from ${table};", table: str = "d.t") -> dict[str, Any]:
    return bigquery.export(query, table, WINDOW, "p", "gs://bucket/data")


def test_facts_and_a_folder_for_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    statements = exporting(monkeypatch, pa.table({"user": [1, 2]}))
    facts, again = export(), export()
    assert (facts["rows"], facts["columns"], facts["from"]) == (
        2,
        {"user": "int64"},
        "2017-01-01T00:00:00Z",
    )
    assert facts["files"] != again["files"]
    assert statements[0].endswith("AS\nselect 1 from `d.t`\n")
    assert f"gs://bucket/data/{facts['files'][0].split('/')[0]}/*.parquet" in statements[0]


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        ("2017-01-01T00:00:00", "2017-01-31T23:59:59", "2017-01-01 … 2017-01-31"),
        ("2017-01-03", "2017-01-09", "2017-01-03 … 2017-01-09 · asked for 2017-01-01 … 2017-01-31"),
    ],
)
def test_the_days_of_the_data_are_shown(
    first: str, last: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = pa.array([datetime.fromisoformat(one) for one in (last, first)], pa.timestamp("us", "UTC"))
    for column in (moments, moments.cast(pa.date32())):
        exporting(monkeypatch, pa.table({"user": [1, 2], "at": column}))
        assert bigquery.period(export(), WINDOW) == shown


NEVER = pa.array([None], pa.date32())
INNER = pa.array([{"at": WINDOW.start.date()}])  # a field of a column has the name


@pytest.mark.parametrize("column", [{}, {"at": [1]}, {"at": NEVER}, {"other": INNER}])
def test_days_that_nobody_knows_are_those_that_were_asked_for(
    column: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    exporting(monkeypatch, pa.table({"user": [1]} | column))
    assert bigquery.period(export(), WINDOW) == "asked for 2017-01-01 … 2017-01-31"


def test_bad_inputs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    exporting(monkeypatch, pa.table({"user": pa.array([], pa.int64())}))
    with pytest.raises(
        InputError, match=r"no rows in d\.t from 2017-01-01T00:00:00Z until 2017-02-01T00:00:00Z"
    ):
        export()
    with pytest.raises(InputError, match="is not a table's name"):
        export(table="d.t` where 1=1")
    exporting(monkeypatch, pa.table({"user": [1], "product": [2]}))
    with pytest.raises(InputError, match="has no column 'item'; its columns: user, product"):
        flow.get_data("d.t", None, "select 1", WINDOW, "p", "gs://bucket/data")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.BadRequest("Syntax error at [2:3]"), "refuses the flow's query: Syntax error at"),
        (exceptions.NotFound("Not found: Table d.t"), "Not found: Table d.t"),
        (exceptions.Forbidden("Access Denied"), "Access Denied"),
    ],
)
def test_what_bigquery_says_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    exporting(monkeypatch, pa.table({"user": [1]}), error)
    with pytest.raises(InputError, match=words):
        export()


def test_a_table_is_read_as_it_was_at_its_last_change(monkeypatch: pytest.MonkeyPatch) -> None:
    statements = exporting(monkeypatch, pa.table({"user": [1]}))
    changed = datetime.now(UTC).replace(microsecond=123000) - timedelta(hours=1)
    window = Window(WINDOW.start, WINDOW.end, changed)
    query = "select 1 from ${table} for system_time as of ${snapshot}"
    bigquery.export(query, "d.t", window, "p", "gs://bucket/data")
    moment = changed.replace(microsecond=124000).isoformat()
    assert f"from `d.t` for system_time as of TIMESTAMP '{moment}'" in statements[0]


def test_an_older_change_is_read_at_a_moment_that_every_table_remembers() -> None:
    moment = bigquery.as_of(WINDOW.snapshot)
    assert timedelta(hours=46) < datetime.now(UTC) - moment < timedelta(hours=48)


class Service:
    """BigQuery's REST answers: a job runs for two looks, then ends as `errors` say, one a job."""

    is_mtls = False

    def __init__(self, *errors: dict[str, str] | None) -> None:
        self.errors, self.looks, self.started = errors, 0, 0

    def request(self, method: str, url: str, **_: Any) -> requests.Response:
        self.looks = 0 if method == "POST" else self.looks + 1
        self.started += method == "POST"
        error = self.errors[self.started - 1]
        status: dict[str, Any] = {"state": "DONE" if self.looks > 2 else "RUNNING"}
        if error and self.looks > 2:
            status |= {"errorResult": error, "errors": [error]}
        reference = {"projectId": "p", "jobId": "one", "location": "EU"}
        kind = {"query": {"query": "select 1"}, "jobType": "QUERY"}
        body = {"jobReference": reference, "configuration": kind, "status": status}
        answer = requests.Response()
        answer.status_code, answer._content = 200, json.dumps(body).encode()
        answer.headers["content-type"] = "application/json"
        return answer


def connected(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    client = partial(bigquery_sdk.Client, credentials=AnonymousCredentials(), _http=service)
    monkeypatch.setattr(bigquery_sdk, "Client", client)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(storage, "listing", lambda _: {"0.parquet": Blob(pa.table({"user": [1]}))})


def test_an_export_that_failed_is_not_run_again_into_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"reason": "backendError", "message": "it was lost", "location": "EU"}
    service = Service(lost, None)
    connected(service, monkeypatch)
    with pytest.raises(RetrainError, match="BigQuery, for the flow's query: it was lost"):
        export()
    assert service.started == 1


def test_a_job_may_take_longer_than_a_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connected(Service(None, None), monkeypatch)
    monkeypatch.setattr(bigquery, "CALL", 0.0)
    monkeypatch.setattr(provision, "CALL", 0.0)
    assert export()["rows"] == 1
    job = bigquery_sdk.Client("p").query("select 1", job_retry=None)
    (tmp_path / "sample").touch()
    provision._load(
        SimpleNamespace(load_table_from_file=lambda *_, **__: job), "p.d.t", tmp_path / "sample"
    )
    assert job.done(reload=False)
