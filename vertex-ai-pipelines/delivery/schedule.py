"""When a flow is due by its own cron: which moment, whether it was run, and which ones were missed."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from delivery.jobs import Jobs
from flows.config import FlowConfig
from flows.errors import InputError

LABEL = "schedule"  # of a job that the schedule made: the moment that it is for
FORM = "%Y%m%d-%H%M%S"
LATE = timedelta(days=1)  # GitHub's own schedule comes minutes or hours late; later than that is missed
COUNTED = 100  # missed moments


@dataclass(frozen=True)
class Due:
    """A moment that has no job yet, in UTC; `missed` others before it have none either, and get none."""

    moment: datetime
    late: bool
    missed: int

    @property
    def label(self) -> str:
        """The moment as a job's label says it."""
        return f"{self.moment:{FORM}}"


def due(flow: FlowConfig, jobs: Jobs, present: datetime) -> Due | None:
    """The flow's last moment at or before `present`, unless it, or a later one, has a job.

    A flow that the schedule never ran has missed nothing: only a moment of the last day counts.
    Raises InputError for a cron that is none.
    """
    moments = before(flow, present)
    moment = next(moments, None)
    if moment is None:
        return None
    labels = [job.labels[LABEL] for job in jobs.newest(flow.name, COUNTED, LABEL)]
    last, late = max(labels, default=None), present - moment > LATE
    if last is None:
        return None if late else Due(moment, late=False, missed=0)
    if last >= f"{moment:{FORM}}":
        return None
    others = takewhile(lambda one: f"{one:{FORM}}" > last, moments)
    return Due(moment, late, sum(1 for _ in islice(others, COUNTED)))


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
