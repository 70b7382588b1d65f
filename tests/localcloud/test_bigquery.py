"""BigQuery, driven by Google's own client."""
# ruff: noqa: S608 (the queries are the tests' own)
# mypy: disable-error-code="no-untyped-call,union-attr,attr-defined,arg-type"

import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery import ArrayQueryParameter, QueryJobConfig, ScalarQueryParameter
from google.oauth2.credentials import Credentials

from localcloud.bigquery import BigQuery
from localcloud.cloud import Cloud
from localcloud.storage import Storage
from tests.localcloud.served import new_cloud, serve

NOON = datetime(2017, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
ROWS = [
    {"id": 1, "name": "one", "price": 1.5, "at": NOON},
    {"id": 2, "name": "two", "price": None, "at": NOON + timedelta(days=1)},
    {"id": 3, "name": "three", "price": -0.25, "at": NOON + timedelta(days=40)},
]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = new_cloud(tmp_path_factory.mktemp("cloud"))
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def storage(cloud: Cloud) -> Storage:
    made = Storage(cloud)
    made.make_bucket("data")
    return made


@pytest.fixture(scope="module")
def client(cloud: Cloud, storage: Storage) -> Iterator[bigquery.Client]:
    service = BigQuery(cloud, storage)
    credentials = Credentials(token=cloud.issue_token(cloud.world.owner))
    with serve(service, "bigquery.googleapis.com") as address:
        options = {"api_endpoint": address}
        client = bigquery.Client("acme-ml", credentials=credentials, client_options=options)
        yield client
        client.close()
    service.close()


@pytest.fixture(scope="module")
def shop(client: bigquery.Client) -> Any:
    dataset = bigquery.Dataset("acme-ml.shop")
    dataset.location = "EU"
    return client.create_dataset(dataset)


@pytest.fixture(scope="module")
def sales(client: bigquery.Client, shop: Any, storage: Storage) -> str:
    """A table of three rows, loaded from Parquet."""
    storage.write("data", "in/sales.parquet", parquet(ROWS))
    job = client.load_table_from_uri("gs://data/in/*.parquet", "shop.sales", job_config=load("PARQUET"))
    assert job.result().output_rows == 3
    return "acme-ml.shop.sales"


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def load(source: str, **options: Any) -> bigquery.LoadJobConfig:
    return bigquery.LoadJobConfig(source_format=source, **options)


def ask(client: bigquery.Client, sql: str, *parameters: Any, **options: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, by both ways that the client has."""
    config = QueryJobConfig(query_parameters=parameters, **options)
    rows = [row.values() for row in client.query_and_wait(sql, job_config=config)]
    assert rows == [row.values() for row in client.query(sql, job_config=config).result()]
    return rows


def one(client: bigquery.Client, sql: str, *parameters: Any) -> Any:
    """The single value of a query."""
    [[value]] = ask(client, sql, *parameters)
    return value


def test_datasets(client: bigquery.Client, shop: Any) -> None:
    assert client.get_dataset("shop").location == "EU"
    assert [found.dataset_id for found in client.list_datasets()] == ["shop"]
    with pytest.raises(exceptions.Conflict, match="Already Exists: Dataset acme-ml:shop"):
        client.create_dataset("shop")
    with pytest.raises(exceptions.NotFound, match="Not found: Dataset acme-ml:nope"):
        client.get_dataset("nope")
    client.create_dataset("gone")
    client.create_table(bigquery.Table("acme-ml.gone.t", [bigquery.SchemaField("a", "STRING")]))
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        client.delete_dataset("gone")
    client.delete_dataset("gone", delete_contents=True)


def test_tables(client: bigquery.Client, shop: Any) -> None:
    schema = [
        bigquery.SchemaField("id", "INTEGER", mode="REQUIRED", description="the key"),
        bigquery.SchemaField("tags", "STRING", mode="REPEATED"),
        bigquery.SchemaField("place", "RECORD", fields=[bigquery.SchemaField("x", "FLOAT")]),
    ]
    made = client.create_table(bigquery.Table("acme-ml.shop.things", schema))
    assert made.schema == schema
    assert (made.num_rows, made.location) == (0, "EU")
    made.description = "things"
    made.schema = [*schema, bigquery.SchemaField("new", "DATE")]
    changed = client.update_table(made, ["description", "schema"])
    assert (changed.description, len(changed.schema)) == ("things", 4)
    assert changed.modified > made.created
    assert "things" in [found.table_id for found in client.list_tables("shop")]
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Table acme-ml:shop.things"):
        client.create_table(made)
    client.delete_table(made)
    with pytest.raises(
        exceptions.NotFound, match=r"Table acme-ml:shop.things was not found in location EU"
    ):
        client.get_table("shop.things")


def test_load_and_read(client: bigquery.Client, sales: str) -> None:
    table = client.get_table(sales)
    assert [(field.name, field.field_type) for field in table.schema] == [
        ("id", "INTEGER"),
        ("name", "STRING"),
        ("price", "FLOAT"),
        ("at", "TIMESTAMP"),
    ]
    assert table.num_rows == 3
    assert [dict(row) for row in client.list_rows(table)] == ROWS
    assert [row.values() for row in client.list_rows(table, max_results=1, start_index=1)] == [
        tuple(ROWS[1].values())
    ]
    assert len(list(client.list_rows(table, page_size=2).pages)) == 2
    assert client.list_rows(table).to_arrow(create_bqstorage_client=False).to_pylist() == ROWS


def test_write_dispositions(client: bigquery.Client, storage: Storage, shop: Any) -> None:
    storage.write("data", "two/a.parquet", parquet(ROWS[:2]))

    def put(disposition: str) -> int:
        config = load("PARQUET", write_disposition=disposition)
        client.load_table_from_uri("gs://data/two/a.parquet", "shop.two", job_config=config).result()
        return int(client.get_table("shop.two").num_rows)

    assert [put("WRITE_EMPTY"), put("WRITE_APPEND"), put("WRITE_TRUNCATE")] == [2, 4, 2]
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Table acme-ml:shop.two"):
        put("WRITE_EMPTY")
    with pytest.raises(exceptions.NotFound, match=r"Not found: URI gs://data/none/\*"):
        client.load_table_from_uri("gs://data/none/*", "shop.two", job_config=load("PARQUET")).result()


def test_load_csv_and_json(client: bigquery.Client, storage: Storage, shop: Any) -> None:
    storage.write("data", "a.csv", b'id,zip\n1,00123\n2,"4,5"\n')
    schema = [bigquery.SchemaField("id", "INTEGER"), bigquery.SchemaField("zip", "STRING")]
    config = load("CSV", schema=schema, skip_leading_rows=1)
    client.load_table_from_uri("gs://data/a.csv", "shop.csv", job_config=config).result()
    assert ask(client, "SELECT * FROM shop.csv ORDER BY id") == [(1, "00123"), (2, "4,5")]
    rows = [{"a": 1, "b": ["x", "y"], "c": {"d": True}}, {"a": 2, "b": [], "c": None}]
    client.load_table_from_json(rows, "shop.json").result()
    assert ask(client, "SELECT a, b, c.d FROM shop.json ORDER BY a") == [
        (1, ["x", "y"], True),
        (2, [], None),
    ]
    config = load("CSV", autodetect=True, write_disposition="WRITE_TRUNCATE")
    job = client.load_table_from_file(
        io.BytesIO(b"n,t\n1,2017-01-01 00:00:00\n"), "shop.csv", job_config=config
    )
    assert job.result().output_rows == 1
    assert [field.field_type for field in client.get_table("shop.csv").schema] == [
        "INTEGER",
        "TIMESTAMP",
    ]
    storage.write("data", "bad.csv", b"id,zip\nx,1\n")
    config = load("CSV", schema=schema, skip_leading_rows=1, write_disposition="WRITE_TRUNCATE")
    with pytest.raises(exceptions.BadRequest, match="Error while reading data"):
        client.load_table_from_uri("gs://data/bad.csv", "shop.csv", job_config=config).result()


def test_types_on_the_wire(client: bigquery.Client) -> None:
    sql = """SELECT 1 i, 1.5 f, TRUE b, 'ü' s, b'ab' y, DATE '2017-01-02' d, NUMERIC '1.50' n,
      TIMESTAMP '2017-01-02 12:00:00.123456+00' t, DATETIME '2017-01-02 12:00:00' dt, TIME '10:00:00' tm,
      [1, 2] a, STRUCT(1 AS x, ['p', 'q'] AS y) r, [STRUCT(1 AS x), STRUCT(2 AS x)] ar, NULL nothing"""
    assert ask(client, sql) == [
        (
            *(
                1,
                1.5,
                True,
                "ü",
                b"ab",
                date(2017, 1, 2),
                Decimal("1.5"),
                NOON,
                datetime(2017, 1, 2, 12),
            ),
            *(
                datetime(2017, 1, 1, 10).time(),
                [1, 2],
                {"x": 1, "y": ["p", "q"]},
                [{"x": 1}, {"x": 2}],
                None,
            ),
        )
    ]
    assert ask(client, "SELECT 1, 'x' AS y, COUNT(*)") == [(1, "x", 1)]
    [row] = client.query_and_wait("SELECT 1, 2 AS y, 3")
    assert list(row.keys()) == ["f0_", "y", "f1_"]
    assert one(client, "SELECT CAST('inf' AS FLOAT64)") == float("inf")
    assert one(client, "SELECT SUM(x) FROM UNNEST([1, 2]) AS x") == 3


def test_parameters(client: bigquery.Client, sales: str) -> None:
    window = "`at` >= @since AND `at` < @until"
    sql = f"SELECT id FROM `{sales}` WHERE {window} AND id IN UNNEST(@ids) ORDER BY id"
    parameters = [
        ScalarQueryParameter("since", "TIMESTAMP", NOON),
        ScalarQueryParameter("until", "TIMESTAMP", NOON + timedelta(days=2)),
        ArrayQueryParameter("ids", "INT64", [1, 2, 3]),
    ]
    assert ask(client, sql, *parameters) == [(1,), (2,)]
    kinds = [
        ("STRING", "it's"),
        ("INT64", 7),
        ("FLOAT64", 0.5),
        ("BOOL", True),
        ("DATE", date(2017, 1, 2)),
    ]
    kinds += [("BYTES", b"\x00x"), ("NUMERIC", Decimal("1.25")), ("STRING", None)]
    unnamed = [ScalarQueryParameter(None, kind, value) for kind, value in kinds]
    assert ask(client, "SELECT ?, ?, ?, ?, ?, ?, ?, ?", *unnamed) == [tuple(value for _, value in kinds)]
    with pytest.raises(exceptions.BadRequest, match="Query parameter 'x' not found"):
        client.query_and_wait("SELECT @x")


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT 1 AS at", "AT at [1:13]"),
        ("SELECT STRUCT(1 AS x, 2 AS\n to)", "TO at [2:2]"),
        ("SELECT rows.x FROM UNNEST([STRUCT(1 AS x)]) AS rows", "ROWS at [1:"),
        ("WITH new AS (SELECT 1 AS x) SELECT x FROM `new`", "NEW at [1:6]"),
    ],
)
def test_a_reserved_word_is_no_name_without_backticks(
    client: bigquery.Client, sql: str, word: str
) -> None:
    with pytest.raises(exceptions.BadRequest, match=re.escape(f"Unexpected keyword {word}")):
        client.query_and_wait(sql)


def test_a_reserved_word_is_a_name_behind_a_dot(client: bigquery.Client) -> None:
    assert ask(client, "SELECT t.at, t. `rows` FROM (SELECT 1 AS `at`, 2 AS `rows`) AS t") == [(1, 2)]


def test_names_that_are_not_there(client: bigquery.Client, sales: str) -> None:
    for run in (lambda sql: client.query(sql).result(), client.query_and_wait):
        with pytest.raises(
            exceptions.NotFound, match=r"Not found: Table acme-ml:shop.x was not found in location EU"
        ):
            run("SELECT 1 FROM shop.x")
        with pytest.raises(exceptions.NotFound, match=r"Not found: Dataset acme-ml:nope"):
            run("SELECT 1 FROM nope.x")
        with pytest.raises(exceptions.BadRequest, match=r"Unrecognized name: nam at \[2:3\]"):
            run("SELECT id,\n  nam FROM shop.sales")
        with pytest.raises(exceptions.BadRequest, match=r"Unrecognized name: foo at \[1:10\]"):
            run("SELECT s.foo FROM shop.sales s")
        with pytest.raises(exceptions.BadRequest, match=r"Function not found: NOPE at \[1:8\]"):
            run("SELECT NOPE(1)")
        with pytest.raises(exceptions.BadRequest, match="must be qualified with a dataset"):
            run("SELECT 1 FROM sales")
        with pytest.raises(exceptions.Forbidden, match=r"Access Denied: Table other:shop.sales"):
            run("SELECT 1 FROM other.shop.sales")
        with pytest.raises(exceptions.BadRequest, match="division by zero: 1 / 0"):
            run("SELECT 1 / (id - id) FROM shop.sales")


@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT FROM shop.sales", "SELECT (1", "foo", "SELECT 1 FRO x", ""]
)
def test_syntax_errors(client: bigquery.Client, sales: str, sql: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Syntax error: "):
        client.query_and_wait(sql or " ")
    job = client.query(sql or " ", job_retry=None)
    assert job.state == "DONE"
    assert job.error_result["reason"] == "invalidQuery"


def test_jobs(client: bigquery.Client, sales: str) -> None:
    job = client.query(f"SELECT id, name FROM `{sales}`", job_id="mine", location="EU", job_retry=None)
    assert job.total_bytes_processed == 3 * 8 + len("onetwothree") + 3 * 2
    assert (job.statement_type, job.state, job.location) == ("SELECT", "DONE", "EU")
    assert [table.table_id for table in job.referenced_tables] == ["sales"]
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Job acme-ml:EU.mine"):
        client._call_api(None, path="/projects/acme-ml/jobs", method="POST", data=job.to_api_repr())
    again = client.get_job("mine", location="EU")
    assert len(list(again.result())) == 3
    assert again.destination == job.destination
    assert client.get_table(job.destination).num_rows == 3
    assert next(iter(client.list_jobs(max_results=1))).job_id == "mine"
    assert client.cancel_job("mine", location="EU").state == "DONE"
    with pytest.raises(exceptions.NotFound, match=r"Not found: Job acme-ml:EU.nope"):
        client.get_job("nope", location="EU")
    with pytest.raises(exceptions.NotFound, match="Dataset acme-ml:shop was not found in location US"):
        client.query(f"SELECT 1 FROM `{sales}`", location="US").result()


def test_a_lost_answer_is_asked_for_again(client: bigquery.Client, sales: str) -> None:
    body = {"query": "SELECT RAND() r", "useLegacySql": False, "requestId": "r-1"}
    path = "/projects/acme-ml/queries"
    answers = [client._call_api(None, path=path, method="POST", data=body) for _ in range(2)]
    assert answers[0] == answers[1]


def test_dry_run(client: bigquery.Client, sales: str) -> None:
    job = client.query(f"SELECT id FROM `{sales}`", QueryJobConfig(dry_run=True))
    assert (job.total_bytes_processed, [field.name for field in job.schema]) == (24, ["id"])
    with pytest.raises(exceptions.BadRequest, match="Unrecognized name"):
        client.query(f"SELECT nope FROM `{sales}`", QueryJobConfig(dry_run=True))


def test_pages(client: bigquery.Client) -> None:
    rows = client.query_and_wait(
        "SELECT x FROM UNNEST(GENERATE_ARRAY(1, 25)) AS x ORDER BY x", page_size=10
    )
    pages = [[row.x for row in page] for page in rows.pages]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [x for page in pages for x in page] == list(range(1, 26))


def test_changes_move_the_tables_time(client: bigquery.Client, shop: Any) -> None:
    client.query_and_wait(
        "CREATE OR REPLACE TABLE shop.made PARTITION BY d AS SELECT 1 AS a, DATE '2017-01-02' AS d"
    )
    times = [client.get_table("shop.made").modified]

    def change(sql: str) -> int:
        job = client.query(sql)
        job.result()
        times.append(client.get_table("shop.made").modified)
        return int(job.num_dml_affected_rows)

    assert change("INSERT INTO shop.made (a, d) VALUES (2, '2017-01-03'), (3, NULL)") == 2
    assert change("UPDATE shop.made SET a = a + 10 WHERE a > 1") == 2
    assert change("DELETE FROM shop.made WHERE d IS NULL") == 1
    assert change(
        """MERGE shop.made t USING (SELECT 9 AS a) s ON t.a = s.a
        WHEN NOT MATCHED THEN INSERT (a) VALUES (a)"""
    )
    assert times == sorted(set(times))
    assert ask(client, "SELECT a FROM shop.made ORDER BY a") == [(1,), (9,), (12,)]
    with pytest.raises(exceptions.BadRequest, match="DELETE must have a WHERE clause"):
        change("DELETE FROM shop.made")
    with pytest.raises(exceptions.Conflict, match=r"Already Exists: Table acme-ml:shop.made"):
        client.query_and_wait("CREATE TABLE shop.made (a INT64)")
    client.query_and_wait(
        "CREATE TABLE shop.typed (a INT64 NOT NULL, n NUMERIC, t TIMESTAMP, l ARRAY<STRING>)"
    )
    kinds = [field.field_type for field in client.get_table("shop.typed").schema]
    assert kinds == ["INTEGER", "NUMERIC", "TIMESTAMP", "STRING"]
    client.query_and_wait("DROP TABLE shop.typed; DROP TABLE IF EXISTS shop.typed")


def test_destination_table(client: bigquery.Client, sales: str) -> None:
    config = QueryJobConfig(destination="acme-ml.shop.copy", write_disposition="WRITE_TRUNCATE")
    assert len(list(client.query(f"SELECT * FROM `{sales}`", config).result())) == 3
    assert client.get_table("shop.copy").num_rows == 3


def test_naive_times_load_as_timestamps(client: bigquery.Client, storage: Storage, shop: Any) -> None:
    """The schema wins over the file's own type; nanoseconds and all."""
    table = pa.table({"at": pa.array([datetime(2017, 1, 2, 3), None], pa.timestamp("ns"))})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    storage.write("data", "naive.parquet", sink.getvalue())
    for schema, kind in (([], "DATETIME"), ([bigquery.SchemaField("at", "TIMESTAMP")], "TIMESTAMP")):
        config = load("PARQUET", schema=schema, write_disposition="WRITE_TRUNCATE")
        client.load_table_from_uri("gs://data/naive.parquet", "shop.naive", job_config=config).result()
        assert client.get_table("shop.naive").schema[0].field_type == kind
    assert ask(client, "SELECT `at` FROM shop.naive WHERE `at` IS NOT NULL") == [
        (datetime(2017, 1, 2, 3, tzinfo=UTC),)
    ]


def test_insert_rows(client: bigquery.Client, shop: Any) -> None:
    schema = [
        bigquery.SchemaField("a", "INTEGER", mode="REQUIRED"),
        bigquery.SchemaField("t", "TIMESTAMP"),
    ]
    table = client.create_table(bigquery.Table("acme-ml.shop.streamed", schema))
    assert client.insert_rows(table, [(1, NOON), (2, None)]) == []
    assert ask(client, "SELECT a, t FROM shop.streamed ORDER BY a") == [(1, NOON), (2, None)]
    [error] = client.insert_rows_json(table, [{"a": 3}, {"b": 1, "a": 4}])
    assert (error["index"], error["errors"][0]["message"]) == (1, "no such field: b.")
    assert client.get_table(table).num_rows == 2


def test_time_travel(client: bigquery.Client, sales: str) -> None:
    modified = client.get_table(sales).modified
    sql = f"SELECT COUNT(*) FROM `{sales}` AS s FOR SYSTEM_TIME AS OF @at"
    assert one(client, sql, ScalarQueryParameter("at", "TIMESTAMP", modified)) == 3
    assert one(client, sql.replace("@at", "CURRENT_TIMESTAMP()")) == 3
    before = ScalarQueryParameter("at", "TIMESTAMP", modified - timedelta(seconds=1))
    with pytest.raises(
        exceptions.BadRequest, match=r"Invalid time travel timestamp \d+ for table acme-ml:shop.sales@"
    ):
        client.query_and_wait(sql, job_config=QueryJobConfig(query_parameters=[before]))


def test_a_table_is_read_as_it_was_before_each_change(client: bigquery.Client, shop: Any) -> None:
    table, moments = f"{shop.dataset_id}.changing", []
    rows = f"SELECT STRING_AGG(CAST(n AS STRING) ORDER BY n) FROM {table} FOR SYSTEM_TIME AS OF @at"
    changes = (
        f"CREATE TABLE {table} AS SELECT 1 AS n",
        f"INSERT INTO {table} (n) VALUES (2)",
        f"UPDATE {table} SET n = n + 10 WHERE n = 1",
        f"INSERT INTO {table} (n) VALUES (3), (4)",
        f"DELETE FROM {table} WHERE n < 4",
        f"CREATE OR REPLACE TABLE {table} AS SELECT 7 AS n",
        f"TRUNCATE TABLE {table}",
    )
    for change in changes:
        client.query_and_wait(change)
        moments.append(client.get_table(table).modified)
    seen = [one(client, rows, ScalarQueryParameter("at", "TIMESTAMP", at)) for at in moments]
    assert seen == ["1", "1,2", "2,11", "2,3,4,11", "4,11", "7", None]
    alias = f"SELECT COUNT(changing.n) FROM {table} FOR SYSTEM_TIME AS OF @at"
    assert one(client, alias, ScalarQueryParameter("at", "TIMESTAMP", moments[3])) == 4
    before = ScalarQueryParameter("at", "TIMESTAMP", moments[0] - timedelta(seconds=1))
    with pytest.raises(exceptions.BadRequest, match="Cannot read before"):
        client.query_and_wait(rows, job_config=QueryJobConfig(query_parameters=[before]))
    client.delete_table(table)
    client.query_and_wait(f"CREATE TABLE {table} AS SELECT 9 AS n")
    assert one(client, f"SELECT n FROM {table} FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()") == 9


def test_wildcard_tables(client: bigquery.Client, shop: Any) -> None:
    for day in ("01", "02", "03"):
        client.query_and_wait(
            f"CREATE OR REPLACE TABLE shop.events_201701{day} AS SELECT {int(day)} AS n"
        )
    sql = """SELECT n, _TABLE_SUFFIX AS day FROM `shop.events_*`
    WHERE _TABLE_SUFFIX >= '20170102' ORDER BY n"""
    assert ask(client, sql) == [(2, "20170102"), (3, "20170103")]
    assert ask(client, "SELECT * FROM `acme-ml.shop.events_2017*` e WHERE e._TABLE_SUFFIX = '0101'") == [
        (1,)
    ]
    with pytest.raises(exceptions.NotFound, match="does not match any table"):
        client.query_and_wait("SELECT 1 FROM `shop.none_*`")


# Query → the value that BigQuery gives
GOLDEN = {
    "TIMESTAMP_DIFF(TIMESTAMP '2017-01-02 10:00:00', TIMESTAMP '2017-01-01 11:00:00', DAY)": 0,
    "TIMESTAMP_DIFF(TIMESTAMP '2017-01-01 11:00:00', TIMESTAMP '2017-01-03 10:00:00', DAY)": -1,
    "TIMESTAMP_DIFF(TIMESTAMP '2017-01-01 11:00:00', TIMESTAMP '2017-01-01 10:30:00', HOUR)": 0,
    "DATETIME_DIFF(DATETIME '2017-01-02 01:00:00', DATETIME '2017-01-01 23:00:00', DAY)": 1,
    "DATE_DIFF(DATE '2017-01-08', DATE '2017-01-07', WEEK)": 1,
    "DATE_DIFF(DATE '2017-01-08', DATE '2017-01-07', ISOWEEK)": 0,
    "DIV(7 + 1, 2 + 1) * 3": 6,
    "DIV(-7, 2)": -3,
    "DIV(DIV(100, 7), 2)": 7,
    "MOD(-7, 3)": -1,
    "7 / 2": 3.5,
    "SAFE_DIVIDE(1, 0)": None,
    "IEEE_DIVIDE(1, 0)": float("inf"),
    "EXTRACT(DAYOFWEEK FROM DATE '2017-01-01')": 1,
    "EXTRACT(WEEK FROM DATE '2017-01-01')": 1,
    "EXTRACT(ISOWEEK FROM DATE '2017-01-01')": 52,
    "EXTRACT(DATE FROM TIMESTAMP '2017-01-01 23:00:00')": date(2017, 1, 1),
    "EXTRACT(MILLISECOND FROM TIMESTAMP '2017-01-01 00:00:05.123')": 123,
    "DATE_ADD(DATE '2017-01-31', INTERVAL 1 MONTH)": date(2017, 2, 28),
    "DATE_SUB(DATE '2017-01-01', INTERVAL 1 DAY)": date(2016, 12, 31),
    "DATE_TRUNC(DATE '2017-02-03', MONTH)": date(2017, 2, 1),
    "DATE_TRUNC(DATE '2017-01-04', WEEK)": date(2017, 1, 1),
    "TIMESTAMP_TRUNC(TIMESTAMP '2017-02-03 10:00:00', DAY)": datetime(2017, 2, 3, tzinfo=UTC),
    "TIMESTAMP_MILLIS(1)": datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
    "UNIX_SECONDS(TIMESTAMP '1970-01-01 00:01:00')": 60,
    "PARSE_TIMESTAMP('%Y-%m-%d', '2017-01-02')": datetime(2017, 1, 2, tzinfo=UTC),
    "PARSE_DATE('%Y%m%d', '20170102')": date(2017, 1, 2),
    "FORMAT_TIMESTAMP('%F %T', TIMESTAMP '2017-01-02 03:04:05')": "2017-01-02 03:04:05",
    "DATE(TIMESTAMP '2017-01-01 03:00:00', 'America/New_York')": date(2016, 12, 31),
    "CAST(TIMESTAMP '2017-01-01 00:00:00' AS STRING)": "2017-01-01 00:00:00+00",
    "SAFE_CAST('x' AS INT64)": None,
    "CAST('1.25' AS NUMERIC)": Decimal("1.25"),
    "(SELECT ARRAY_AGG(x ORDER BY x DESC LIMIT 2) FROM UNNEST([1, 3, 2]) AS x)": [3, 2],
    "(SELECT ARRAY_AGG(x IGNORE NULLS ORDER BY x LIMIT 2) FROM UNNEST([3, NULL, 1]) AS x)": [1, 3],
    "(SELECT STRING_AGG(x, '-' ORDER BY x) FROM UNNEST(['b', 'a']) AS x)": "a-b",
    "(SELECT COUNTIF(x > 1) FROM UNNEST([1, 2, 3]) AS x)": 2,
    "ARRAY_LENGTH(GENERATE_DATE_ARRAY(DATE '2017-01-01', DATE '2017-01-03'))": 3,
    "[10, 20][OFFSET(1)]": 20,
    "[10, 20][SAFE_OFFSET(5)]": None,
    "REGEXP_CONTAINS('abc', r'^a\\w')": True,
    "TO_HEX(MD5('a'))": "0cc175b9c0f1b6a831c399e269772661",
    "LOG(8, 2)": 3.0,
    "ROUND(2.5)": 3.0,
}


def test_golden_values(client: bigquery.Client) -> None:
    [row] = ask(client, f"SELECT {', '.join(GOLDEN)}")
    assert dict(zip(GOLDEN, row, strict=True)) == GOLDEN


def test_qualify_and_except(client: bigquery.Client, sales: str) -> None:
    sql = f"""SELECT * EXCEPT (price, `at`) FROM `{sales}`
    QUALIFY ROW_NUMBER() OVER (PARTITION BY price IS NULL ORDER BY id DESC) = 1 ORDER BY id"""
    assert ask(client, sql) == [(2, "two"), (3, "three")]


def export(client: bigquery.Client, uri: str, select: str, **options: Any) -> Any:
    given = ", ".join(
        f"{key}={value!r}".replace("True", "true") for key, value in {"uri": uri, **options}.items()
    )
    job = client.query(f"EXPORT DATA OPTIONS({given}) AS {select}", job_id_prefix="export-")
    job.result()
    return job


def test_export(client: bigquery.Client, storage: Storage) -> None:
    select = """SELECT x AS id, TIMESTAMP_SECONDS(x) AS `at`, CONCAT('p', CAST(x AS STRING)) AS name
    FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS x ORDER BY x"""
    job = export(client, "gs://data/out/*.parquet", select, format="PARQUET", compression="SNAPPY")
    names = storage.names("data", "out/")
    assert names[0] == "out/000000000000.parquet"
    tables = [pq.read_table(io.BytesIO(storage.read("data", name))) for name in names]
    assert len(tables) >= 3
    assert sum(table.num_rows == 0 for table in tables) == 1
    assert all(table.schema.field("at").type == pa.timestamp("us", "UTC") for table in tables)
    ids = pa.concat_tables(tables)["id"].to_pylist()
    assert Counter(ids) == Counter(range(1, 1001))
    assert ids != sorted(ids)
    numbers = job._properties["statistics"]["query"]["exportDataStatistics"]
    assert numbers == {"fileCount": str(len(names)), "rowCount": "1000"}
    assert job.statement_type == "EXPORT_DATA"
    with pytest.raises(exceptions.BadRequest, match=r"gs://data/out/ is not empty. Use overwrite=true"):
        export(client, "gs://data/out/*.parquet", "SELECT 1 AS x", format="PARQUET")
    export(client, "gs://data/out/*.parquet", "SELECT 1 AS x", format="PARQUET", overwrite=True)


def test_export_as_text(client: bigquery.Client, storage: Storage) -> None:
    select = "SELECT 1 AS a, TIMESTAMP '2017-01-02 03:04:05.5' AS t, 'x;y' AS s"
    options = {"header": True, "field_delimiter": ";"}
    export(client, "gs://data/csv/*.csv", select, format="CSV", **options)
    parts = {storage.read("data", name) for name in storage.names("data", "csv/")}
    assert b'a;t;s\n1;2017-01-02 03:04:05.5 UTC;"x;y"\n' in parts
    export(client, "gs://data/json/*.json", select, format="JSON")
    lines = b"".join(storage.read("data", name) for name in storage.names("data", "json/")).splitlines()
    assert [json.loads(line) for line in lines] == [
        {"a": "1", "t": "2017-01-02 03:04:05.5 UTC", "s": "x;y"}
    ]


@pytest.mark.parametrize("uri", ["gs://data/x.parquet", "gs://data/*/*.parquet", "/tmp/*.parquet"])
def test_export_wants_one_wildcard(client: bigquery.Client, uri: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="exactly one"):
        export(client, uri, "SELECT 1 AS x", format="PARQUET")


def test_export_to_no_bucket(client: bigquery.Client) -> None:
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        export(client, "gs://nowhere/*.parquet", "SELECT 1 AS x", format="PARQUET")


def test_data_survives_a_restart(tmp_path: Path) -> None:
    for expected in (None, 7):
        cloud = new_cloud(tmp_path)
        service = BigQuery(cloud, Storage(cloud))
        credentials = Credentials(token=cloud.issue_token(cloud.world.owner))
        with serve(service, "bigquery.googleapis.com") as address:
            client = bigquery.Client(
                "acme-ml", credentials=credentials, client_options={"api_endpoint": address}
            )
            if expected is None:
                client.create_dataset("d")
                client.query_and_wait("CREATE TABLE d.t AS SELECT 7 AS x")
            else:
                assert one(client, "SELECT x FROM d.t") == expected
            client.close()
        service.close()
        cloud.store.close()


def test_many_at_once(client: bigquery.Client, shop: Any) -> None:
    client.query_and_wait("CREATE OR REPLACE TABLE shop.busy AS SELECT 0 AS n")

    def work(number: int) -> int:
        client.query_and_wait(f"INSERT INTO shop.busy (n) VALUES ({number})")
        return int(next(iter(client.query_and_wait("SELECT COUNT(*) AS c FROM shop.busy"))).c)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(work, range(24)))
    assert max(counts) == 25
    assert client.get_table("shop.busy").num_rows == 25


def test_it_is_quick_with_a_real_table(client: bigquery.Client, shop: Any, storage: Storage) -> None:
    rows = pa.table({"a": pa.array(range(200_000)), "t": pa.array([NOON] * 200_000)})
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    storage.write("data", "big/x.parquet", sink.getvalue())
    started = time.monotonic()
    client.load_table_from_uri(
        "gs://data/big/x.parquet", "shop.big", job_config=load("PARQUET")
    ).result()
    export(client, "gs://data/bigout/*.parquet", "SELECT a, t FROM shop.big", format="PARQUET")
    assert time.monotonic() - started < 10


def test_job_of_a_killed_local_cloud_has_failed(tmp_path: Path) -> None:
    cloud = new_cloud(tmp_path)
    running = {"status": {"state": "RUNNING"}, "statistics": {"startTime": "1"}}
    cloud.store.put("bq-job", "a", running)
    service = BigQuery(cloud, Storage(cloud))
    job = cloud.store.get("bq-job", "a") or {}
    service.close()
    cloud.store.close()
    assert job["status"]["state"] == "DONE"
    assert "was stopped" in job["status"]["errorResult"]["message"]
    assert set(job["statistics"]) == {"startTime", "endTime"}


def test_values_without_names_and_times_of_timestamps(client: bigquery.Client) -> None:
    assert one(client, "SELECT (1, 'a')") == {"_field_1": 1, "_field_2": "a"}
    assert one(client, "SELECT [(1, 2), (3, 4)]")[1] == {"_field_1": 3, "_field_2": 4}
    assert one(client, "SELECT (1, (2, 3))") == {
        "_field_1": 1,
        "_field_2": {"_field_1": 2, "_field_2": 3},
    }
    assert ask(client, "SELECT 1 FROM UNNEST([1]) AS x WHERE (x, 2) IN ((1, 2))") == [(1,)]
    stamp = "TIMESTAMP '2017-01-01 10:11:12+00'"
    for sql in (f"SELECT TIME({stamp})", f"SELECT EXTRACT(TIME FROM {stamp})"):
        assert one(client, sql) == datetime(2017, 1, 1, 10, 11, 12).time()
    client.query_and_wait("CREATE TABLE shop.sized (a BYTES(9), b STRING(9), c NUMERIC(10, 2))")


def test_what_would_have_no_effect_is_refused(client: bigquery.Client, sales: str) -> None:
    for sql, words in (
        ("CREATE TEMP TABLE x (a INT64)", "CREATE TEMP TABLE"),
        ("BEGIN TRANSACTION; SELECT 1; COMMIT TRANSACTION", "transactions"),
    ):
        with pytest.raises(exceptions.BadRequest, match=f"does not serve {words}"):
            client.query_and_wait(sql)
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve copy jobs"):
        client.copy_table(sales, "acme-ml.shop.copy")
    field = bigquery.SchemaField("a", "STRING", default_value_expression="'x'")
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve defaultValueExpression"):
        client.create_table(bigquery.Table("acme-ml.shop.defaults", [field]))
    folded = bigquery.Dataset("acme-ml.folded")
    folded.is_case_insensitive = True
    with pytest.raises(exceptions.MethodNotImplemented, match="does not serve isCaseInsensitive"):
        client.create_dataset(folded)


def test_a_required_column_takes_no_null(client: bigquery.Client, sales: str) -> None:
    fields = [bigquery.SchemaField("a", "INT64", "REQUIRED"), bigquery.SchemaField("b", "STRING")]
    client.create_table(bigquery.Table("acme-ml.shop.strict", fields))
    for rows in ([{"a": 1}, {"b": "x"}], [{"b": "x"}]):
        job = client.load_table_from_json(rows, "acme-ml.shop.strict")
        with pytest.raises(exceptions.BadRequest, match="Required field a cannot be null"):
            job.result()
    client.load_table_from_json([{"a": 1}], "acme-ml.shop.strict").result()
    assert ask(client, "SELECT a FROM shop.strict") == [(1,)]


def test_json_columns_take_texts_of_json(client: bigquery.Client, sales: str) -> None:
    inner = [bigquery.SchemaField("j", "JSON")]
    fields = [bigquery.SchemaField("j", "JSON"), bigquery.SchemaField("r", "RECORD", fields=inner)]
    table = client.create_table(bigquery.Table("acme-ml.shop.texts", fields))
    assert client.insert_rows(table, [{"j": {"a": [1]}, "r": {"j": {"b": 2}}}]) == []
    assert [tuple(row) for row in client.list_rows(table)] == [({"a": [1]}, {"j": {"b": 2}})]


def test_no_decimal_place_of_a_file_is_lost(client: bigquery.Client, sales: str) -> None:
    values = [Decimal("123.999999999999")]
    file = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array(values, pa.decimal128(30, 12))}), file)
    file.seek(0)
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    client.load_table_from_file(file, "acme-ml.shop.fine", job_config=config).result()
    assert client.get_table("acme-ml.shop.fine").schema[0].field_type == "BIGNUMERIC"
    assert [tuple(row) for row in client.list_rows("acme-ml.shop.fine")] == [tuple(values)]
