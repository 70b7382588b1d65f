"""When a flow is due by its own cron: which moment, whether it was run, and which ones were missed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from delivery.follow import ENDED
from delivery.health import LOOKED_AT
from delivery.jobs import OVERRIDDEN, Jobs
from flows.config import FlowConfig
from flows.errors import InputError

LABEL = "schedule"  # of a job that the schedule made: the moment that it is for
CRON = "cron"  # of such a job: the flow's cron at that time
MISSED = "missed"  # of one that came late: how many moments before its own had none
FORM = "%Y%m%d-%H%M%S"
LATE = timedelta(days=1)  # GitHub's own schedule comes minutes or hours late; later than that is missed
COUNTED = 100  # missed moments


@dataclass(frozen=True)
class Due:
    """A moment that has no job yet, in UTC; `missed` others before it have none either, and get none."""

    moment: datetime
    late: bool
    missed: int

    def labels(self, flow: FlowConfig) -> dict[str, str]:
        """What the job for it says, so that later ticks know."""
        missed = {MISSED: str(self.missed)} if self.late or self.missed else {}
        return {LABEL: f"{self.moment:{FORM}}", CRON: _cron(flow), **missed}


def due(flow: FlowConfig, jobs: Jobs, present: datetime) -> Due | None:
    """The flow's last moment at or before `present`, unless it, or a later one, has a job.

    So does one after which the flow was trained for another reason. A cron that the schedule never ran,
    new or edited, has missed nothing: only a moment of the last day counts. Raises InputError for a cron
    that is none.
    """
    moments = before(flow, present)
    moment = next(moments, None)
    if moment is None:
        return None
    scheduled = jobs.newest(flow.name, COUNTED, LABEL)
    known = {job.labels[LABEL]: job.labels.get(CRON) for job in scheduled}
    last, late = max(known, default=""), present - moment > LATE
    trained = _trained(flow, jobs, present)
    if max(last, trained) >= f"{moment:{FORM}}":
        return None
    if known.get(last) != _cron(flow):
        return None if late else Due(moment, late=False, missed=0)
    others = takewhile(lambda one: f"{one:{FORM}}" > max(last, trained), moments)
    return Due(moment, late, sum(1 for _ in islice(others, COUNTED)))


def late(flow: str, jobs: Jobs) -> Any | None:
    """The flow's newest scheduled job, where it came late and has not ended."""
    newest = next(iter(jobs.newest(flow, 1, LABEL)), None)
    is_late = newest is not None and MISSED in newest.labels
    has_ended = newest is not None and newest.state.name.removeprefix("PIPELINE_STATE_") in ENDED
    return newest if is_late and not has_ended else None


def _trained(flow: FlowConfig, jobs: Jobs, present: datetime) -> str:
    """When the flow was last trained as its commit has it, by `present`; "" for never."""
    own = [job for job in jobs.newest(flow.name, LOOKED_AT) if OVERRIDDEN not in job.labels]
    made = [job.create_time for job in own if job.create_time <= present]
    return max((f"{one.astimezone(UTC):{FORM}}" for one in made), default="")


def _cron(flow: FlowConfig) -> str:
    """The flow's cron and time zone, as a label can hold them."""
    return hashlib.sha256(f"{flow.schedule} {flow.timezone}".encode()).hexdigest()[:16]


def before(flow: FlowConfig, present: datetime) -> Iterator[datetime]:
    """The moments of the flow's cron at or before `present`, in UTC, the last one first.

    None without a cron. Raises InputError for one that is none.
    """
    from cronsim import CronSim, CronSimError

    if flow.schedule is None:
        return iter(())

    start = present.astimezone(ZoneInfo(flow.timezone)).replace(second=0, microsecond=0)
    try:
        # It begins before the time that it is given.
        moments = CronSim(flow.schedule, start + timedelta(minutes=1), reverse=True)
    except CronSimError as error:
        raise InputError(
            f"{flow.name}: flow.toml: schedule = '{flow.schedule}' is no cron expression: {error}",
            'write five fields such as "0 3 * * 1"',
        ) from None
    return (moment.astimezone(UTC) for moment in moments)
