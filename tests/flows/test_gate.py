import math

import numpy as np
import pytest

from flows import gate
from flows.config import Gate
from flows.errors import InputError

MAX = Gate(metric="m", floor=0.03)
MIN = Gate(metric="m", goal="min", floor=0.5)


@pytest.mark.parametrize(
    ("table", "value", "passed"),
    [
        (MAX, 0.03, True),
        (MAX, 0.0299, False),
        (MIN, 0.5, True),
        (MIN, 0.51, False),
        (MAX, math.nan, False),
        (MIN, math.nan, False),
        (MAX, math.inf, False),
        (MAX, None, False),
        (Gate(metric="m"), math.nan, False),
        (Gate(metric="m"), -1.0, True),
    ],
)
def test_the_floor_stands_in_the_goals_direction(table: Gate, value: float | None, passed: bool) -> None:
    assert gate.judge(table, {"m": value}, "").passed is passed


def test_reasons_claim_no_comparison_that_was_not_made() -> None:
    assert gate.judge(MAX, {"m": 0.1}, "").reasons[1] == "first release"
    verdict = gate.judge(MAX, {"m": 0.1}, "v1")
    assert verdict.reasons[1] == "not compared with the champion v1"
    assert verdict.champion == "v1"


def test_a_metric_that_is_not_measured_is_named() -> None:
    with pytest.raises(InputError, match=r"'m' is not measured\n.*choose one of: ndcg@10"):
        gate.judge(MAX, {"ndcg@10": 1.0}, "")


def test_the_interval_covers_the_mean_and_repeats() -> None:
    scores = np.random.default_rng(1).normal(1.0, 2.0, 10_000)
    low, high = gate.interval(scores, 0.95)
    assert low < scores.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2.0 / 100, rel=0.1)
    assert gate.interval(scores, 0.95) == (low, high)
    assert all(map(math.isnan, gate.interval(np.empty(0), 0.95)))
