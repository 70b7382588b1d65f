"""monitoring.googleapis.com: what endpoints served, as time series."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from localcloud import google_rest
from localcloud.cloud import Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.filters import matcher
from localcloud.http import Request, Response, Route
from localcloud.monitoring_points import Points
from localcloud.monitoring_series import PREFIX, Point, Series, Value, aligned, all_series, reduced
from localcloud.monitoring_shapes import shown
from localcloud.rpc import rest_error
from localcloud.values import Read, Resolver

PATH = "/v3/projects/{project}/timeSeries"
METRICS = ("prediction_count", "error_count", "response_count", "prediction_latencies")
TYPE = re.compile(r'metric\.type\s*=\s*"([^"]*)"')
FIELD = re.compile(r"(?:metric|resource)\.(?:type|labels?\.\w+)")
PERIOD = re.compile(r"(\d+(?:\.\d+)?)s")
PERCENTILE = re.compile(r"ALIGN_PERCENTILE_(\d\d)")
SUMS = ("ALIGN_DELTA", "ALIGN_SUM")
PAGE = 1000  # series
LONGEST = 104 * 7 * 86400  # seconds of an aligned period


class Fields(Resolver):
    """What a filter of time series may name."""

    def reader(self, _: Any, name: str) -> Read | None:
        """A series' field, whether this one has it or not."""
        return (lambda one: one.fields().get(name)) if FIELD.fullmatch(name) else None


class TimeSeries:
    """How the filter's parser calls what it reads."""

    name = "TimeSeries"


class Monitoring:
    """timeSeries.list of the predictions of endpoints; nothing is written through it."""

    hosts = (r"monitoring\.googleapis\.com",)

    def __init__(self, cloud: Cloud, points: Points) -> None:
        self._cloud, self._points = cloud, points

    def table(self) -> list[tuple[str, str]]:
        """The calls that are served."""
        return [("GET", PATH)]

    def routes(self) -> list[Route]:
        """The table."""
        found = [Route(verb, path, self.list_series) for verb, path in self.table()]
        return google_rest.routes(description("monitoring"), found, ("/",))

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """Google's error body."""
        return rest_error(error)

    def list_series(self, request: Request) -> Response:
        """timeSeries.list, by a filter and an interval, aligned and summed where that is asked for."""
        world, project = self._cloud.world, request.params["project"]
        principal = self._cloud.principal(request.headers.get("authorization", ""))
        if project not in (world.project, world.project_number):
            raise ApiError("PERMISSION_DENIED", f"Permission denied on resource project {project}.")
        self._cloud.iam.check(principal, "monitoring.timeSeries.list", f"projects/{project}")
        query = request.query
        passes = _passes(query.get("filter", ""))
        begin, end = _interval(query.get("interval.startTime", ""), query.get("interval.endTime", ""))
        found = [one for one in self._series() if passes(one)]
        found = [_within(one, begin, end) for one in found]
        found = _aggregated([one for one in found if one.points], request, end)
        size, start = _whole(request, "pageSize", PAGE), _whole(request, "pageToken", 0)
        some = [shown(one) for one in found[start : start + size]]
        if query.get("view") == "HEADERS":
            some = [{key: value for key, value in one.items() if key != "points"} for one in some]
        body: dict[str, Any] = {"timeSeries": some} if some else {}
        more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
        return Response(body | {"unit": shown(found[0])["unit"]} | more if found else body)

    def _series(self) -> list[Series]:
        world = self._cloud.world
        labels = {"project_id": world.project, "resource_container": world.project_number}
        resource = labels | {"location": world.region}
        return all_series(self._points.list(), resource, time.time())


def _passes(text: str) -> Callable[[Series], bool]:
    """Whether a series passes a filter. Raises where it names no metric that there is."""
    kinds = TYPE.findall(text)
    if len(set(kinds)) != 1:
        words = 'The filter must specify a single metric type, as metric.type = "…".'
        raise ApiError("INVALID_ARGUMENT", f"Field filter had an invalid value: {words}")
    if kinds[0] not in [PREFIX + name for name in METRICS]:
        served = f"the local cloud knows {PREFIX}{{{','.join(METRICS)}}}"
        words = f'Cannot find metric(s) that match type = "{kinds[0]}".'
        raise ApiError("NOT_FOUND", f"{words} ({served})")
    return matcher(text, TimeSeries, Fields())


