"""Time series of what endpoints served, as Cloud Monitoring knows them, and sums of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from localcloud.monitoring_points import BOUNDS, MINUTE, Count

PREFIX = "aiplatform.googleapis.com/prediction/online/"
RESOURCE = "aiplatform.googleapis.com/Endpoint"
UNITS = {"prediction_latencies": "ms"}
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Distribution:
    """How values are spread; buckets by their number in BOUNDS."""

    count: int
    total: float
    squares: float
    buckets: Mapping[str, int]

    def __add__(self, other: "Distribution") -> "Distribution":
        keys = {*self.buckets, *other.buckets}
        both = {key: self.buckets.get(key, 0) + other.buckets.get(key, 0) for key in keys}
        return Distribution(
            self.count + other.count, self.total + other.total, self.squares + other.squares, both
        )

    def percentile(self, percent: int) -> float:
        """The value below which so many percent are, within a bucket by proportion."""
        left = self.count * percent / 100
        for number, count in sorted((int(key), count) for key, count in self.buckets.items()):
            if left <= count:
                low = BOUNDS[number - 1] if number else 0.0
                high = BOUNDS[min(number, len(BOUNDS) - 1)]
                return low + (high - low) * left / count
            left -= count
        return 0.0


Value = int | float | Distribution


@dataclass(frozen=True)
class Point:
    """What was counted from `start` to `end`, in seconds since 1970."""

    start: float
    end: float
    value: Value


@dataclass(frozen=True)
class Series:
    """One time series; its points oldest first."""

    metric: str
    labels: Labels
    resource: Labels
    points: Sequence[Point] = field(default_factory=tuple)

    def fields(self) -> dict[str, str]:
        """What a filter, or a grouping, can name."""
        found = {"metric.type": self.metric, "resource.type": RESOURCE}
        for word in ("label", "labels"):
            found |= {f"metric.{word}.{key}": value for key, value in self.labels.items()}
            found |= {f"resource.{word}.{key}": value for key, value in self.resource.items()}
        return found


def all_series(counts: Iterable[Count], resource: Mapping[str, str], now: float) -> list[Series]:
    """Every series that the counts make; `resource` are the labels that all endpoints have."""
    found: dict[str, tuple[Series, list[Point]]] = {}
    for count in counts:
        place = {**resource, "endpoint_id": count.endpoint.rsplit("/", 1)[1]}
        for name, more, value in _values(count):
            labels = {"deployed_model_id": count.deployed, **more}
            series = Series(PREFIX + name, labels, place)
            _, points = found.setdefault(str(series), (series, []))
            end = min(count.minute + MINUTE, now)
            points.append(Point(count.minute, end, value))
    return [
        Series(one.metric, one.labels, one.resource, joined(points)) for one, points in found.values()
    ]


def _values(count: Count) -> Iterator[tuple[str, Labels, Value]]:
    """What a count means: a metric, the labels that it has beside the common one, a value."""
    latency = Distribution(count.answers, count.milliseconds, count.squares, count.buckets)
    yield "prediction_count", {}, count.predictions
    yield "error_count", {}, count.answers if count.code >= 400 else 0
    yield "response_count", {"response_code": str(count.code)}, count.answers
    yield "prediction_latencies", {"latency_type": "total"}, latency


def joined(points: Iterable[Point]) -> list[Point]:
    """One point for each minute, from its start to the last end in it."""
    return [
        Point(min(one.start for one in some), max(one.end for one in some), _sum(some))
        for _, some in _periods(points, MINUTE, 0.0)
    ]


def aligned(points: Iterable[Point], period: float, end: float) -> list[Point]:
    """One point for each whole period; the last one ends at `end`."""
    return [
        Point(end + (number - 1) * period, end + number * period, _sum(some))
        for number, some in _periods(points, period, end)
    ]


def _periods(points: Iterable[Point], period: float, end: float) -> Iterable[tuple[float, list[Point]]]:
    """The points of each period, by its number; 0 ends at `end`."""
    found: dict[float, list[Point]] = {}
    for point in points:
        # A point belongs to the period in which it ends.
        number = -((end - point.end) // period)
        found.setdefault(number, []).append(point)
    return sorted(found.items())


def _sum(points: Iterable[Point]) -> Value:
    return reduce(_plus, (one.value for one in points))


def _plus(one: Any, other: Any) -> Any:
    return one + other


def reduced(series: Iterable[Series], by: Sequence[str]) -> list[Series]:
    """Sums of those series that have the same values of the fields `by`."""
    groups: dict[tuple[str, ...], list[Series]] = {}
    for one in series:
        known = one.fields()
        groups.setdefault(tuple(known.get(name, "") for name in by), []).append(one)
    return [_summed(some, by) for some in groups.values()]


def _summed(some: list[Series], by: Sequence[str]) -> Series:
    ends: dict[float, list[Point]] = {}
    for point in (point for one in some for point in one.points):
        ends.setdefault(point.end, []).append(point)
    points = [Point(min(one.start for one in at), end, _sum(at)) for end, at in sorted(ends.items())]
    names = {name.rpartition(".")[2]: name.partition(".")[0] for name in by}
    labels = {key: v for key, v in some[0].labels.items() if names.get(key) == "metric"}
    place = {key: v for key, v in some[0].resource.items() if names.get(key) == "resource"}
    return Series(some[0].metric, labels, place, points)
