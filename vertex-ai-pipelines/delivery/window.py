"""Which rows a run reads: two literal moments, and the source table's last change."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

from delivery.patience import CALL, patient
from flows.config import Data
from flows.contract import Window
from flows.errors import InputError

LATEST = "latest"
BIGQUERY = "https://bigquery.googleapis.com/bigquery/v2"
SCOPES = ["https://www.googleapis.com/auth/bigquery"]


def window(data: Data, project: str) -> Window:
    """The window of [data] in flow.toml. Asks BigQuery when the table last changed.

    Raises InputError where the table is not there or is a view, `until` is not a date or `days` leads
    nowhere.
    """
    snapshot = _last_change(data.table, project)
    end = snapshot if data.until == LATEST else _midnight(data.until)
    try:
        start = end - timedelta(days=data.days)
    except OverflowError:
        raise InputError(
            f"flow.toml: [data] days = {data.days} begins before all time", "write fewer days"
        ) from None
    return Window(start=start, end=end, snapshot=snapshot)


def moment(time: datetime) -> str:
    """A moment as it is written into parameters and manifests: 2026-11-21T08:45:00Z."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _midnight(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"flow.toml: [data] until = '{text}' is neither a date nor \"{LATEST}\"",
            "write a date such as 2026-11-21",
        ) from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _last_change(table: str, project: str) -> datetime:
    from google.api_core.exceptions import Forbidden, NotFound

    if table.count(".") not in (1, 2):
        raise InputError(
            f"flow.toml: [data] table = '{table}' is not a table's name",
            "write DATASET.TABLE, or PROJECT.DATASET.TABLE",
        )
    name = table if table.count(".") == 2 else f"{project}.{table}"
    try:
        found = _resource(name)
    except (NotFound, Forbidden) as error:
        raise InputError(
            f"BigQuery table {name}: {error.message}",
            "name an existing table in flow.toml [data] table, and let this account read it",
        ) from None
    if found["type"] != "TABLE":  # a view's or an external table's last change is not its rows'
        raise InputError(
            f"BigQuery table {name} is of type {found['type']}: when its rows last changed is not known",
            "name the table behind it in flow.toml [data] table, and do the rest in query.sql",
        )
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(found["lastModifiedTime"]))


def _resource(name: str) -> Any:
    """A table by BigQuery's REST API: its client library costs more time than all else here."""
    import google.auth
    from google.api_core.exceptions import from_http_response
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=SCOPES)
    project, dataset, table = (quote(part, safe="") for part in name.split("."))
    url = f"{BIGQUERY}/projects/{project}/datasets/{dataset}/tables/{table}"

    def get() -> Any:
        response = AuthorizedSession(credentials).get(url, timeout=CALL)
        if not response.ok:
            raise from_http_response(response)
        return response.json()

    return patient(get)
