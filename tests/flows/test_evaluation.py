"""Candidate and champion on one holdout: what is measured, written and said."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows import evaluation
from flows.config import Gate
from flows.contract import Evaluated, Saved
from flows.errors import InputError, RetrainError
from flows.evaluation import Measured

GATE = Gate(metric="m", floor=0.1, margin=0.1)
UNITS = list(range(400))
OLD = np.random.default_rng(0).uniform(0.4, 0.6, 400)
CANDIDATE, CHAMPION = Saved(Path("new"), "a", "f"), Saved(Path("old"), "a", "f", "v1")


def measure(better: float, obstacle: Exception | None = None) -> Callable[[Saved], Measured]:
    def by(saved: Saved) -> Measured:
        if obstacle and saved is CHAMPION:
            raise obstacle
        values = OLD + (better if saved is CANDIDATE else 0)
        return Measured(UNITS, {"m": values, "other": values}, {"whole": 0.5})

    return by


def evaluated(
    folder: Path, by: Callable[[Saved], Measured], gate: Gate = GATE, champion: Saved | None = CHAMPION
) -> tuple[Evaluated, str]:
    found = evaluation.evaluate(gate, by, CANDIDATE, champion, folder)
    return found, evaluation.summary("M", gate, found.metrics, found.verdict)


def test_both_are_measured_on_the_same_units(tmp_path: Path) -> None:
    found, line = evaluated(tmp_path, measure(0.01))
    own = {"m", "m_low", "m_high", "other", "other_low", "other_high", "whole"}
    assert set(found.metrics) == own | {f"champion_{name}" for name in own}
    assert found.metrics["champion_m"] == pytest.approx(OLD.mean())
    assert found.facts == {"units": 400}
    scores = pq.read_table(tmp_path / "scores.parquet").to_pydict()
    assert list(scores) == ["unit", "m", "other", "champion_m", "champion_other"]
    assert scores["unit"] == UNITS
    assert np.array(scores["m"]) - np.array(scores["champion_m"]) == pytest.approx(0.01)
    assert line.endswith(" · champion 0.5061 · difference +0.0100 [+0.0100, +0.0100] · passed"), line
    assert len(line) <= 100


def test_a_first_release_is_measured_alone(tmp_path: Path) -> None:
    found, line = evaluated(tmp_path, measure(0), champion=None)
    assert not any(name.startswith("champion_") for name in found.metrics)
    assert line.endswith("] · floor 0.1 passed · first release")
    assert evaluated(tmp_path, measure(-0.5), champion=None)[1].endswith(
        "floor 0.1 missed · first release"
    )
    _, line = evaluated(tmp_path, measure(0), Gate(metric="m"), None)
    assert line.endswith("] · first release")


@pytest.mark.parametrize(
    ("better", "end"),
    [
        (-0.1, "difference -0.1000 [-0.1000, -0.1000] · refused"),
        (-0.45, "difference -0.4500 [-0.4500, -0.4500] · floor 0.1 missed"),
    ],
)
def test_a_refusal_is_said(tmp_path: Path, better: float, end: str) -> None:
    found, line = evaluated(tmp_path, measure(better))
    assert not found.verdict.passed
    assert line.endswith(end), line


@pytest.mark.parametrize(("answer", "word"), [("refuse", "refused"), ("pass", "passed")])
def test_undecided_is_said(tmp_path: Path, answer: Literal["refuse", "pass"], word: str) -> None:
    noise = np.where(np.arange(400) % 2, 5.0, -5.0)

    def by(saved: Saved) -> Measured:
        return Measured(UNITS, {"m": OLD + (noise if saved is CANDIDATE else 0)})

    found, line = evaluated(tmp_path, by, Gate(metric="m", on_undecided=answer))
    assert found.verdict.passed is (answer == "pass")
    assert line.endswith(f" · undecided: {word}"), line


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [
        (InputError("it cannot open a model of als"), "it cannot open a model of als"),
        (KeyError("items"), "KeyError: 'items'"),
        (ValueError("shapes (3,) and (4,)"), "ValueError: shapes (3,) and (4,)"),
    ],
)
@pytest.mark.parametrize(("answer", "word"), [("refuse", "refused"), ("pass", "passed")])
def test_a_champion_that_cannot_be_opened_is_a_verdict(
    tmp_path: Path, obstacle: Exception, why: str, answer: Literal["refuse", "pass"], word: str
) -> None:
    gate = Gate(metric="m", on_incomparable=answer)
    found, line = evaluated(tmp_path, measure(0, obstacle), gate)
    assert found.verdict.passed is (answer == "pass")
    assert (found.verdict.champion, found.verdict.comparison) == ("v1", None)
    assert why in found.verdict.reasons[-1]
    assert line.endswith(f" · not comparable with the champion · {word}"), line
    assert not any(name.startswith("champion_") for name in found.metrics)


@pytest.mark.parametrize("trouble", [RetrainError("S3 is away"), OSError("disk"), MemoryError()])
def test_trouble_of_the_machine_is_no_verdict(tmp_path: Path, trouble: Exception) -> None:
    with pytest.raises(type(trouble)):
        evaluated(tmp_path, measure(0, trouble))


def test_a_candidate_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    def by(saved: Saved) -> Measured:
        raise KeyError(saved.algorithm)

    with pytest.raises(KeyError):
        evaluated(tmp_path, by)


def test_an_empty_holdout_is_refused(tmp_path: Path) -> None:
    empty: Any = lambda _: Measured([], {"m": np.empty(0)})  # noqa: E731
    with pytest.raises(InputError, match="the holdout is empty"):
        evaluated(tmp_path, empty)
    assert not list(tmp_path.iterdir())


def test_what_is_not_a_number_is_said(tmp_path: Path) -> None:
    def by(_: Saved) -> Measured:
        return Measured(UNITS, {"m": np.full(400, np.nan)})

    found, line = evaluated(tmp_path, by, champion=None)
    assert not found.verdict.passed
    assert line == "M is not a number · floor 0.1 missed · first release"
