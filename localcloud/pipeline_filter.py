"""Which pipeline jobs a list call shows, and in what order."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from google.cloud.aiplatform_v1 import types

from localcloud.errors import ApiError

State: TypeAlias = types.PipelineState
TIMES = ("create_time", "update_time", "start_time", "end_time")
SIGNS: dict[str, Callable[[str, str], bool]] = {
    "<": str.__lt__,
    "<=": str.__le__,
    ">": str.__gt__,
    ">=": str.__ge__,
}


def ordered(jobs: list[types.PipelineJob], order: str) -> list[types.PipelineJob]:
    """By the fields that `order` names, each ascending unless `desc`; without any, newest first."""
    for part in reversed((order or "create_time desc").split(",")):
        field, _, direction = part.strip().partition(" ")
        if field not in (*TIMES, "display_name"):
            raise ApiError("INVALID_ARGUMENT", f"order_by: '{field}' is not a field to order by.")
        jobs = sorted(jobs, key=_getter(field), reverse=direction.strip() == "desc")
    return jobs


def _getter(field: str) -> Callable[[types.PipelineJob], str]:
    return lambda job: _field(job, field)


def matches(job: types.PipelineJob, text: str) -> bool:
    """Whether a job passes a filter: comparisons of fields joined by AND."""
    clauses = [clause.strip() for clause in re.split(r"\bAND\b", text) if clause.strip()]
    return all(_clause(job, clause) for clause in clauses)


def _clause(job: types.PipelineJob, clause: str) -> bool:
    found = re.fullmatch(r'([\w.\-]+)\s*(!=|<=|>=|=|<|>|:)\s*"?([^"]*)"?', clause)
    if not found:
        raise ApiError("INVALID_ARGUMENT", f"The filter's clause '{clause}' is not one that is served.")
    field, sign, wanted = found.groups()
    if field == "labels":
        return wanted in job.labels
    value = _field(job, field)
    if sign in SIGNS:
        return bool(value) and SIGNS[sign](value, _moment(wanted))
    pattern = re.escape(wanted).replace(r"\*", ".*")
    return (re.fullmatch(pattern, value) is not None) != (sign == "!=")


def _field(job: types.PipelineJob, name: str) -> str:
    fields: dict[str, Callable[[], str]] = {
        "display_name": lambda: job.display_name,
        "pipeline_name": lambda: str(job.pipeline_spec["pipelineInfo"]["name"]),
        "pipeline_job_user_id": lambda: job.name.rsplit("/", 1)[1],
        "state": lambda: State(job.state).name,
        "service_account": lambda: job.service_account,
    }
    if name.startswith("labels."):
        return str(job.labels.get(name.removeprefix("labels."), ""))
    if name in TIMES:
        time = getattr(job, name)
        return _moment(time.rfc3339()) if time else ""
    if name not in fields:
        raise ApiError("INVALID_ARGUMENT", f"The filter's field '{name}' is not one that is served.")
    return fields[name]()


def _moment(text: str) -> str:
    """A time in the one form that compares as text."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError("INVALID_ARGUMENT", f"'{text}' is not a time of RFC 3339.") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat()
