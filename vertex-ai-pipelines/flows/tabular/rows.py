"""A table of numbers: `unit`, `target`, and every other column of the query but `at` is a feature."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flows import arrays, holdout
from flows.arrays import Ids
from flows.contract import Facts, Window
from flows.errors import InputError

UNIT, TARGET = "unit", "target"
FILE = "rows.safetensors"

Numbers = NDArray[np.float64]
Kind = Literal["number", "label"]


@dataclass(frozen=True)
class Rows:
    """One row a place in `units`, sorted by unit.

    `names` are the features' columns, `features` is rows × columns. `target` has numbers (float64), or
    labels (int64 or text).
    """

    units: Ids
    names: tuple[str, ...]
    features: Numbers
    target: NDArray[Any]

    def __len__(self) -> int:
        return len(self.units)

    def at(self, places: NDArray[np.int64]) -> "Rows":
        """These rows alone."""
        units = [self.units[place] for place in places]
        return Rows(units, self.names, self.features[places], self.target[places])

    def refuse_one_target(self) -> None:
        """Raises InputError where all rows have the same target."""
        if (self.target == self.target[0]).all():
            raise InputError(
                f"column '{TARGET}' is {self.target[0]} in all {len(self)} rows of the training set",
                "there is nothing to learn: select other rows in query.sql",
            )


def export(query: str, table: str, window: Window, project: str, destination: str, what: str) -> Facts:
    """`flows.bigquery.export`, where the query has `unit`, `target` and a feature; `what` are the rows.

    Raises InputError where a column is missing.
    """
    from flows import bigquery

    facts = bigquery.export(query, table, window, project, destination)
    bigquery.require((UNIT, TARGET), facts["columns"], "the query's result")
    _features(facts["columns"])
    return facts | {"summary": f"{facts['rows']:,} {what} · {bigquery.period(facts, window)}"}


def read(folder: Path, target: Kind = "number", repeated: bool = False) -> Rows:
    """All rows of the Parquet files in `folder`; units may be `repeated`.

    Raises InputError where a column holds what it should not.
    """
    from flows import bigquery

    columns = bigquery.columns(folder)
    bigquery.require((UNIT, TARGET), columns, "the query's result")
    names = _features(columns)
    table = bigquery.read(folder, [UNIT, TARGET, *names])
    # By all columns: the order of rows in files decides nothing.
    table = table.sort_by([(name, "ascending") for name in (UNIT, TARGET, *names)])
    units = bigquery.ids(table, UNIT)
    if not repeated:
        _refuse_repeated(units)
    found = bigquery.numbers(table, TARGET) if target == "number" else bigquery.ids(table, TARGET)
    features = np.column_stack([bigquery.numbers(table, name) for name in names])
    return Rows(units, names, features, np.array(found))


def split(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Training set and holdout, about `share` of the units. Raises InputError where one is empty."""
    held = np.array(holdout.held([str(unit).encode() for unit in rows.units], share, seed))
    return rows.at(np.flatnonzero(~held)), rows.at(np.flatnonzero(held))


def write_both(own: Rows, held: Rows, folders: tuple[Path, Path], what: str) -> tuple[Facts, Facts]:
    """Write training set and holdout to their folders; the facts of each. `what` are the rows."""
    for part, folder in zip((own, held), folders, strict=True):
        save(part, folder)
    sizes = {"training_rows": len(own), "holdout_rows": len(held)}
    summary = f"{len(own):,} {what} to learn from · {len(held):,} held out"
    return sizes | {"features": len(own.names), "summary": summary}, sizes


def save(rows: Rows, folder: Path) -> None:
    """Write `rows`: the same bytes for the same rows."""
    is_number = rows.target.dtype == np.float64
    target = {TARGET: rows.target} if is_number else arrays.pack(TARGET, rows.target.tolist())
    columns = {"features": rows.features, **target, **arrays.pack(UNIT, rows.units)}
    arrays.save(folder / FILE, columns, {"names": list(rows.names)})


def load(folder: Path) -> Rows:
    """What `save` wrote. Raises InputError where it is not there."""
    found, facts = arrays.load(folder / FILE)
    target = found.get(TARGET)
    if target is None:
        target = np.array(arrays.unpack(TARGET, found))
    return Rows(arrays.unpack(UNIT, found), tuple(facts["names"]), found["features"], target)


def _features(columns: Sequence[str] | Facts) -> tuple[str, ...]:
    from flows import bigquery

    names = tuple(name for name in columns if name not in (UNIT, TARGET, bigquery.AT))
    if not names:
        raise InputError(
            f"the query's result has no column beside {UNIT} and {TARGET}, to learn from",
            "select the features in query.sql, too",
        )
    return names


def _refuse_repeated(units: Ids) -> None:
    for one, following in itertools.pairwise(units):
        if one == following:
            raise InputError(
                f"{UNIT} {one} has more than one row: it would count twice",
                "select one row a unit in query.sql",
            )
