import math
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from flows import gate
from flows.config import Gate
from flows.errors import InputError
from flows.gate import Rival, Scores
from flows.manifest import Comparison, Verdict

MAX = Gate(metric="m", floor=0.03)
MIN = Gate(metric="m", goal="min", floor=0.5)
CLOSE = Gate(metric="m", margin=0.02, margin_kind="absolute")
RANDOM = np.random.default_rng(0)
BASE = RANDOM.normal(0.5, 0.1, 400)
NOISE = RANDOM.normal(0, 0.1, 400)
NOISE = (NOISE - NOISE.mean()) / NOISE.std()  # ± 0.1 is the interval of its mean


def scores(*values: float) -> Scores:
    return {"m": np.array(values)}


def against(table: Gate, own: Scores, theirs: Scores) -> tuple[Verdict, Comparison]:
    verdict = gate.judge(table, own, Rival("v1", theirs))
    assert verdict.comparison is not None
    return verdict, verdict.comparison


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
        (Gate(metric="m"), math.nan, False),
        (Gate(metric="m"), -1.0, True),
    ],
)
def test_the_floor_stands_in_the_goals_direction(table: Gate, value: float, passed: bool) -> None:
    assert gate.judge(table, scores(value), None).passed is passed
    assert gate.keeps_floor(table, value) is passed


def test_a_first_release_is_compared_with_nothing() -> None:
    verdict = gate.judge(MAX, scores(0.1), None)
    assert verdict.reasons == ("m 0.1000 is not below the floor 0.03", "first release")
    assert (verdict.champion, verdict.comparison) == (None, None)


@pytest.mark.parametrize(("value", "side"), [(0.4, "at most"), (0.6, "more than")])
def test_where_less_is_better_the_floor_is_the_most(value: float, side: str) -> None:
    [reason, *_] = gate.judge(MIN, scores(value), None).reasons
    assert reason == f"m {value:.4f} is {side} 0.5, the floor with goal = 'min'"


def test_a_refusal_says_only_what_speaks_against_it() -> None:
    assert gate.judge(MAX, scores(0.01), None).reasons == ("m 0.0100 is below the floor 0.03",)


def test_a_metric_that_is_not_measured_is_named() -> None:
    with pytest.raises(
        InputError, match=r"'ndgc@10' is not measured(.|\n)*nearest known metric: ndcg@10"
    ):
        gate.judge(Gate(metric="ndgc@10"), {"ndcg@10": np.ones(1), "recall@10": np.ones(1)}, None)


def test_an_empty_holdout_is_named() -> None:
    with pytest.raises(InputError, match="the holdout is empty"):
        gate.judge(MAX, scores(), None)


@pytest.mark.parametrize("goal", ["max", "min"])
@pytest.mark.parametrize(
    ("shift", "spread", "decision"),
    [
        (0.0, 0.1, "passed"),  # the interval is the shift ± 0.01
        (-0.009, 0.1, "passed"),
        (-0.02, 0.1, "undecided"),
        (-0.031, 0.1, "refused"),
        (0.5, 1.0, "passed"),  # ± 0.1
        (0.0, 1.0, "undecided"),
        (-0.5, 1.0, "refused"),
    ],
)
def test_the_interval_is_held_against_the_margin(
    goal: Literal["max", "min"], shift: float, spread: float, decision: str
) -> None:
    table = Gate(metric="m", goal=goal, margin=0.02, margin_kind="absolute")
    own = BASE + (1 if goal == "max" else -1) * (shift + spread * NOISE)
    verdict, found = against(table, {"m": own}, {"m": BASE})
    assert found.decision == decision
    assert verdict.passed is (decision == "passed")
    assert "v1" in verdict.reasons[-1]
    low, high = bounds(found)
    assert high - low == pytest.approx(2 * 1.96 * spread / 20, rel=0.1)
    assert low < found.difference < high


def test_the_resampled_units_are_the_same_for_both() -> None:
    own, theirs = {"m": BASE + 0.001 + 0.005 * NOISE}, {"m": BASE}
    low, high = bounds(against(CLOSE, own, theirs)[1])
    alone = gate.interval(BASE, CLOSE.confidence)
    assert 10 * (high - low) < alone[1] - alone[0]


@pytest.mark.parametrize(("answer", "passed"), [("refuse", False), ("pass", True)])
def test_undecided_does_what_flow_toml_says(answer: Literal["refuse", "pass"], passed: bool) -> None:
    table = Gate(metric="m", margin=0.02, margin_kind="absolute", on_undecided=answer)
    verdict, found = against(table, {"m": BASE + NOISE}, {"m": BASE})
    assert (found.decision, verdict.passed) == ("undecided", passed)
    assert "it cannot be told from the champion v1" in verdict.reasons[-1]
    assert verdict.reasons[-1].endswith(f"on_undecided = '{answer}'")


@pytest.mark.parametrize("own", [(9.0, 9.1, 9.2, 9.3), (0.0, 0.1, 0.0, 0.2), (1.0, 1.0, 1.0, 1.001)])
def test_four_units_cannot_tell(own: tuple[float, ...]) -> None:
    verdict, found = against(CLOSE, scores(*own), scores(1.0, 1.0, 1.0, 1.0))
    assert (found.decision, verdict.passed) == ("undecided", False)
    assert "4 units are too few" in verdict.reasons[-1]
    assert found.low is not None


def test_one_unit_has_no_interval() -> None:
    _, found = against(CLOSE, scores(2.0), scores(1.0))
    assert (found.low, found.high, found.decision) == (None, None, "undecided")


