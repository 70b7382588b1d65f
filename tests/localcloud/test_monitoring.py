"""Time series by themselves: what was counted at known times, aligned and summed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.http import Query, Request, Router
from localcloud.monitoring import Monitoring
from localcloud.monitoring_points import Count, Points
from localcloud.monitoring_series import Point, Series, aligned, all_series, reduced
from tests.localcloud.served import new_cloud

NOW = 10_000.0
FILTER = 'filter=metric.type="aiplatform.googleapis.com/prediction/online/prediction_count"'
INTERVAL = "interval.startTime=2020-01-01T00:00:00Z&interval.endTime=2100-01-01T00:00:00Z"
Ask = Callable[[str], Any]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """timeSeries.list with a query; its answer's body."""
    cloud = new_cloud(tmp_path)
    points = Points(cloud.store)
    router = Router([Monitoring(cloud, points)])
    known = {"authorization": f"Bearer {cloud.issue_token(cloud.world.owner)}"}

    def asked(query: str) -> Any:
        found, path = Query.parse(f"{FILTER}&{INTERVAL}&{query}"), "/v3/projects/acme-ml/timeSeries"
        return router(Request("GET", "monitoring.googleapis.com", path, found, known)).body

    points.count(("endpoints/e", "1", 200), 60, 1.0)
    yield asked
    points.close()
    cloud.store.close()


def series(*minutes: tuple[str, int]) -> list[Series]:
    """The prediction counts of deployed models that answered 6 instances in each of some minutes."""
    counts = [
        Count("endpoints/e", own, 200, minute, answers=1, predictions=6) for own, minute in minutes
    ]
    return [one for one in all_series(counts, {}, NOW) if one.metric.endswith("/prediction_count")]


def test_an_aligned_point_is_of_its_whole_period() -> None:
    [one] = series(("1", 600), ("1", 660), ("1", 900))
    assert aligned(one.points, 300.0, 990.0) == [Point(390.0, 690.0, 6), Point(690.0, 990.0, 12)]


def test_sums_over_series_have_one_point_a_period_whenever_each_was_asked() -> None:
    found = series(("1", 600), ("1", 720), ("2", 660))
    ready = [Series(s.metric, s.labels, s.resource, aligned(s.points, 300.0, 900.0)) for s in found]
    [total] = reduced(ready, [])
    assert total.points == [Point(600.0, 900.0, 18)]


@pytest.mark.parametrize(("now", "end"), [(630.0, 630.0), (NOW, 660.0)])
def test_a_minute_that_is_not_over_ends_now(now: float, end: float) -> None:
    [one, *_] = all_series([Count("endpoints/e", "1", 200, 600, answers=1, predictions=6)], {}, now)
    assert one.points == [Point(600.0, end, 6)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("pageSize=many", "pageSize"),
        ("pageSize=-1", "pageSize"),
        ("pageToken=x", "pageToken"),
        ("aggregation.crossSeriesReducer=REDUCE_SUM", "perSeriesAligner"),
        ("aggregation.perSeriesAligner=ALIGN_SUM&aggregation.alignmentPeriod=59s", "alignmentPeriod"),
        ("aggregation.perSeriesAligner=ALIGN_SUM&aggregation.alignmentPeriod=7e9s", "alignmentPeriod"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(ask: Ask, query: str, words: str) -> None:
    error = ask(query)["error"]
    assert (error["status"], words in error["message"]) == ("INVALID_ARGUMENT", True)


def test_a_rate_is_of_the_whole_period(ask: Ask) -> None:
    rate = "aggregation.perSeriesAligner=ALIGN_RATE&aggregation.alignmentPeriod=86400s"
    [one] = ask(rate)["timeSeries"]
    assert [point["value"] for point in one["points"]] == [{"doubleValue": 60 / 86400}]


def test_a_field_may_have_its_message_s_name(ask: Ask) -> None:
    """As the front end of all services that are described by messages has it."""
    snake = "aggregation.per_series_aligner=ALIGN_RATE&aggregation.alignment_period=86400s&page_size=7"
    camel = "aggregation.perSeriesAligner=ALIGN_RATE&aggregation.alignmentPeriod=86400s&pageSize=7"
    values = [
        [point["value"] for one in ask(query)["timeSeries"] for point in one["points"]]
        for query in (snake, camel)
    ]
    assert values[0] == values[1] != []
    assert 'Unknown name "page_sizes"' in ask("page_sizes=7")["error"]["message"]
