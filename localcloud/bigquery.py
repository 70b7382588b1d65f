"""BigQuery: the REST v2 API as Google's own client calls it."""

from functools import partial
from typing import Any

from localcloud import bigquery_wire, google_rest
from localcloud.bigquery_catalog import Catalog, Record, TableRef
from localcloud.bigquery_grants import CALLER
from localcloud.bigquery_insert import insert_all
from localcloud.bigquery_jobs import PAGE, Jobs
from localcloud.bigquery_results import ANONYMOUS
from localcloud.bigquery_settings import check_settings
from localcloud.cloud import Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.http import Handler, Request, Response, Route, google_error
from localcloud.storage import Storage

API = "/bigquery/v2/projects/{project}"
DATASETS, DATASET = f"{API}/datasets", f"{API}/datasets/{{dataset}}"
TABLES, TABLE = f"{DATASET}/tables", f"{DATASET}/tables/{{table}}"
JOBS, JOB = f"{API}/jobs", f"{API}/jobs/{{job}}"
UPLOADS = "/upload/bigquery/v2/projects/{project}/jobs"
PLAIN = (
    *("description", "friendlyName", "labels", "timePartitioning", "clustering", "expirationTime"),
    *("rangePartitioning", "requirePartitionFilter", "tableConstraints"),
)
BRIEF_DATASET = ("kind", "id", "datasetReference", "friendlyName", "labels", "location", "type")
BRIEF_TABLE = (
    *("kind", "id", "tableReference", "friendlyName", "labels", "type", "creationTime"),
    *("expirationTime", "timePartitioning", "clustering", "view"),
)


