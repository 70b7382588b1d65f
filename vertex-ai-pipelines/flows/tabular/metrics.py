"""How good predictions are: one value a unit for each metric that a gate can use."""

import numpy as np
from numpy.typing import NDArray

from flows.arrays import Ids
from flows.contract import Number
from flows.tabular.rows import Numbers

TOP = 10  # places of a ranking that count
LEAST = 1e-15  # of a probability: a label that was held for impossible costs a finite loss


def errors(predicted: Numbers, truth: Numbers) -> dict[str, Numbers]:
    """Each row's absolute error, and relative to what the mean would have (Witten and Frank 2005).

    The relative one is 1 on average where a model is no better than the mean of these rows; NaN where
    all rows have the same target.
    """
    error = np.abs(predicted - truth)
    unit = np.abs(truth - truth.mean()).mean()
    return {"rae": error / unit if unit else np.full(len(error), np.nan), "mae": error}


def r2(predicted: Numbers, truth: Numbers) -> dict[str, Number]:
    """R² of all rows; not where all have the same target, where it has no value."""
    spread = float(((truth - truth.mean()) ** 2).sum())
    return {"r2": 1 - float(((predicted - truth) ** 2).sum()) / spread} if spread else {}


def hits(probabilities: Numbers, labels: Ids, truth: Ids) -> dict[str, Numbers]:
    """Each row's accuracy (0 or 1) and log loss; `probabilities` is rows × labels.

    A true label that the model does not know has the probability 0.
    """
    known = {label: place for place, label in enumerate(labels)}
    places = np.array([known.get(label, -1) for label in truth], np.int64)
    own = np.where(places < 0, 0.0, probabilities[np.arange(len(places)), places])
    right = (probabilities.argmax(axis=1) == places).astype(np.float64)
    return {"accuracy": right, "log_loss": -np.log(np.maximum(own, LEAST))}


def ndcg(scores: Numbers, relevance: Numbers, units: Ids) -> tuple[Ids, Numbers]:
    """The units that have something relevant, and the NDCG@10 of each (Järvelin and Kekäläinen 2002).

    `units` is sorted: its rows are one unit's candidates. What `relevance` has is the gain; equal scores
    keep their order. A unit without anything relevant says nothing, and is left out.
    """
    names, starts = np.unique(np.array(units), return_index=True)
    parts = zip(np.split(scores, starts[1:]), np.split(relevance, starts[1:]), strict=True)
    found = [_ndcg(own, gains) for own, gains in parts]
    kept: Ids = [name for name, one in zip(names.tolist(), found, strict=True) if one is not None]
    return kept, np.array([one for one in found if one is not None], np.float64)


def _ndcg(scores: Numbers, gains: Numbers) -> float | None:
    best = _discounted(np.sort(gains)[::-1])
    return _discounted(gains[np.argsort(-scores, kind="stable")]) / best if best else None


def _discounted(gains: NDArray[np.float64]) -> float:
    top = gains[:TOP]
    return float((top / np.log2(np.arange(len(top)) + 2)).sum())
