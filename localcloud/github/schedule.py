"""A workflow's `schedule`: which of its crons fell due between two times."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from localcloud.github.workflows import Workflow

POSIX = re.compile(r"[\d*,/A-Za-z-]+( +[\d*,/A-Za-z-]+){4}")


@dataclass(frozen=True)
class Cron:
    """One line of a schedule, in its time zone."""

    line: str
    zone: str = "UTC"


def crons(workflow: Workflow) -> list[Cron]:
    """The crons of a workflow, each once."""
    given = workflow.triggers.get("schedule")
    found = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    lines = [Cron(str(one.get("cron", "")), str(one.get("timezone", "UTC"))) for one in found]
    return list(dict.fromkeys(lines))


def wrong(cron: Cron) -> str:
    """What is wrong with a cron; empty: nothing."""
    try:
        _times(cron, datetime.now(UTC))
    except (CronSimError, ValueError):
        return f"'{cron.line}' is no cron of five fields"
    except ZoneInfoNotFoundError:
        return f"there is no time zone '{cron.zone}'"
    return ""


def due(cron: Cron, after: datetime, until: datetime) -> bool:
    """Whether it fell due after one time and not after the other."""
    found = next(_times(cron, after), None)
    return found is not None and found <= until


def _times(cron: Cron, after: datetime) -> CronSim:
    if not POSIX.fullmatch(cron.line.strip()):
        raise ValueError(cron.line)
    zone = UTC if cron.zone == "UTC" else ZoneInfo(cron.zone)
    return CronSim(cron.line.strip(), after.astimezone(zone))
