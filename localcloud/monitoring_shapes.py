"""A time series as Cloud Monitoring's REST interface shows it."""

from datetime import UTC, datetime
from typing import Any

from localcloud.monitoring_points import BOUNDS, GROWTH
from localcloud.monitoring_series import PREFIX, RESOURCE, UNITS, Distribution, Point, Series, Value


def shown(series: Series) -> dict[str, Any]:
    """The series with its points, newest first."""
    kinds = {_kind(one.value) for one in series.points} or {"INT64"}
    kind = kinds.pop()
    unit = UNITS.get(series.metric.removeprefix(PREFIX), "1")
    return {
        "metric": {"type": series.metric, "labels": dict(series.labels)},
        "resource": {"type": RESOURCE, "labels": dict(series.resource)},
        "metricKind": "GAUGE" if kind == "DOUBLE" else "DELTA",
        "valueType": kind,
        "points": [_point(one) for one in reversed(series.points)],
        "unit": unit,
    }


def _kind(value: Value) -> str:
    if isinstance(value, Distribution):
        return "DISTRIBUTION"
    return "INT64" if isinstance(value, int) else "DOUBLE"


def _point(point: Point) -> dict[str, Any]:
    interval = {"startTime": _stamp(point.start), "endTime": _stamp(point.end)}
    return {"interval": interval, "value": _value(point.value)}


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, Distribution):
        return {"distributionValue": _distribution(value)}
    # REST writes 64 bits as a text.
    return {"int64Value": str(value)} if isinstance(value, int) else {"doubleValue": value}


def _distribution(value: Distribution) -> dict[str, Any]:
    mean = value.total / value.count if value.count else 0.0
    last = max(map(int, value.buckets), default=-1)
    counts = [str(value.buckets.get(str(number), 0)) for number in range(last + 1)]
    finite = len(BOUNDS) - 1
    options = {"numFiniteBuckets": finite, "growthFactor": GROWTH, "scale": 1.0}
    return {
        "count": str(value.count),
        "mean": mean,
        "sumOfSquaredDeviation": max(value.squares - value.count * mean**2, 0.0),
        "bucketOptions": {"exponentialBuckets": options},
        "bucketCounts": counts,
    }


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
