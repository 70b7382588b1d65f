"""The sample table, until the flow has its own: 569 tumours of the breast, which scikit-learn ships.

The features are means over the cells' nuclei in an image (Street, Wolberg and Mangasarian 1993). The
source has no dates: `measured_at` is made up, one hour each.
"""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from flows.errors import InputError

TABLE = "classification.rows"
PACKAGE = "sklearn"
FILE = "breast_cancer.csv"
COLUMNS = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
    *("concave_points", "symmetry", "fractal_dimension"),
)
# What an endpoint is asked at first.
INSTANCES = [[17.99, 10.38, 122.8, 1001, 0.1184, 0.2776, 0.3001, 0.1471, 0.2419, 0.07871]]
FIRST_DAY = datetime(2025, 1, 6, tzinfo=UTC)


def table(folder: Path) -> tuple[str, Path]:
    """The table's name and the Parquet file, in `folder`, that fills it. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    head, *lines = (_source() / FILE).read_text().splitlines()
    labels, rows = head.split(",")[2:], [line.split(",") for line in lines]
    hours = pa.array(
        [FIRST_DAY + timedelta(hours=n) for n in range(len(rows))], pa.timestamp("us", "UTC")
    )
    own = {
        "patient": [n + 1 for n in range(len(rows))],
        "measured_at": hours,
        "diagnosis": [labels[int(row[-1])] for row in rows],
    }
    values = {name: [float(row[place]) for row in rows] for place, name in enumerate(COLUMNS)}
    pq.write_table(pa.table(own | values), folder / "rows.parquet")
    return TABLE, folder / "rows.parquet"


def _source() -> Path:
    # Importing the package would cost seconds.
    spec = find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (Path(folder) / "datasets" / "data" / FILE).is_file():
            return Path(folder) / "datasets" / "data"
    raise InputError(f"the sample data of {PACKAGE} is not installed", "run ./scripts/setup")
