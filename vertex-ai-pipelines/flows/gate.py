"""The gate: may this candidate be released? And how sure is its metric?"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from flows.config import Gate
from flows.contract import Number
from flows.errors import InputError
from flows.manifest import Verdict

RESAMPLES = 1000
BLOCK = 1 << 22  # draws at a time: 32 MB


def interval(scores: NDArray[np.floating], confidence: float, seed: int = 0) -> tuple[float, float]:
    """The bounds of the mean of `scores` (one a unit), at `confidence`.

    Percentile bootstrap over units (Efron 1979), seeded. Both are NaN where there are no scores.
    """
    if not len(scores):
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    size = max(1, BLOCK // len(scores))
    sizes = [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
    means = [scores[random.integers(len(scores), size=(n, len(scores)))].mean(axis=1) for n in sizes]
    outside = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [outside, 1 - outside])
    return float(low), float(high)


def judge(gate: Gate, metrics: Mapping[str, Number | None], champion: str) -> Verdict:
    """The verdict on a candidate's `metrics`; `champion` is the released version, or "".

    Raises InputError where the gate's metric is not one of them.
    """
    if gate.metric not in metrics:
        known = ", ".join(metrics)
        raise InputError(
            f"flow.toml: [gate] metric = '{gate.metric}' is not measured", f"choose one of: {known}"
        )
    passed, reason = _floor(gate, metrics[gate.metric])
    # The paired comparison with the champion belongs here.
    against = f"not compared with the champion {champion}" if champion else "first release"
    return Verdict(passed=passed, reasons=(reason, against), champion=champion or None)


def summary(gate: Gate, verdict: Verdict, metrics: Mapping[str, Number | None]) -> str:
    """The verdict for people, behind the metric: "floor 0.03 passed · first release"."""
    if gate.floor is None:
        return " · ".join(verdict.reasons)
    word = "passed" if _floor(gate, metrics[gate.metric])[0] else "missed"
    return " · ".join([f"floor {gate.floor:g} {word}", *verdict.reasons[1:]])


def _floor(gate: Gate, value: Number | None) -> tuple[bool, str]:
    if value is None or not math.isfinite(value):
        return False, f"{gate.metric} is not a number"
    if gate.floor is None:
        return True, f"{gate.metric} {value:.4f}; no floor is set"
    passed = value >= gate.floor if gate.goal == "max" else value <= gate.floor
    side = {("max", True): "not below", ("max", False): "below"}
    side |= {("min", True): "not above", ("min", False): "above"}
    return passed, f"{gate.metric} {value:.4f} is {side[gate.goal, passed]} the floor {gate.floor:g}"
