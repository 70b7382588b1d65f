"""BigQuery's jobs: made, run at once, kept, and their results handed out in pages."""
# ruff: noqa: S608 (names and texts are quoted)

import secrets
import time
from typing import Any

from localcloud import bigquery_wire, uploads
from localcloud.bigquery_catalog import Catalog, TableRef
from localcloud.bigquery_grants import CALLER
from localcloud.bigquery_load import Loader
from localcloud.bigquery_query import Outcome, Query, Runner
from localcloud.bigquery_results import ANONYMOUS, Results
from localcloud.bigquery_types import Field, quoted
from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.storage import Storage

PAGE = 50_000  # rows

# The errors that a job keeps, by reason → the code that a call then has
CODES = {"notFound": "NOT_FOUND", "duplicate": "ALREADY_EXISTS", "accessDenied": "PERMISSION_DENIED"}

Job = dict[str, Any]


class Jobs:
    """Records: kind "bq-job" by id, kind "bq-request" by requestId."""

    def __init__(self, cloud: Cloud, catalog: Catalog, storage: Storage) -> None:
        self._cloud, self._catalog, self._store = cloud, catalog, cloud.store
        self._runner = Runner(catalog, storage)
        self._loader = Loader(catalog, storage, self._runner)
        self.results = Results()
        self.sessions = uploads.Sessions(
            cloud, lambda record, _, data: self._insert(record["body"], data)
        )
        self._end_interrupted()

    # -------------------------------------------------------------- calls

    def insert(self, request: Request) -> Response:
        """jobs.insert"""
        return self._insert(request.json())

    def upload(self, request: Request) -> Response:
        """jobs.insert with a file"""
        if request.query.get("uploadType") == "resumable":
            return self.sessions.start(request, {"body": request.json()})
        sent = uploads.multipart(request)
        return self._insert(sent.metadata, sent.data)

    def get(self, request: Request) -> Response:
        """jobs.get"""
        return Response(self._job(request))

    def cancel(self, request: Request) -> Response:
        """jobs.cancel: too late, as jobs are done once they are there"""
        return Response({"kind": "bigquery#jobCancelResponse", "job": self._job(request)})

    def delete(self, request: Request) -> Response:
        """jobs.delete"""
        self._store.delete("bq-job", self._job(request)["jobReference"]["jobId"])
        return Response(status=204)

    def list_jobs(self, request: Request) -> Response:
        """jobs.list, newest first"""
        jobs = [job for _, job in self._store.list("bq-job")]
        jobs.sort(key=lambda job: int(job["statistics"]["creationTime"]), reverse=True)
        jobs = [job for job in jobs if request.query.get("stateFilter", "done") == "done"]
        start, size = (
            int(request.query.get("pageToken") or 0),
            int(request.query.get("maxResults") or 1000),
        )
        rows = [job | {"state": "DONE"} for job in jobs[start : start + size]]
        more = {"nextPageToken": str(start + size)} if start + size < len(jobs) else {}
        return Response({"kind": "bigquery#jobList", "jobs": rows} | more)

    def query(self, request: Request) -> Response:
        """jobs.query"""
        body = request.json()
        configuration = {key: body[key] for key in QUERY_FIELDS if key in body}
        reference = {"location": body["location"]} if body.get("location") else {}
        wanted = {"configuration": {"query": configuration}, "jobReference": reference}
        if body.get("dryRun"):
            return Response(_dry_answer(self._dry(wanted)))
        # A request that is sent again is not run again.
        known = self._store.get("bq-request", body["requestId"]) if body.get("requestId") else None
        job = self._store.get("bq-job", known["job"]) if known else None
        job = job or self._make(wanted)
        if body.get("requestId"):
            self._store.put("bq-request", body["requestId"], {"job": job["jobReference"]["jobId"]})
        size = int(body.get("maxResults", PAGE))
        return Response(
            self._answer(job, 0, size, body.get("formatOptions") or {})
            | {"kind": "bigquery#queryResponse"}
        )

    def query_results(self, request: Request) -> Response:
        """jobs.getQueryResults"""
        query = request.query
        prefix = "formatOptions."
        options = {
            key.removeprefix(prefix): value for key, value in query.items() if key.startswith(prefix)
        }
        start = int(query.get("pageToken") or query.get("startIndex") or 0)
        answer = self._answer(self._job(request), start, int(query.get("maxResults", PAGE)), options)
        # Only the answer to jobs.query says what kind of statement it was.
        shown = {key: value for key, value in answer.items() if key not in ("statementType", "dmlStats")}
        return Response(shown | {"kind": "bigquery#getQueryResultsResponse"})

    # -------------------------------------------------------------- making

    def _insert(self, body: dict[str, Any], data: bytes | None = None) -> Response:
        if body["configuration"].get("dryRun"):
            return Response(self._dry(body))
        return Response(self._make(body, data))

    def _make(self, body: dict[str, Any], data: bytes | None = None) -> Job:
        """Run a new job to its end and keep it. Raises duplicate where its id is taken."""
        job = self._new(body)
        name = job["jobReference"]["jobId"]
        with self._store.transaction():
            if self._store.get("bq-job", name):
                words = f"Already Exists: Job {job['id']}"
                raise ApiError("ALREADY_EXISTS", words, reason="duplicate")
            self._store.put("bq-job", name, job | {"status": {"state": "RUNNING"}})
        try:
            self._run(job, data, (body.get("jobReference") or {}).get("location") or "")
        except ApiError as error:
            failure = {"reason": error.reason or "backendError", "message": error.message}
            job["status"] |= {"errorResult": failure, "errors": [failure]}
        except BaseException:
            # A defect here must not leave a job that runs for ever.
            self._store.delete("bq-job", name)
            raise
        job["statistics"]["endTime"] = _millis()
        self._store.put("bq-job", name, job)
        return job

    def _end_interrupted(self) -> None:
        """What an earlier local cloud was at when it was killed has failed: nobody goes on with it."""
        failure = {"reason": "stopped", "message": "The local cloud was stopped while this job ran."}
        status = {"state": "DONE", "errorResult": failure, "errors": [failure]}
        for name, job in self._store.list("bq-job"):
            if job["status"]["state"] == "RUNNING":
                ended = {"statistics": job["statistics"] | {"endTime": _millis()}, "status": status}
                self._store.put("bq-job", name, job | ended)

    def _new(self, body: dict[str, Any]) -> Job:
        given = body.get("jobReference") or {}
        project, now = self._catalog.project, _millis()
        configuration = body["configuration"]
        kind = next((one for one in ("query", "load") if one in configuration), "")
        if not kind:
            words = f"the local BigQuery does not serve {', '.join(configuration)} jobs"
            raise ApiError("UNIMPLEMENTED", words, reason="notImplemented")
        name = given.get("jobId") or f"job_{secrets.token_urlsafe(20)}"
        place = given.get("location") or self._location(configuration[kind])
        return {
            "kind": "bigquery#job",
            "id": f"{project}:{place}.{name}",
            "jobReference": {"projectId": project, "jobId": name, "location": place},
            "configuration": {**configuration, "jobType": kind.upper()},
            "status": {"state": "DONE"},
            "statistics": {"creationTime": now, "startTime": now},
            "user_email": CALLER.get(),
        }

    def _location(self, configuration: dict[str, Any]) -> str:
        """Where the datasets that are named are, as far as it can be seen."""
        named = (configuration.get(key) or {} for key in ("destinationTable", "defaultDataset"))
        wanted = {one["datasetId"] for one in named if "datasetId" in one}
        found = self._catalog.datasets()
        text = configuration.get("query", "")
        places = [
            one["location"]
            for one in found
            if one["datasetReference"]["datasetId"] in wanted
            or one["datasetReference"]["datasetId"] in text
        ]
        return str(places[0]) if places else "US"

    def _run(self, job: Job, data: bytes | None, location: str) -> None:
        if "load" in job["configuration"]:
            job["statistics"]["load"] = self._loader.run(job["configuration"]["load"], data)
            return
        outcome = self._runner.run(self._query(job, location))
        job["statistics"] |= _statistics(outcome)
        if outcome.table is not None and outcome.schema is not None:
            name = job["jobReference"]["jobId"]
            self.results.put(name, outcome.schema, outcome.table)
            place = {"projectId": self._catalog.project, "datasetId": ANONYMOUS, "tableId": name}
            job["configuration"]["query"]["destinationTable"] = place

    @staticmethod
    def _query(job: Job, location: str) -> Query:
        configuration = dict(job["configuration"]["query"])
        if configuration.get("useLegacySql", True):
            raise ApiError(
                "INVALID_ARGUMENT", "the local BigQuery does not serve legacy SQL", reason="invalid"
            )
        return Query(configuration["query"], configuration, job["jobReference"]["jobId"], location)

    def _dry(self, body: dict[str, Any]) -> Job:
        job = self._new(body)
        location = (body.get("jobReference") or {}).get("location") or ""
        outcome = self._runner.dry_run(self._query(job, location))
        job["statistics"] |= _statistics(outcome)
        if outcome.schema is not None:
            job["statistics"]["query"]["schema"] = {"fields": outcome.schema}
        job["configuration"]["dryRun"] = True
        return job

    # -------------------------------------------------------------- results

    def _job(self, request: Request) -> Job:
        name, place = request.params["job"], request.query.get("location", "")
        job = self._store.get("bq-job", name)
        if job is None or place.lower() not in ("", job["jobReference"]["location"].lower()):
            where = f"{place}." if place else ""
            words = f"Not found: Job {self._catalog.project}:{where}{name}"
            raise ApiError("NOT_FOUND", words, reason="notFound")
        return job

    def _answer(self, job: Job, start: int, size: int, options: dict[str, Any]) -> dict[str, Any]:
        """A query's answer with a page of its rows. Raises what the job failed with."""
        failed = job["status"].get("errorResult")
        if failed:
            code = CODES.get(failed["reason"], "INVALID_ARGUMENT")
            raise ApiError(code, failed["message"], reason=failed["reason"])
        numbers = job["statistics"].get("query", {})
        kept = ("numDmlAffectedRows", "dmlStats", "statementType", "totalBytesProcessed")
        answer = {
            "jobReference": job["jobReference"],
            "jobComplete": True,
            "cacheHit": False,
            **{key: numbers[key] for key in kept if key in numbers},
        }
        place = job["configuration"].get("query", {}).get("destinationTable")
        if not place or numbers.get("statementType") not in ("SELECT", "SCRIPT"):
            return answer
        schema, page, total = self.rows(TableRef.of(place), start, size)
        answer |= {"schema": {"fields": schema}, "totalRows": str(total)}
        if page.num_rows:
            answer["rows"] = bigquery_wire.rows(page, schema, options)
        if 0 < start + page.num_rows < total:
            answer["pageToken"] = str(start + page.num_rows)
        return answer

    def rows(self, ref: TableRef, start: int, size: int) -> tuple[list[Field], Any, int]:
        """A page of a table or of a query's result: schema, rows, and how many there are in all."""
        size = min(size, PAGE)
        if ref.dataset == ANONYMOUS:
            schema, table = self.results.get(ref.table)
            return schema, table.slice(start, size), table.num_rows
        record = self._catalog.table(ref)
        columns = ", ".join(quoted(one["name"]) for one in record["fields"]) or "*"
        with self._catalog.cursor() as cursor:
            page = cursor.sql(
                f"SELECT {columns} FROM {ref.sql} LIMIT {size} OFFSET {start}"
            ).to_arrow_table()
        return record["fields"], page, record["rows"]


QUERY_FIELDS = (
    *("query", "useLegacySql", "defaultDataset", "queryParameters", "parameterMode"),
    *("maximumBytesBilled", "useQueryCache", "labels"),
)


def _statistics(outcome: Outcome) -> dict[str, Any]:
    size = str(outcome.bytes)
    own = {"totalBytesProcessed": size, "totalBytesBilled": size, "cacheHit": False}
    return {"totalBytesProcessed": size, "query": own | outcome.statistics}


def _dry_answer(job: Job) -> dict[str, Any]:
    numbers = job["statistics"]["query"]
    head = {"kind": "bigquery#queryResponse", "jobComplete": True, "cacheHit": False}
    schema = {"schema": numbers["schema"]} if "schema" in numbers else {}
    place = {"projectId": job["jobReference"]["projectId"], "location": job["jobReference"]["location"]}
    return {
        **head,
        **schema,
        "jobReference": place,
        "totalBytesProcessed": numbers["totalBytesProcessed"],
    }


def _millis() -> str:
    return str(time.time_ns() // 1_000_000)
