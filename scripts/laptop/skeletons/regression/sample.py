"""The sample table, until the flow has its own: diabetes of 442 patients, which scikit-learn ships.

`progression` is a measure of the disease a year after the others (Efron et al. 2004). The source has no
dates: `measured_at` is made up, one hour each.
"""

import gzip
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from flows.errors import InputError

TABLE = "regression.rows"
PACKAGE = "sklearn"
FILES = "diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"
COLUMNS = (
    *("age", "sex", "bmi", "pressure", "cholesterol", "ldl", "hdl", "cholesterol_ratio"),
    *("triglycerides", "sugar", "progression"),
)
INSTANCES = [[59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]]  # what an endpoint is asked at first
FIRST_DAY = datetime(2025, 1, 6, tzinfo=UTC)


def table(folder: Path) -> tuple[str, Path]:
    """The table's name and the Parquet file, in `folder`, that fills it. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = [gzip.decompress((_source() / name).read_bytes()).decode().splitlines() for name in FILES]
    rows = [f"{features} {target}".split() for features, target in zip(*parts, strict=True)]
    values = zip(*((float(value) for value in row) for row in rows), strict=True)
    hours = pa.array(
        [FIRST_DAY + timedelta(hours=n) for n in range(len(rows))], pa.timestamp("us", "UTC")
    )
    own = {"patient": [n + 1 for n in range(len(rows))], "measured_at": hours}
    pq.write_table(pa.table(own | dict(zip(COLUMNS, values, strict=True))), folder / "rows.parquet")
    return TABLE, folder / "rows.parquet"


def _source() -> Path:
    # Importing the package would cost seconds.
    spec = find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (Path(folder) / "datasets" / "data" / FILES[0]).is_file():
            return Path(folder) / "datasets" / "data"
    raise InputError(f"the sample data of {PACKAGE} is not installed", "run ./scripts/setup")
