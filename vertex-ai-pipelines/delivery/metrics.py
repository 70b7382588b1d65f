"""Metrics in Markdown: a candidate's beside the champion's, and their difference."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from delivery.markdown import code, interval, number, signed, table
from flows.manifest import CHAMPION, Comparison

Metrics: TypeAlias = Mapping[str, float | None]
MOST_ROWS = 40  # of any one list from outside: a body holds 65,536 characters


def compared(own: Metrics, theirs: Metrics, found: Comparison | None, first: str) -> str:
    """A table of `own` metrics, the metric `first` on top, and of `theirs`, where there are any."""
    head = ("metric", "candidate", *(("champion", "difference") if theirs else ()))
    names = sorted(_names(own), key=lambda name: (name != first, name))
    rows = [_row(name, own, theirs, found) for name in names]
    return table(head, rows[:MOST_ROWS])


def of_champion(own: Metrics) -> Metrics:
    """The champion's metrics on the candidate's holdout, which stand among the candidate's."""
    return {k.removeprefix(CHAMPION): v for k, v in own.items() if k.startswith(CHAMPION)}


def difference(found: Comparison) -> str:
    """Candidate − champion, with its interval."""
    return signed(found.difference) + interval(found.low, found.high, signed)


def _names(metrics: Metrics) -> Iterator[str]:
    """The candidate's metrics without the bounds of their intervals."""
    bounds = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return (name for name in metrics if name not in bounds and not name.startswith(CHAMPION))


def _row(name: str, own: Metrics, theirs: Metrics, found: Comparison | None) -> list[str]:
    cells = [code(name), _value(name, own)]
    if not theirs:
        return cells
    if found and found.metric == name:
        return [*cells, _value(name, theirs), difference(found)]
    return [*cells, _value(name, theirs), _change(own.get(name), theirs.get(name))]


def _value(name: str, metrics: Metrics) -> str:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return number(metrics.get(name)) + interval(low, high)


def _change(own: float | None, theirs: float | None) -> str:
    return "–" if own is None or theirs is None else signed(own - theirs)
