"""The last lines of a failed step, from Cloud Logging: its error on Vertex AI only points there."""

import sys
from collections.abc import Iterable
from typing import Any

from delivery import google_session
from delivery.follow import Step, task_of
from delivery.patience import CALL, patient
from flows.errors import RetrainError

ENTRIES = "https://logging.googleapis.com/v2/entries:list"
SCOPE = "https://www.googleapis.com/auth/logging.read"
MOST = 20  # lines
TASK = 'resource.labels.task_name="workerpool0-0"'  # the others are Vertex AI's own words


def tail(job: Any, step: Step) -> list[str]:
    """The step's last lines, the last one last; what its task says where there are none."""
    main = str(task_of(job, step.name).executor_detail.container_detail.main_job)
    try:
        lines = _lines(main) if main else []
    except RetrainError as error:
        print(f"logs          {error}", file=sys.stderr)
        lines = []
    return lines or step.error.splitlines() or ["it ended without a word"]


def _lines(custom_job: str) -> list[str]:
    """What a step's container wrote; Vertex AI runs a step as a custom job."""
    _, project, _, _, _, number = custom_job.split("/")
    return newest(project, ('resource.type="ml_job"', f'resource.labels.job_id="{number}"', TASK))


def newest(project: str, tests: Iterable[str]) -> list[str]:
    """The newest lines for which all tests hold, the newest one last. Raises RetrainError."""
    asked = {
        "resourceNames": [f"projects/{project}"],
        "filter": " AND ".join(tests),
        "orderBy": "timestamp desc",
        "pageSize": MOST,
    }
    entries = _ask(asked).get("entries", [])
    return [line for entry in reversed(entries) for line in _text(entry).splitlines()]


def _text(entry: dict[str, Any]) -> str:
    payload = entry.get("jsonPayload") or {}
    return str(entry.get("textPayload") or payload.get("message") or "")


def _ask(asked: dict[str, Any]) -> dict[str, Any]:
    """Raises RetrainError where Cloud Logging does not answer: a report goes without its lines."""
    from google.api_core.exceptions import GoogleAPICallError, from_http_response

    session = google_session.session(scope=SCOPE)

    def post() -> dict[str, Any]:
        response = session.post(ENTRIES, json=asked, timeout=CALL)
        if not response.ok:
            raise from_http_response(response)
        return dict(response.json())

    try:
        return patient(post)
    except GoogleAPICallError as error:
        raise RetrainError(
            f"Cloud Logging: {error.message}", "this account needs roles/logging.viewer"
        ) from None
