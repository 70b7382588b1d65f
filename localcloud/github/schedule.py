"""A workflow's `schedule`: which of its crons fell due between two times."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from localcloud.errors import ApiError
from localcloud.github.workflows import Workflow

TIME = "%Y-%m-%dT%H:%M:%SZ"
FIELD = r"(?:\d+|\*|[A-Za-z]{3}|[,/-])+"
POSIX = re.compile(rf"{FIELD}(?: +{FIELD}){{4}}")


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


def moment(text: str) -> datetime:
    """A time of ISO 8601 with its zone, in UTC. Raises INVALID_ARGUMENT."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("INVALID_ARGUMENT", f"'{text}' is no time such as 2026-11-23T03:00:00Z") from None
    if found.tzinfo is None:
        raise ApiError("INVALID_ARGUMENT", f"'{text}' has no time zone: write {text}Z, or {text}+09:00")
    return found.astimezone(UTC).replace(microsecond=0)
