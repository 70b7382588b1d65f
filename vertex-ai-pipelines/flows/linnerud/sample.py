"""The sample table: twenty men's measures and exercises, the Linnerud data that scikit-learn ships.

`subject` is the row's number there. The source has no dates: `measured_at` is made up, one day each.
"""

from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from flows.errors import InputError

PACKAGE = "sklearn"
FILES = "linnerud_physiological.csv", "linnerud_exercise.csv"
INSTANCES = [[86.6, 91.4, 50]]  # what an endpoint is asked, to show that it answers
FIRST_DAY = datetime(2025, 1, 6, tzinfo=UTC)


def table(folder: Path) -> tuple[str, Path]:
    """The table's name and the Parquet file, in `folder`, that fills it. Raises InputError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: values for file in FILES for name, values in _columns(_source() / file).items()}
    people = range(20)
    days = pa.array([FIRST_DAY + timedelta(days=n) for n in people], pa.timestamp("us", "UTC"))
    own = {"subject": [n + 1 for n in people], "measured_at": days}
    pq.write_table(pa.table(own | columns), folder / "linnerud.parquet")
    return "gym.linnerud", folder / "linnerud.parquet"


def _source() -> Path:
    # Importing the package would cost seconds.
    spec = find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (Path(folder) / "datasets" / "data" / FILES[0]).is_file():
            return Path(folder) / "datasets" / "data"
    raise InputError(f"the sample data of {PACKAGE} is not installed", "run ./scripts/setup")


def _columns(path: Path) -> dict[str, list[int]]:
    """The columns of a file whose first line names them: chins, situps, jumps."""
    head, *lines = (line.split() for line in path.read_text().splitlines())
    return {name.lower(): [int(line[n]) for line in lines] for n, name in enumerate(head)}