def _whole(request: Request, name: str, default: int) -> int:
    """A number of the query; 0 is none. Raises INVALID_ARGUMENT."""
    text = request.query.get(name) or "0"
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ApiError("INVALID_ARGUMENT", f"Field {name} had an invalid value: '{text}'.")
    return int(text) or default


def _interval(start: str, end: str) -> tuple[float, float]:
    """Seconds since 1970. Raises INVALID_ARGUMENT."""
    try:
        last = datetime.fromisoformat(end)
        first = datetime.fromisoformat(start) if start else last
    except ValueError:
        words = "interval.startTime and interval.endTime must be times of RFC 3339."
        raise ApiError("INVALID_ARGUMENT", words) from None
    zones = [one.replace(tzinfo=one.tzinfo or UTC) for one in (first, last)]
    if zones[0] > zones[1]:
        words = "Field interval.end_time had an invalid value: The end time precedes the start time."
        raise ApiError("INVALID_ARGUMENT", words)
    return zones[0].timestamp(), zones[1].timestamp()


def _within(series: Series, begin: float, end: float) -> Series:
    """The points that end in the interval; its own start is not in it."""
    return replace(series, points=[one for one in series.points if begin < one.end <= end])


def _aggregated(found: list[Series], request: Request, end: float) -> list[Series]:
    query = request.query
    aligner = query.get("aggregation.perSeriesAligner", "ALIGN_NONE")
    reducer = query.get("aggregation.crossSeriesReducer", "REDUCE_NONE")
    percentile = PERCENTILE.fullmatch(aligner)
    known = percentile or aligner in ("ALIGN_NONE", "ALIGN_RATE", *SUMS)
    if not known or reducer not in ("REDUCE_NONE", "REDUCE_SUM") or _secondary(request):
        words = f"the local cloud serves {', '.join(SUMS)}, ALIGN_RATE, ALIGN_PERCENTILE_nn, REDUCE_SUM"
        raise ApiError("UNIMPLEMENTED", f"{words}; not {aligner} with {reducer}")
    if aligner == "ALIGN_NONE" and reducer != "REDUCE_NONE":
        words = "aggregation.perSeriesAligner must be set where series are reduced."
        raise ApiError("INVALID_ARGUMENT", words)
    if aligner != "ALIGN_NONE":
        period = PERIOD.fullmatch(query.get("aggregation.alignmentPeriod", ""))
        if period is None or not 60 <= float(period[1]) <= LONGEST:
            words = f"aggregation.alignmentPeriod must be 60s to {LONGEST}s where series are aligned."
            raise ApiError("INVALID_ARGUMENT", words)
        found = [replace(one, points=aligned(one.points, float(period[1]), end)) for one in found]
        found = [_converted(one, aligner, percentile) for one in found]
    if reducer == "REDUCE_SUM":
        found = reduced(found, query.all("aggregation.groupByFields"))
    return found


def _secondary(request: Request) -> bool:
    return any(name.startswith("secondaryAggregation.") for name in request.query)


def _converted(series: Series, aligner: str, percentile: re.Match[str] | None) -> Series:
    """The points as the aligner makes them of what was counted in each period."""

    def value(point: Point) -> Value:
        if percentile:
            if not hasattr(point.value, "percentile"):
                raise ApiError(
                    "INVALID_ARGUMENT", f"{aligner} is of distributions; this metric is none."
                )
            return float(point.value.percentile(int(percentile[1])))
        if aligner == "ALIGN_RATE" and isinstance(point.value, int):
            return point.value / (point.end - point.start)
        return point.value

    return replace(series, points=[replace(one, value=value(one)) for one in series.points])
