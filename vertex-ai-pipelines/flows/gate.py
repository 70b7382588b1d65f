"""The gate: may this candidate be released, beside the champion and by itself? And how sure is that?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flows.config import Gate
from flows.errors import InputError
from flows.manifest import Comparison, Verdict
from flows.tables import hint

RESAMPLES = 1000
BLOCK = 1 << 22  # draws at a time: 32 MB
SMALL = 100  # units; below, a percentile interval is narrower than a t interval by 2 % and more
LARGE = 10_000  # units; above, a t interval is as near as two bootstraps are to one another
Scores = Mapping[str, NDArray[np.floating]]
Decision = Literal["passed", "refused", "undecided"]


@dataclass(frozen=True)
class Rival:
    """The champion on the candidate's holdout: scores of the same units in the same order.

    `obstacle` says why there are none: today's code cannot open or ask it.
    """

    version: str
    scores: Scores = field(default_factory=dict)
    obstacle: str = ""


def judge(gate: Gate, scores: Scores, rival: Rival | None) -> Verdict:
    """The verdict on a candidate by its `scores`, and by those of `rival` where a champion is there.

    It passes where its mean keeps to the floor, and where it is not worse than the champion, as
    `compare` decides; `on_undecided` and `on_incomparable` decide where that does not. A refusal's
    reasons are those that speak against it. Raises InputError where the gate's metric is not
    measured, or the holdout is empty.
    """
    own = _scores(gate, scores)
    answers = [_floor(gate, float(own.mean()))]
    comparison = None
    if rival is None:
        answers.append((True, "first release"))
    elif obstacle := _obstacle(gate, rival, len(own)):
        answers.append(_incomparable(gate, rival.version, obstacle))
    elif np.isfinite(own).all():
        comparison = compare(gate, own, np.asarray(rival.scores[gate.metric], np.float64))
        answers.append(_champion(gate, comparison, rival.version))
    passed = all(answer for answer, _ in answers)
    return Verdict(
        passed=passed,
        reasons=tuple(reason for answer, reason in answers if answer is passed),
        champion=rival.version if rival else None,
        comparison=comparison,
    )


def compare(gate: Gate, own: NDArray[np.floating], theirs: NDArray[np.floating]) -> Comparison:
    """Whether a candidate with `own` scores is not worse than a champion with `theirs`: unit by unit.

    A test of non-inferiority by interval (Piaggio et al. 2012, CONSORT; Efron and Tibshirani 1993,
    ch. 13): both are scored on the same units, so the mean of the paired differences is resampled,
    candidate − champion, and its two-sided interval at `confidence` is held against the margin. In
    the goal's direction: a lower bound not below −margin passes, an upper bound below −margin is
    refused, all else is undecided. So a candidate that is worse by the margin passes with a
    probability of at most (1 − confidence) / 2: 2.5 % at 0.95.

    Equal scores on every unit pass: nothing speaks for the champion. Otherwise, units so few that
    even an exact sign test could not decide at `confidence` (fewer than six at 0.95) leave it
    undecided, whatever they say.

    A relative margin is a share of the champion's mean on this holdout, taken as it is, without an
    interval of its own. Where that mean is not above zero, or scores below zero leave open whether
    it is, a share of it says nothing: then only a candidate that is surely better passes.
    """
    difference = own - theirs
    low, high = interval(difference, gate.confidence)
    margin = _margin(gate, theirs)
    return Comparison(
        metric=gate.metric,
        candidate=float(own.mean()),
        champion=float(theirs.mean()),
        difference=float(difference.mean()),
        low=None if math.isnan(low) else low,
        high=None if math.isnan(high) else high,
        margin=margin,
        confidence=gate.confidence,
        units=len(own),
        decision=_decide(gate, difference, (low, high), margin),
    )


def interval(scores: NDArray[np.floating], confidence: float, seed: int = 0) -> tuple[float, float]:
    """The bounds of the mean of `scores` (one a unit), two-sided at `confidence`.

    Percentile bootstrap over units (Efron 1979), seeded. That is too narrow for few units
    (Hesterberg 2015): with fewer than 100, Student's t interval; and with more than 10,000, where
    the two agree and resampling costs seconds. Both are NaN for fewer than two.
    """
    if len(scores) < 2:
        return math.nan, math.nan
    if not SMALL <= len(scores) <= LARGE:
        return _student(scores, confidence)
    random = np.random.default_rng(seed)
    size = max(1, BLOCK // len(scores))
    sizes = [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
    means = [scores[random.integers(len(scores), size=(n, len(scores)))].mean(axis=1) for n in sizes]
    outside = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [outside, 1 - outside])
    return float(low), float(high)


def _student(scores: NDArray[np.floating], confidence: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    units, mean = len(scores), float(scores.mean())
    half = float(stdtrit(units - 1, (1 + confidence) / 2) * scores.std(ddof=1)) / math.sqrt(units)
    return mean - half, mean + half


def keeps_floor(gate: Gate, value: float | None) -> bool:
    """Whether a metric's `value` is a number, and on the right side of the floor, if there is one."""
    if value is None or not math.isfinite(value):
        return False
    if gate.floor is None:
        return True
    return value >= gate.floor if gate.goal == "max" else value <= gate.floor


