"""The sample, until the flow has its own images: 1,797 handwritten digits, which scikit-learn ships.

They are 8 × 8 pixels, by 13 writers, who are not named (Alpaydin and Kaynak 1998). The source has no
dates: `taken_at` is made up, one minute each.
"""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from flows.errors import InputError
from flows.images import png
from flows.images.classifier import encoded

TABLE = "image.rows"
BUCKET = "retrain-local-images"  # ./scripts/run puts `objects` there
PACKAGE, FILE = "sklearn", "digits.csv.gz"
FIRST_DAY = datetime(2025, 1, 6, tzinfo=UTC)
WHITE = 16  # the source's brightest


def table(folder: Path) -> tuple[str, Path]:
    """The table's name and the Parquet file, in `folder`, that fills it. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    labels = [label for label, _ in digits()]
    minutes = [FIRST_DAY + timedelta(minutes=number) for number in range(len(labels))]
    columns = {
        "image": [f"gs://{BUCKET}/{_name(number)}" for number in range(len(labels))],
        "label": labels,
        "taken_at": pa.array(minutes, pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return TABLE, folder / "rows.parquet"


def objects() -> Iterator[tuple[str, bytes]]:
    """What lies in `BUCKET`, by name."""
    return ((_name(number), content) for number, (_, content) in enumerate(digits()))


def digits() -> Iterator[tuple[str, bytes]]:
    """Each digit's label and PNG."""
    with gzip.open(_source(), "rt") as lines:
        for row in csv.reader(lines):
            *values, label = (int(float(value)) for value in row)
            yield str(label), png.grey(8, bytes(round(value * 255 / WHITE) for value in values))


def _name(number: int) -> str:
    return f"{TABLE}/{number:04}.png"


def _source() -> Path:
    # Importing the package would cost seconds.
    spec = find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (path := Path(folder) / "datasets" / "data" / FILE).is_file():
            return path
    raise InputError(f"the sample data of {PACKAGE} is not installed", "run ./scripts/setup")


# What an endpoint is asked at first.
INSTANCES = [{"b64": encoded(next(content for label, content in digits() if label == "7"))}]
