"""What an endpoint's deployed models answered, as Cloud Monitoring counted it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, NamedTuple

from delivery import google_session, patience

API = "https://monitoring.googleapis.com/v3"
METRIC = "aiplatform.googleapis.com/prediction/online"
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
CALL = 60  # seconds

Bucket = tuple[float, float]  # from and to, in milliseconds


class Window(NamedTuple):
    """From when until when, in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def until(cls, end: datetime, start: datetime, longest: timedelta) -> "Window":
        """From `start`, but no longer than `longest`."""
        return cls(max(start, end - longest), end)


@dataclass
class Answers:
    """What one deployed model answered; `errors` are the responses that were none of 2xx."""

    responses: int = 0
    errors: int = 0
    predictions: int = 0
    latencies: Counter[Bucket] = field(default_factory=Counter)

    @property
    def error_rate(self) -> float | None:
        """The share of the responses that were errors; None without any response."""
        return self.errors / self.responses if self.responses else None

    def latency(self, share: float) -> float | None:
        """How many milliseconds `share` of the responses took at most; None where nothing was measured.

        Within a bucket it is taken as even; in the last one, which has no end, its beginning counts.
        """
        wanted, seen = share * self.latencies.total(), 0
        for (low, high), count in sorted(self.latencies.items()):
            if count and seen + count >= wanted:
                return low if high == inf else low + (high - low) * (wanted - seen) / count
            seen += count
        return None


def first(project: str, endpoint: str, deployed: str, window: Window) -> datetime | None:
    """When the first answer of a deployed model in `window` was counted; None where it gave none.

    Raises requests.HTTPError where Cloud Monitoring refuses.
    """
    session = google_session.session(patience.adapter())
    of = _of("response_count", endpoint, f' AND metric.labels.deployed_model_id="{deployed}"')
    points = (point for one in _series(session, project, of, window) for point in one["points"])
    begun = (one["interval"]["startTime"] for one in points if int(one["value"]["int64Value"]))
    return min(map(datetime.fromisoformat, begun), default=None)


def answers(project: str, endpoint: str, window: Window) -> dict[str, Answers]:
    """What each deployed model of the endpoint, by its id, answered in `window`.

    Raises requests.HTTPError where Cloud Monitoring refuses.
    """
    session = google_session.session(patience.adapter())
    found = dict[str, Answers]()

    def series(metric: str, more: str = "") -> Iterator[tuple[Answers, Any]]:
        for one in _series(session, project, _of(metric, endpoint, more), window):
            yield found.setdefault(one["metric"]["labels"]["deployed_model_id"], Answers()), one

    for model, one in series("response_count"):
        count = sum(int(point["value"]["int64Value"]) for point in one["points"])
        model.responses += count
        model.errors += 0 if _is_good(one["metric"]["labels"]["response_code"]) else count
    for model, one in series("prediction_count"):
        model.predictions += sum(int(point["value"]["int64Value"]) for point in one["points"])
    for model, one in series("prediction_latencies", ' AND metric.labels.latency_type="total"'):
        for point in one["points"]:
            unit = MILLISECONDS.get(one.get("unit", ""), 1.0)
            model.latencies.update(_buckets(point["value"]["distributionValue"], unit))
    return found


def _of(metric: str, endpoint: str, more: str) -> str:
    return f'metric.type="{METRIC}/{metric}" AND resource.labels.endpoint_id="{endpoint}"{more}'


def _is_good(code: str) -> bool:
    return code.startswith("2")


def _series(session: Any, project: str, of: str, window: Window) -> Iterator[Any]:
    """The time series, with all of their points, page by page."""
    asked = {
        "filter": of,
        "interval.startTime": _moment(window.start),
        "interval.endTime": _moment(window.end),
    }
    token = ""
    while True:
        more = {"pageToken": token} if token else {}
        url = f"{API}/projects/{project}/timeSeries"
        answer = session.get(url, params=asked | more, timeout=CALL)
        answer.raise_for_status()
        page = answer.json()
        yield from page.get("timeSeries", [])
        token = page.get("nextPageToken", "")
        if not token:
            return


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _buckets(distribution: Mapping[str, Any], unit: float) -> Counter[Bucket]:
    """A distribution's counts by bucket, in milliseconds; those behind the last count are empty."""
    bounds = [bound * unit for bound in _bounds(distribution.get("bucketOptions", {}))]
    pairs = zip([0.0, *bounds], [*bounds, inf], strict=True)
    counts: Iterable[Any] = distribution.get("bucketCounts", [])
    return Counter({pair: int(count) for pair, count in zip(pairs, counts, strict=False)})


def _bounds(options: Mapping[str, Any]) -> list[float]:
    """Where one bucket ends and the next one begins."""
    if explicit := options.get("explicitBuckets"):
        return [float(bound) for bound in explicit["bounds"]]
    if exponential := options.get("exponentialBuckets"):
        scale, growth = exponential["scale"], exponential["growthFactor"]
        return [scale * growth**n for n in range(exponential["numFiniteBuckets"] + 1)]
    linear = options.get("linearBuckets", {"offset": 0, "width": 1, "numFiniteBuckets": 0})
    return [linear["offset"] + linear["width"] * n for n in range(linear["numFiniteBuckets"] + 1)]
