"""People's measures and exercises as numbers, split into training set and holdout."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows import arrays, holdout
from flows.errors import InputError

KEY = "subject"
MEASURES = ("weight", "waist", "pulse")
EXERCISES = ("chins", "situps", "jumps")
FILE = "people.safetensors"

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class People:
    """One row a person, sorted by `subject`: `measures` is rows × 3, so is `exercises`.

    `usual` has the training set's mean of each exercise, in the holdout too: what a guess without
    any measure would be.
    """

    subject: arrays.Ids
    measures: Numbers
    exercises: Numbers
    usual: Numbers


def read(folder: Path) -> People:
    """All rows of the Parquet files in `folder`. Raises InputError where a column or a key is wrong."""
    from flows import bigquery

    rows = bigquery.read(folder, [KEY, *MEASURES, *EXERCISES])
    bigquery.no_nulls(rows, KEY)
    rows = rows.sort_by(KEY)
    subject = rows[KEY].to_pylist()
    for one, following in itertools.pairwise(subject):
        if one == following:
            raise InputError(
                f"{KEY} {one} has more than one row: it could be in training set and holdout",
                "select one row a person in query.sql",
            )
    measures, exercises = (
        np.column_stack([bigquery.numbers(rows, name) for name in names])
        for names in (MEASURES, EXERCISES)
    )
    return People(subject, measures, exercises, exercises.mean(axis=0))


def split(people: People, share: float, seed: int) -> tuple[People, People]:
    """Training set and holdout, about `share` of the people. Raises InputError where one is empty."""
    held = np.array(holdout.held([str(one).encode() for one in people.subject], share, seed))
    training = np.flatnonzero(~held)
    usual = people.exercises[training].mean(axis=0)
    return _part(people, training, usual), _part(people, np.flatnonzero(held), usual)


def write(people: People, folder: Path) -> None:
    """Write `people`: the same bytes for the same rows."""
    columns = {"measures": people.measures, "exercises": people.exercises, "usual": people.usual}
    arrays.save(folder / FILE, columns | arrays.pack(KEY, people.subject), {})


def load(folder: Path) -> People:
    """What `write` wrote. Raises InputError where it is not there."""
    found, _ = arrays.load(folder / FILE)
    columns = (found[name] for name in ("measures", "exercises", "usual"))
    return People(arrays.unpack(KEY, found), *columns)


def _part(people: People, rows: NDArray[np.int64], usual: Numbers) -> People:
    subject = [people.subject[row] for row in rows]
    return People(subject, people.measures[rows], people.exercises[rows], usual)