def test_six_units_that_agree_can_tell() -> None:
    better = (1.0, 1.1, 1.0, 1.2, 1.1, 1.0)
    assert against(CLOSE, scores(*better), scores(*[0.0] * 6))[1].decision == "passed"
    assert against(CLOSE, scores(*[0.0] * 6), scores(*better))[1].decision == "refused"


@pytest.mark.parametrize("margin", [0.0, 0.02])
@pytest.mark.parametrize("units", [1, 4, 400])
def test_equal_scores_pass(margin: float, units: int) -> None:
    table = Gate(metric="m", margin=margin)
    verdict, found = against(table, {"m": BASE[:units]}, {"m": BASE[:units]})
    assert (found.difference, found.decision, verdict.passed) == (0.0, "passed", True)


def test_without_a_margin_worse_is_refused_and_noise_is_undecided() -> None:
    table = Gate(metric="m")
    assert against(table, {"m": BASE - 0.05 + 0.1 * NOISE}, {"m": BASE})[1].decision == "refused"
    assert against(table, {"m": BASE + 0.1 * NOISE}, {"m": BASE})[1].decision == "undecided"
    assert against(table, {"m": BASE + 0.05 + 0.1 * NOISE}, {"m": BASE})[1].decision == "passed"


def test_a_relative_margin_is_a_share_of_the_champions_mean() -> None:
    table = Gate(metric="m", margin=0.1)
    _, found = against(table, {"m": BASE + 0.1 * NOISE - 0.03}, {"m": BASE})
    assert found.margin == pytest.approx(0.1 * BASE.mean())
    assert found.decision == "passed"


@pytest.mark.parametrize("base", [BASE - 1.0, BASE - BASE.mean() + 1e-4, np.zeros(400)])
def test_a_share_of_nothing_says_nothing(base: np.ndarray[Any, Any]) -> None:
    table = Gate(metric="m", margin=0.1)
    verdict, found = against(table, {"m": base - 0.5 + 0.1 * NOISE}, {"m": base})
    assert (found.margin, found.decision) == (None, "undecided")
    assert "set margin_kind = 'absolute'" in verdict.reasons[-1]
    better, found = against(table, {"m": base + 0.5 + 0.1 * NOISE}, {"m": base})
    assert (found.margin, found.decision, better.passed) == (None, "passed", True)
    assert "surely better" in better.reasons[-1]


@pytest.mark.parametrize(
    ("rival", "why"),
    [
        (Rival("v1", obstacle="no array 'items'"), "no array 'items'"),
        (Rival("v1", scores(1.0, 1.0)), "2 units have a m, expected 3"),
        (Rival("v1"), "0 units have a m, expected 3"),
        (Rival("v1", scores(1.0, math.nan, 1.0)), "its m is not a number for 1 of 3 units"),
    ],
)
@pytest.mark.parametrize(("answer", "passed"), [("refuse", False), ("pass", True)])
def test_an_incomparable_champion_does_what_flow_toml_says(
    rival: Rival, why: str, answer: Literal["refuse", "pass"], passed: bool
) -> None:
    table = Gate(metric="m", on_incomparable=answer)
    verdict = gate.judge(table, scores(1.0, 2.0, 3.0), rival)
    assert (verdict.passed, verdict.champion, verdict.comparison) == (passed, "v1", None)
    assert (
        verdict.reasons[-1]
        == f"not comparable with the champion v1: {why}; on_incomparable = '{answer}'"
    )


def test_better_than_the_champion_is_not_enough_below_the_floor() -> None:
    verdict, found = against(MAX, {"m": BASE * 0.01 + 0.001}, {"m": BASE * 0.01})
    assert (found.decision, verdict.passed) == ("passed", False)
    assert [reason.partition(" is ")[2] for reason in verdict.reasons] == ["below the floor 0.03"]


def test_a_candidate_that_is_not_a_number_is_refused() -> None:
    verdict = gate.judge(CLOSE, scores(1.0, math.nan), Rival("v1", scores(1.0, 1.0)))
    assert (verdict.passed, verdict.reasons) == (False, ("m is not a number",))


def test_a_verdict_survives_the_pipeline() -> None:
    for units in (1, 400):
        verdict, _ = against(Gate(metric="m", margin=0.1), {"m": NOISE[:units]}, {"m": -BASE[:units]})
        assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


def test_the_interval_covers_the_mean_and_repeats() -> None:
    found = np.random.default_rng(1).normal(1.0, 2.0, 10_000)
    low, high = gate.interval(found, 0.95)
    assert low < found.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 2.0 / 100, rel=0.1)
    assert gate.interval(found, 0.95) == (low, high)
    assert all(map(math.isnan, gate.interval(np.empty(0), 0.95)))


@pytest.mark.parametrize("units", [4, 10, 100, 300])
def test_an_interval_covers_the_truth_as_often_as_it_says(units: int) -> None:
    samples = np.random.default_rng(2).normal(0, 1, (400, units))
    found = [gate.interval(sample, 0.95) for sample in samples]
    assert 0.92 < np.mean([low < 0 < high for low, high in found]) < 0.98


def bounds(found: Comparison) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_resampling_ends_where_a_t_interval_says_the_same() -> None:
    random = np.random.default_rng(0)
    scores = np.where(random.random(gate.LARGE + 1) < 0.3, random.random(gate.LARGE + 1), 0.0)
    resampled, large = gate.interval(scores[:-1], 0.95), gate.interval(scores, 0.95)
    assert resampled != large
    width = large[1] - large[0]
    assert np.allclose(resampled, large, rtol=0, atol=0.08 * width)
