"""What jobs have uploaded: zip files below the folder that all jobs share, listed as GitHub does."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from localcloud.github.call import API, Call, page
from localcloud.github.errors import not_found
from localcloud.github.repository import Repository
from localcloud.github.runs import Run, Runs, from_fork, repository_of_head
from localcloud.github.shapes import node_id
from localcloud.http import Response

DAYS = 90  # that GitHub would keep one


class Artifacts:
    """The calls below /actions/artifacts, and a run's own."""

    def __init__(self, runs: Runs, tools: Path) -> None:
        self._runs, self._root = runs, tools / "artifacts"

    def of_run(self, call: Call) -> Response:
        """GET a run's artifacts."""
        run = self._runs.get(call.repository.full_name, call.number("id"))
        return self._page(call, [run])

    def list(self, call: Call) -> Response:
        """GET the repository's artifacts, newest run first."""
        return self._page(call, self._runs.of(call.repository))

    def _page(self, call: Call, runs: Sequence[Run]) -> Response:
        wanted = call.query("name")
        found = [(run, file) for run in runs for file in self._files(run)]
        chosen = [(run, file) for run, file in found if wanted in ("", file.stem)]
        return page(call, chosen, lambda one: _show(call.repository, *one), "artifacts")

    def _files(self, run: Run) -> Iterator[Path]:
        yield from sorted((self._root / str(run["id"])).glob("*.zip"))

    def _found(self, call: Call) -> tuple[Run, Path]:
        for run in self._runs.of(call.repository):
            for file in self._files(run):
                if _number(run, file) == call.number("id"):
                    return run, file
        raise not_found()

    def get(self, call: Call) -> Response:
        """GET one artifact."""
        return Response(_show(call.repository, *self._found(call)))

    def download(self, call: Call) -> Response:
        """GET its zip file."""
        _, file = self._found(call)
        return Response(file.read_bytes(), headers={"content-type": "application/zip"})


def _number(run: Run, file: Path) -> int:
    return zlib.crc32(f"{run['id']}/{file.stem}".encode())


def _show(where: Repository, run: Run, file: Path) -> dict[str, Any]:
    number, about = _number(run, file), file.stat()
    url = f"{API}/repos/{where.full_name}/actions/artifacts/{number}"
    made = datetime.fromtimestamp(about.st_mtime, UTC)
    times = {"created_at": made, "updated_at": made, "expires_at": made + timedelta(days=DAYS)}
    own = where.record["id"]
    head = repository_of_head(run).get("id") if from_fork(run) else own
    numbers = {"repository_id": own, "head_repository_id": head}
    return {
        "id": number,
        "node_id": node_id("MDA", number),
        "name": file.stem,
        "size_in_bytes": about.st_size,
        "url": url,
        "archive_download_url": f"{url}/zip",
        "expired": False,
        "digest": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}",
        **{name: f"{time:%Y-%m-%dT%H:%M:%SZ}" for name, time in times.items()},
        "workflow_run": {
            "id": run["id"],
            **numbers,
            **{name: run[name] for name in ("head_branch", "head_sha")},
        },
    }
