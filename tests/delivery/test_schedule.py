"""The schedule: which moment of a flow's cron is due, whatever ticks come late, twice or never."""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
import pytest
from google.cloud import aiplatform_v1 as vertex

from delivery import schedule
from delivery.schedule import Due
from flows import config
from flows.config import FlowConfig
from flows.errors import InputError


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def flow(cron: str | None = "0 3 * * 1", timezone: str = "Asia/Tokyo") -> FlowConfig:
    return msgspec.structs.replace(config.load("recommender"), schedule=cron, timezone=timezone)


class Jobs:
    """A flow's jobs."""

    def __init__(self, *there: Any) -> None:
        self.there = there

    def newest(self, flow: str, most: int, labelled: str = "") -> list[Any]:
        assert flow == "recommender"
        return [one for one in self.there if labelled in ("", *one.labels)][:most]


def scheduled(label: str, of: FlowConfig, state: str = "SUCCEEDED") -> Any:
    """A job that the schedule made for a moment, in time."""
    made = datetime.strptime(label, schedule.FORM).replace(tzinfo=UTC)
    return job(made, Due(made, False, 0).labels(of), state)


def job(made: datetime, labels: dict[str, str], state: str = "SUCCEEDED") -> Any:
    return vertex.PipelineJob(create_time=made, labels=labels, state=f"PIPELINE_STATE_{state}")


MONDAY = at("2026-11-22T18:00:00Z")  # 03:00 in Tokyo
BEFORE, NOW = "20261115-180000", "20261122-180000"


def due(present: str, *labels: str, **changed: Any) -> Due | None:
    return found(present, *(scheduled(one, flow(**changed)) for one in labels), **changed)


def found(present: str, *there: Any, **changed: Any) -> Due | None:
    jobs: Any = Jobs(*there)
    return schedule.due(flow(**changed), jobs, at(present))


@pytest.mark.parametrize(
    ("present", "labels", "found"),
    [
        ("2026-11-23T03:00:00+09:00", [BEFORE], Due(MONDAY, False, 0)),
        ("2026-11-23T02:59:59+09:00", [BEFORE], None),
        ("2026-11-23T03:47:12+09:00", [BEFORE], Due(MONDAY, False, 0)),  # late
        ("2026-11-23T03:00:00+09:00", [BEFORE, NOW], None),  # doubled
        ("2026-11-23T03:00:00+09:00", [NOW, BEFORE], None),
        ("2026-11-23T03:00:00+09:00", ["20261129-180000"], None),  # a run again of an old tick
        ("2026-11-23T03:00:00+09:00", [], Due(MONDAY, False, 0)),
        ("2026-11-26T03:00:00+09:00", [], None),  # a new flow has missed nothing
        ("2026-11-26T03:00:00+09:00", [BEFORE], Due(MONDAY, True, 0)),  # dropped for days
        ("2026-11-23T03:00:00+09:00", ["20261101-180000"], Due(MONDAY, False, 2)),
        ("2026-11-23T03:00:00+09:00", ["20201101-180000"], Due(MONDAY, False, 100)),
    ],
)
def test_a_moment_is_due_once(present: str, labels: list[str], found: Due | None) -> None:
    assert due(present, *labels) == found


@pytest.mark.parametrize(
    ("made", "labels", "is_due"),
    [
        ("2026-11-22T18:00:00Z", {}, False),
        ("2026-11-22T20:00:00Z", {}, False),  # a push, and the tick comes late
        ("2026-11-22T17:59:59Z", {}, True),
        ("2026-11-22T20:00:00Z", {"overridden": "yes"}, True),  # somebody's attempt
        ("2026-11-22T21:30:00Z", {}, True),  # after the tick's present
    ],
)
def test_what_a_push_has_trained_since_is_not_due(
    made: str, labels: dict[str, str], is_due: bool
) -> None:
    for before in ([], [scheduled(BEFORE, flow())]):
        seen = found("2026-11-22T21:00:00Z", job(at(made), labels), *before)
        assert seen == (Due(MONDAY, False, 0) if is_due else None)


def test_a_moment_that_a_push_has_made_up_for_is_not_missed() -> None:
    pushed = job(at("2026-11-15T20:00:00Z"), {})
    present = "2026-11-23T03:00:00+09:00"
    assert found(present, pushed, scheduled("20261108-180000", flow())) == Due(MONDAY, False, 0)


def test_an_edited_cron_has_missed_nothing() -> None:
    weekly = scheduled(BEFORE, flow())
    hourly = found("2026-11-19T10:05:00Z", weekly, cron="0 * * * *", timezone="UTC")
    assert hourly == Due(at("2026-11-19T10:00:00Z"), late=False, missed=0)
    assert found("2026-11-19T10:05:00Z", weekly, cron="0 3 17 * *") is None
    elsewhere = found("2026-11-23T03:05:00Z", weekly, timezone="UTC")
    assert elsewhere == Due(at("2026-11-23T03:00:00Z"), late=False, missed=0)
    assert found("2026-11-15T18:05:00Z", weekly, cron="0 3 * * *") is None, "that moment has its job"


@pytest.mark.parametrize(
    ("due", "state", "is_told"),
    [
        (Due(MONDAY, late=True, missed=0), "RUNNING", True),
        (Due(MONDAY, late=False, missed=2), "PENDING", True),
        (Due(MONDAY, late=False, missed=2), "FAILED", False),
        (Due(MONDAY, late=False, missed=0), "RUNNING", False),
    ],
)
def test_what_was_missed_is_known_until_its_job_has_ended(due: Due, state: str, is_told: bool) -> None:
    jobs: Any = Jobs(job(MONDAY, {}), job(MONDAY, due.labels(flow()), state))
    told = schedule.late("recommender", jobs)
    assert bool(told) == is_told


def test_its_labels_keep_vertex_ai_s_limits() -> None:
    labels = Due(MONDAY, late=True, missed=100).labels(flow())
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", one) for one in (*labels, *labels.values()))


def test_the_same_moment_has_the_same_label_however_late() -> None:
    early, late = due("2026-11-23T03:00:00+09:00"), due("2026-11-23T12:34:56.789+09:00")
    assert early == late
    assert early
    assert early.labels(flow())[schedule.LABEL] == NOW


def test_a_flow_without_a_schedule_is_never_due() -> None:
    assert due("2026-11-23T03:00:00+09:00", cron=None) is None


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ("2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z"),  # 02:30 comes twice: its first time
        ("2026-10-25T01:45:00Z", "2026-10-25T00:30:00Z"),
        ("2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z"),  # there is no 02:30: at 03:00
        ("2026-07-01T12:00:00Z", "2026-07-01T00:30:00Z"),
        ("2026-01-01T12:00:00Z", "2026-01-01T01:30:00Z"),
    ],
)
def test_summer_time_skips_and_doubles_nothing(present: str, expected: str) -> None:
    moments = schedule.before(flow("30 2 * * *", "Europe/Berlin"), at(present))
    assert next(moments) == at(expected)


def test_moments_go_back_one_a_day() -> None:
    found = list(islice(schedule.before(flow("0 3 * * *", "UTC"), at("2026-11-21T03:00:00Z")), 3))
    assert found == [datetime(2026, 11, 21 - day, 3, tzinfo=UTC) for day in range(3)]
    assert found[0] - found[1] == timedelta(days=1)


@pytest.mark.parametrize("cron", ["0 99 * * *", "0 3 30 2 *"])
def test_what_is_no_cron_is_named(cron: str) -> None:
    with pytest.raises(InputError, match=r"recommender: flow\.toml: schedule = '0"):
        due("2026-11-23T03:00:00+09:00", cron=cron)
