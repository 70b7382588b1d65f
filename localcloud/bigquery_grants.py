"""What a caller may do with BigQuery's jobs, datasets and tables, and how it says no."""

from contextvars import ContextVar

from sqlglot import exp

from localcloud.cloud import Cloud
from localcloud.errors import ApiError

CALLER: ContextVar[str] = ContextVar("caller")  # whose call this thread answers
READS = (exp.Query, exp.Export)


class Grants:
    """Checks the permissions of CALLER."""

    def __init__(self, cloud: Cloud) -> None:
        self._iam, self._project = cloud.iam, cloud.world.project

    def check(self, permission: str, dataset: str = "", table: str = "") -> None:
        """Raises accessDenied for a project, a dataset or a table."""
        place, kind = self._project, "Project"
        words = f"User does not have {permission} permission in project {place}."
        if dataset:
            place, kind = f"{place}:{dataset}", "Dataset"
            if table:
                place, kind = f"{place}.{table}", "Table"
            words = f"Permission {permission} denied on {kind.lower()} {place} (or it may not exist)."
        self._denied_unless(permission, dataset, table, f"Access Denied: {kind} {place}: {words}")

    def check_query(self, dataset: str, table: str) -> None:
        """Raises accessDenied where a query may not read a table."""
        name = f"table {self._project}:{dataset}.{table}"
        words = f"User does not have permission to query {name}, or perhaps it does not exist."
        where = f"Access Denied: T{name[1:]}"
        self._denied_unless("bigquery.tables.getData", dataset, table, f"{where}: {words}")

    def checked(self, statements: list[exp.Expr]) -> list[exp.Expr]:
        """The statements; those that change something need more than to read."""
        for statement in statements:
            if not isinstance(statement, READS):
                making = isinstance(statement, exp.Create | exp.Drop)
                self.check("bigquery.tables.create" if making else "bigquery.tables.updateData")
        return statements

    def _denied_unless(self, permission: str, dataset: str, table: str, words: str) -> None:
        name = self._iam.project + (f"/datasets/{dataset}" if dataset else "")
        try:
            self._iam.check(
                CALLER.get(), permission, name + (f"/tables/{table}" if table else ""), words
            )
        except ApiError as error:
            raise ApiError(error.code, words, reason="accessDenied") from None
