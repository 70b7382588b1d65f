"""evaluate, as all flows share it: candidate and champion on one holdout, and the gate's verdict."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from flows import gate as gates
from flows.config import Gate
from flows.contract import Evaluated, Number, Saved
from flows.errors import InputError, RetrainError
from flows.gate import Rival, Scores
from flows.manifest import CHAMPION, Verdict


@dataclass(frozen=True)
class Measured:
    """A model on the holdout.

    `scores` has, for each metric that the gate can use, one value a unit (a user, a row, …); the
    metric is their mean. `units` names the units, in that order. `metrics` are of the whole holdout.
    """

    units: Sequence[int | str]
    scores: Scores
    metrics: Mapping[str, Number] = field(default_factory=dict)


Measure: TypeAlias = Callable[[Saved], Measured]


def evaluate(
    gate: Gate, measure: Measure, model: Saved, champion: Saved | None, folder: Path
) -> Evaluated:
    """`measure` both, judge, and write scores.parquet to `folder`: unit, each metric, champion_….

    `measure` opens a saved model and asks it for predictions on the holdout. Metrics are the means
    with their intervals (NAME_low, NAME_high), and the champion's below champion_NAME. Raises
    InputError where the holdout is empty, or the gate's metric is not among the scores.
    """
    own = measure(model)
    if not len(own.units):
        raise InputError("the holdout is empty: there is nothing to measure on", "give it rows")
    theirs, obstacle = _ask(measure, champion)
    rival = Rival(champion.version, theirs.scores if theirs else {}, obstacle) if champion else None
    verdict = gates.judge(gate, own.scores, rival)
    columns = dict(own.scores)
    metrics = dict(_metrics(own, gate.confidence))
    if theirs:
        columns |= {f"{CHAMPION}{name}": values for name, values in theirs.scores.items()}
        metrics |= {f"{CHAMPION}{k}": v for k, v in _metrics(theirs, gate.confidence)}
    _write(folder / "scores.parquet", own.units, columns)
    return Evaluated(metrics, verdict, {"units": len(own.units)})


def summary(label: str, gate: Gate, metrics: Mapping[str, Number | None], verdict: Verdict) -> str:
    """What evaluate found, on one line for people; `label` is the gate's metric as they write it."""
    value, low, high = (metrics.get(f"{gate.metric}{end}") for end in ("", "_low", "_high"))
    parts = [f"{label} {_number(value)}"]
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        parts[0] += f" [{low:.4f}, {high:.4f}]"
    return " · ".join([*parts, *_against(verdict, _floor(gate, value))])


def _ask(measure: Measure, champion: Saved | None) -> tuple[Measured | None, str]:
    """The champion measured; or nothing, and why not.

    The same code has just measured the candidate, so whatever it raises is the champion's: another
    format, an array that is missing, inputs of another shape. Trouble of the machine is no such thing.
    """
    if champion is None or champion.obstacle:
        return None, champion.obstacle if champion else ""
    try:
        return measure(champion), ""
    except InputError as error:
        return None, error.what
    except (RetrainError, OSError, MemoryError):
        raise
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def _metrics(found: Measured, confidence: float) -> Iterator[tuple[str, Number]]:
    for name, values in found.scores.items():
        yield name, float(values.mean())
        yield from zip((f"{name}_low", f"{name}_high"), gates.interval(values, confidence), strict=True)
    yield from found.metrics.items()


def _write(path: Path, units: Sequence[int | str], columns: Scores) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = {name: values for name, values in columns.items() if len(values) == len(units)}
    pq.write_table(pa.table({"unit": list(units), **kept}), path)


def _against(verdict: Verdict, floor: str) -> list[str]:
    """What the metric was held against, and what came of it."""
    found, word = verdict.comparison, "passed" if verdict.passed else "refused"
    missed = [floor] if floor.endswith("missed") else []
    if found:
        difference = f"difference {gates.signed(found.difference, found.low, found.high)}"
        if found.decision == "undecided":
            word = f"undecided: {word}"
        return [f"champion {found.champion:.4f}", difference, *(missed or [word])]
    if verdict.champion:
        return ["not comparable with the champion", *(missed or [word])]
    return [*([floor] if floor else []), "first release"]


def _floor(gate: Gate, value: Number | None) -> str:
    if gate.floor is None:
        return ""
    return f"floor {gate.floor:g} {'passed' if gates.keeps_floor(gate, value) else 'missed'}"


def _number(value: Number | None) -> str:
    return "is not a number" if value is None or not math.isfinite(value) else f"{value:.4f}"