class BigQuery:
    """Datasets, tables and jobs of the one project."""

    hosts: tuple[str, ...] = (r"bigquery\.googleapis\.com",)

    def __init__(self, cloud: Cloud, storage: Storage) -> None:
        self._cloud = cloud
        self._catalog = Catalog(cloud)
        self._jobs = Jobs(cloud, self._catalog, storage)

    def close(self) -> None:
        """Write everything out."""
        self._catalog.close()

    def table(self) -> list[tuple[str, str, str, Handler]]:
        """Every call that is served."""
        jobs = self._jobs
        return [
            ("POST", DATASETS, "datasets.create", self.create_dataset),
            ("GET", DATASETS, "", self.list_datasets),
            ("GET", DATASET, "datasets.get", self.get_dataset),
            ("PATCH", DATASET, "datasets.update", self.patch_dataset),
            ("DELETE", DATASET, "datasets.delete", self.delete_dataset),
            ("POST", TABLES, "tables.create", self.create_table),
            ("GET", TABLES, "tables.list", self.list_tables),
            ("GET", TABLE, "tables.get", self.get_table),
            ("PATCH", TABLE, "tables.update", self.patch_table),
            ("DELETE", TABLE, "tables.delete", self.delete_table),
            ("GET", f"{TABLE}/data", "tables.getData", self.list_rows),
            ("POST", f"{TABLE}/insertAll", "tables.updateData", self.insert_rows),
            ("POST", JOBS, "jobs.create", jobs.insert),
            ("GET", JOBS, "", jobs.list_jobs),
            ("GET", JOB, "", jobs.get),
            ("POST", f"{JOB}/cancel", "", jobs.cancel),
            ("DELETE", f"{JOB}/delete", "", jobs.delete),
            ("POST", f"{API}/queries", "jobs.create", jobs.query),
            ("GET", f"{API}/queries/{{job}}", "", jobs.query_results),
            ("GET", f"{API}/serviceAccount", "", self.service_account),
            ("POST", UPLOADS, "jobs.create", jobs.upload),
            ("PUT", UPLOADS, "jobs.create", jobs.sessions.put),
        ]

    def routes(self) -> list[Route]:
        """The table, each call behind the gate."""
        found = [
            Route(method, path, partial(self._checked, permission, handler))
            for method, path, permission, handler in self.table()
        ]
        return google_rest.routes(description("bigquery"), found, ("/",))

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Google's error body."""
        return google_error(request, error)

    def _checked(self, permission: str, handler: Handler, request: Request) -> Response:
        CALLER.set(self._cloud.principal(request.headers.get("authorization", "")))
        project = request.params["project"]
        if project not in (self._cloud.world.project, self._cloud.world.project_number):
            words = f"Access Denied: Project {project}: no permission, or it does not exist."
            raise ApiError("PERMISSION_DENIED", words, reason="accessDenied")
        dataset, table = (request.params.get(name, "") for name in ("dataset", "table"))
        if permission and dataset != ANONYMOUS:  # results of queries are their callers'
            self._catalog.grants.check(f"bigquery.{permission}", dataset, table)
        return handler(request)

    def service_account(self, _: Request) -> Response:
        """projects.getServiceAccount"""
        number = self._cloud.world.project_number
        email = f"bq-{number}@bigquery-encryption.iam.gserviceaccount.com"
        return Response({"kind": "bigquery#getServiceAccountResponse", "email": email})

    # -------------------------------------------------------------- datasets

    def create_dataset(self, request: Request) -> Response:
        """datasets.insert"""
        body = request.json()
        check_settings(body)
        return Response(
            self._dataset(self._catalog.create_dataset(body["datasetReference"]["datasetId"], body))
        )

    def list_datasets(self, request: Request) -> Response:
        """datasets.list"""
        found = [self._dataset(one) for one in self._catalog.datasets()]
        chosen, more = _page(found, request)
        return Response({"kind": "bigquery#datasetList", "datasets": list(map(_brief, chosen))} | more)

    def get_dataset(self, request: Request) -> Response:
        """datasets.get"""
        return Response(self._dataset(self._catalog.dataset(request.params["dataset"])))

    def patch_dataset(self, request: Request) -> Response:
        """datasets.patch"""
        check_settings(request.json())
        changed = self._catalog.change_dataset(request.params["dataset"], request.json())
        return Response(self._dataset(changed))

    def delete_dataset(self, request: Request) -> Response:
        """datasets.delete"""
        contents = request.query.get("deleteContents", "").lower() == "true"
        self._catalog.delete_dataset(request.params["dataset"], contents)
        return Response(status=204)

    def _dataset(self, record: Record) -> Record:
        project, name = self._catalog.project, record["datasetReference"]["datasetId"]
        own = {"kind": "bigquery#dataset", "id": f"{project}:{name}", "etag": record["lastModifiedTime"]}
        return {**record, **own, "datasetReference": {"projectId": project, "datasetId": name}}

    # -------------------------------------------------------------- tables

    def create_table(self, request: Request) -> Response:
        """tables.insert"""
        body = request.json()
        check_settings(body)
        if body.get("view") or body.get("materializedView") or body.get("externalDataConfiguration"):
            words = "the local BigQuery makes plain tables here; make a view with CREATE VIEW"
            raise ApiError("UNIMPLEMENTED", words, reason="notImplemented")
        ref = TableRef(request.params["dataset"], body["tableReference"]["tableId"])
        schema = (body.get("schema") or {}).get("fields", [])
        wanted = {key: body[key] for key in PLAIN if key in body}
        return Response(self._table(ref, self._catalog.create_table(ref, schema, wanted)))

    def list_tables(self, request: Request) -> Response:
        """tables.list"""
        refs = self._catalog.tables(request.params["dataset"])
        found = [self._table(ref, self._catalog.table(ref)) for ref in refs]
        chosen, more = _page(found, request)
        body = {"kind": "bigquery#tableList", "tables": list(map(_brief, chosen))}
        return Response(body | {"totalItems": len(found)} | more)

    def get_table(self, request: Request) -> Response:
        """tables.get"""
        ref = self._ref(request)
        if ref.dataset == ANONYMOUS:
            schema, table = self._jobs.results.get(ref.table)
            record = {"fields": schema, "rows": table.num_rows, "bytes": {}, "type": "TABLE"}
            return Response(self._table(ref, record | {"created": 0, "modified": 0}))
        return Response(self._table(ref, self._catalog.table(ref)))

    def patch_table(self, request: Request) -> Response:
        """tables.patch"""
        body = request.json()
        check_settings(body)
        changes = {key: body[key] for key in PLAIN if key in body}
        if body.get("schema"):
            changes["fields"] = body["schema"]["fields"]
        ref = self._ref(request)
        return Response(self._table(ref, self._catalog.change_table(ref, changes)))

    def delete_table(self, request: Request) -> Response:
        """tables.delete"""
        self._catalog.delete_table(self._ref(request))
        return Response(status=204)

    def list_rows(self, request: Request) -> Response:
        """tabledata.list"""
        query, prefix = request.query, "formatOptions."
        start = int(query.get("pageToken") or query.get("startIndex") or 0)
        schema, page, total = self._jobs.rows(
            self._ref(request), start, int(query.get("maxResults", PAGE))
        )
        if query.get("selectedFields"):
            chosen = query["selectedFields"].split(",")
            schema = [one for one in schema if one["name"] in chosen]
            page = page.select([one["name"] for one in schema])
        options = {
            key.removeprefix(prefix): value for key, value in query.items() if key.startswith(prefix)
        }
        end = start + page.num_rows
        body: Record = {"kind": "bigquery#tableDataList", "totalRows": str(total)}
        body |= {"rows": bigquery_wire.rows(page, schema, options)} if page.num_rows else {}
        return Response(body | ({"pageToken": str(end)} if end < total else {}))

    def insert_rows(self, request: Request) -> Response:
        """tabledata.insertAll"""
        errors = insert_all(self._catalog, self._ref(request), request.json())
        body: dict[str, Any] = {"kind": "bigquery#tableDataInsertAllResponse"}
        return Response(body | ({"insertErrors": errors} if errors else {}))

    @staticmethod
    def _ref(request: Request) -> TableRef:
        return TableRef(request.params["dataset"], request.params["table"])

    def _table(self, ref: TableRef, record: Record) -> Record:
        project, size = self._catalog.project, str(sum(record["bytes"].values()))
        location = "US" if ref.dataset == ANONYMOUS else self._catalog.dataset(ref.dataset)["location"]
        return {
            "kind": "bigquery#table",
            "id": f"{project}:{ref.key}",
            "etag": str(record["modified"]),
            "tableReference": self._catalog.reference(ref),
            "schema": {"fields": record["fields"]},
            "type": record["type"],
            "numRows": str(record["rows"]),
            "numBytes": size,
            "numLongTermBytes": "0",
            "creationTime": str(record["created"]),
            "lastModifiedTime": str(record["modified"]),
            "location": location,
            **{key: record[key] for key in PLAIN if key in record},
        }


def _brief(found: Record) -> Record:
    """A dataset or table as lists show it."""
    kept = BRIEF_TABLE if "tableReference" in found else BRIEF_DATASET
    return {key: found[key] for key in kept if key in found}


def _page(found: list[Record], request: Request) -> tuple[list[Record], Record]:
    start = int(request.query.get("pageToken") or 0)
    end = start + int(request.query.get("maxResults") or 1000)
    return found[start:end], {"nextPageToken": str(end)} if end < len(found) else {}
