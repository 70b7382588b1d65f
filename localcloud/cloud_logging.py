"""logging.googleapis.com: what steps of pipeline jobs wrote, as entries of their custom jobs, and what
the servers of endpoints wrote.
"""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud import google_rest
from localcloud.cloud import Cloud
from localcloud.described import description
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route
from localcloud.rpc import rest_error

KIND, TASK = "ml_job", "workerpool0-0"  # a step's resource on Vertex AI, and its container there
ENDPOINT = "aiplatform.googleapis.com/Endpoint"  # the resource of a model's server
CONTAINER = "aiplatform.googleapis.com%2Fprediction_container"
TEST = re.compile(r'\s*(?:AND\s+)?((?:resource\.)?labels\.\w+|resource\.type)\s*=\s*"([^"]*)"')
ORDERS = ("timestamp asc", "timestamp desc")
PAGE = 50
Entry = dict[str, Any]


def custom_job(job_id: str, task: str) -> str:
    """The number of the custom job that a pipeline job's task runs as."""
    digest = hashlib.sha256(f"{job_id}/{task}".encode()).digest()
    return str(int.from_bytes(digest[:7], "big"))


class CloudLogging:
    """Reads the log files of pipeline jobs' tasks and of servers; nothing is written through it."""

    hosts = (r"logging\.googleapis\.com",)

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def table(self) -> list[tuple[str, str]]:
        """The calls that are served."""
        return [("POST", "/v2/entries:list")]

    def routes(self) -> list[Route]:
        """The table."""
        found = [Route(verb, path, self.list) for verb, path in self.table()]
        return google_rest.routes(description("logging"), found, ("/",))

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """Google's error body."""
        return rest_error(error)

    def list(self, request: Request) -> Response:
        """entries.list, of a project's resources, by their type and labels and the entries' own."""
        body, principal = request.json(), self._cloud.principal(request.headers.get("authorization", ""))
        names = body.get("resourceNames") or []
        if not names:
            raise ApiError("INVALID_ARGUMENT", "Must provide at least one resource name.")
        for name in names:
            self._cloud.iam.check(principal, "logging.logEntries.list", name)
        order = body.get("orderBy") or ORDERS[0]
        if order not in ORDERS:
            raise ApiError("INVALID_ARGUMENT", f"order_by must be one of {', '.join(ORDERS)}.")
        tests = _tests(str(body.get("filter") or ""))
        found = [one for one in self._entries() if _passes(one, tests)]
        found.sort(key=lambda one: one["timestamp"], reverse=order == ORDERS[1])
        return Response(
            _page(found, int(body.get("pageSize") or PAGE), str(body.get("pageToken") or ""))
        )

    def _entries(self) -> Iterator[Entry]:
        """Every line of every log, a microsecond after the one before it."""
        world, root = self._cloud.world, self._cloud.root
        for path in sorted((root / "pipeline-jobs").glob("*/logs/*.log")):
            number = custom_job(path.parents[1].name, path.stem)
            labels = {"job_id": number, "project_id": world.project, "task_name": TASK}
            yield from self._of(path, TASK, {"type": KIND, "labels": labels})
        for path in sorted((root / "endpoints").glob("*/logs/*.log")):
            labels = {"endpoint_id": path.parents[1].name, "location": world.region}
            labels["resource_container"] = world.project_number
            resource = {"type": ENDPOINT, "labels": labels}
            for entry in self._of(path, CONTAINER, resource):
                yield entry | {"labels": {"deployed_model_id": path.stem}}

    def _of(self, path: Path, log: str, resource: dict[str, Any]) -> Iterator[Entry]:
        lines = path.read_text(errors="replace").splitlines()
        last = int(path.stat().st_mtime * 1_000_000)
        for index, line in enumerate(lines):
            moment = last - len(lines) + index
            yield {
                "logName": f"projects/{self._cloud.world.project}/logs/{log}",
                "resource": resource,
                "timestamp": _stamp(moment),
                "receiveTimestamp": _stamp(moment),
                "severity": "INFO",
                "insertId": f"{_number(path)}-{index:09d}",
                "jsonPayload": {"message": line, "levelname": "INFO"},
            }


def _number(path: Path) -> str:
    return custom_job(path.parents[1].name, path.stem)


def _stamp(microseconds: int) -> str:
    whole, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _tests(text: str) -> list[tuple[str, str]]:
    """The filter's tests. Raises UNIMPLEMENTED for what is about anything else of an entry."""
    found, at = list[tuple[str, str]](), 0
    while text[at:].strip():
        test = TEST.match(text, at)
        if test is None:
            words = f"the local cloud filters entries by resource and labels alone: {text[at:].strip()}"
            raise ApiError("UNIMPLEMENTED", words)
        found.append((test[1], test[2]))
        at = test.end()
    return found


def _passes(entry: Entry, tests: list[tuple[str, str]]) -> bool:
    resource = entry["resource"]
    fields = {"resource.type": resource["type"]}
    fields |= {f"resource.labels.{key}": value for key, value in resource["labels"].items()}
    fields |= {f"labels.{key}": value for key, value in entry.get("labels", {}).items()}
    return all(fields.get(name) == value for name, value in tests)


def _page(found: list[Entry], size: int, token: str) -> dict[str, Any]:
    """A page; its token is the number of the first entry of the next one."""
    start = int(token) if token.isdigit() else 0
    following = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
    return {"entries": found[start : start + size], **following}
