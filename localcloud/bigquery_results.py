"""The rows of finished queries, in memory, as BigQuery keeps them in anonymous tables."""

from typing import Any

from localcloud.bigquery_types import Field
from localcloud.errors import ApiError

ANONYMOUS = "_anonymous"  # the dataset that these tables seem to be in
KEPT = 1 << 30  # bytes


class Results:
    """The rows of finished queries, until newer ones need the room."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[list[Field], Any]] = {}
        self._size = 0

    def put(self, job: str, schema: list[Field], table: Any) -> None:
        """Keep a result; the oldest go."""
        self._tables[job] = (schema, table)
        self._size += table.nbytes
        while len(self._tables) > 1 and self._size > KEPT:
            self._size -= self._tables.pop(next(iter(self._tables)))[1].nbytes

    def get(self, job: str) -> tuple[list[Field], Any]:
        """A result's schema and rows. Raises notFound."""
        if job not in self._tables:
            raise ApiError(
                "NOT_FOUND", f"Not found: Table {ANONYMOUS}.{job} has expired", reason="notFound"
            )
        return self._tables[job]