def signed(value: float, low: float | None, high: float | None) -> str:
    """A difference for people: "+0.0023 [-0.0011, +0.0057]"."""
    return f"{value:+.4f}" + ("" if low is None or high is None else f" [{low:+.4f}, {high:+.4f}]")


def _scores(gate: Gate, scores: Scores) -> NDArray[np.floating]:
    """The candidate's scores by the gate's metric."""
    if gate.metric not in scores:
        raise InputError(
            f"flow.toml: [gate] metric = '{gate.metric}' is not measured for each unit",
            hint(gate.metric, scores, "metric"),
        )
    if not len(scores[gate.metric]):
        raise InputError("the holdout is empty: there is nothing to measure on", "give it rows")
    return np.asarray(scores[gate.metric], np.float64)


def _obstacle(gate: Gate, rival: Rival, units: int) -> str:
    """Why the rival cannot be compared; nothing where it can."""
    if rival.obstacle:
        return rival.obstacle
    theirs = rival.scores.get(gate.metric, np.empty(0))
    if len(theirs) != units:
        return f"{len(theirs)} units have a {gate.metric}, expected {units}"
    lost = int((~np.isfinite(theirs)).sum())
    return f"its {gate.metric} is not a number for {lost} of {units} units" if lost else ""


def _margin(gate: Gate, theirs: NDArray[np.floating]) -> float | None:
    """The margin in the metric's unit; None where a share of the champion's mean says nothing."""
    if gate.margin_kind == "absolute" or gate.margin == 0:
        return gate.margin
    mean = float(theirs.mean())
    is_base = mean > 0 and (float(theirs.min()) >= 0 or interval(theirs, gate.confidence)[0] > 0)
    return gate.margin * mean if is_base else None


def _decide(
    gate: Gate, difference: NDArray[np.floating], bounds: tuple[float, float], margin: float | None
) -> Decision:
    if not difference.any():
        return "passed"
    if _too_few(len(difference), gate.confidence):
        return "undecided"
    worst, best = bounds if gate.goal == "max" else (-bounds[1], -bounds[0])
    if worst >= -(margin or 0.0):
        return "passed"
    return "refused" if margin is not None and best < -margin else "undecided"


def _too_few(units: int, confidence: float) -> bool:
    """Whether a two-sided sign test cannot decide, even where all units agree."""
    return 2.0 ** (1 - units) > 1 - confidence


def _floor(gate: Gate, value: float) -> tuple[bool, str]:
    passed = keeps_floor(gate, value)
    if not math.isfinite(value):
        return passed, f"{gate.metric} is not a number"
    if gate.floor is None:
        return passed, f"{gate.metric} {value:.4f}; no floor is set"
    if gate.goal == "max":
        side = f"{'not below' if passed else 'below'} the floor {gate.floor:g}"
    else:  # where less is better, it is the most that may be
        side = f"{'at most' if passed else 'more than'} {gate.floor:g}, the floor with goal = 'min'"
    return passed, f"{gate.metric} {value:.4f} is {side}"


def _incomparable(gate: Gate, version: str, obstacle: str) -> tuple[bool, str]:
    passed = gate.on_incomparable == "pass"
    why = f"not comparable with the champion {version}: {obstacle}"
    return passed, f"{why}; on_incomparable = '{gate.on_incomparable}'"


def _champion(gate: Gate, found: Comparison, version: str) -> tuple[bool, str]:
    """Whether it may pass beside the champion, and why."""
    words = f"{found.metric} differs by {signed(found.difference, found.low, found.high)}"
    bound = "" if found.margin is None else f"margin {found.margin:.4f}"
    if found.decision == "passed":
        return True, f"not worse than the champion {version}: {words}, {bound or 'surely better'}"
    if found.decision == "refused":
        return False, f"worse than the champion {version}: {words}, {bound}"
    passed = gate.on_undecided == "pass"
    if _too_few(found.units, found.confidence):
        bound = f"{found.units} units are too few"
    elif found.margin is None:
        bound = "a relative margin says nothing beside a champion that may be at or below zero: "
        bound += "set margin_kind = 'absolute'"
    told = f"it cannot be told from the champion {version}: {words}, {bound}"
    return passed, f"{told}; on_undecided = '{gate.on_undecided}'"
