"""How far the model's counts are off, one row a person."""

import numpy as np
from numpy.typing import NDArray

from flows.contract import Number
from flows.linnerud.people import EXERCISES, Numbers, People


def relative(predicted: Numbers, people: People) -> NDArray[np.float64]:
    """Each person's relative absolute error; 1 on average is no better than the training set's means.

    The absolute error of each exercise (rows × 3), in units of the mean absolute error that the
    training set's mean has on these rows, then averaged over the exercises. The average over the
    rows is the relative absolute error (Witten and Frank 2005) of the three. NaN where the mean is
    never wrong.
    """
    unit = np.abs(people.usual - people.exercises).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.abs(predicted - people.exercises) / unit
    found: NDArray[np.float64] = np.where(np.isfinite(errors), errors, np.nan).mean(axis=1)
    return found


def absolute(predicted: Numbers, people: People) -> dict[str, NDArray[np.float64]]:
    """Each person's absolute error (in counts), for each exercise."""
    errors = np.abs(predicted - people.exercises)
    return {f"mae_{name}": error for name, error in zip(EXERCISES, errors.T, strict=True)}


def r2(predicted: Numbers, people: People) -> dict[str, Number]:
    """R² of each exercise; not of one that is the same in all rows, where it has no value."""
    squares = ((predicted - people.exercises) ** 2).sum(axis=0)
    spread = ((people.exercises - people.exercises.mean(axis=0)) ** 2).sum(axis=0)
    found = zip(EXERCISES, squares, spread, strict=True)
    return {f"r2_{name}": float(1 - error / own) for name, error, own in found if own}
