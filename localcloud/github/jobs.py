"""What is kept of a run's jobs and their steps, and how they are shown."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localcloud.github.call import API
from localcloud.github.errors import not_found
from localcloud.github.repository import Repository, timestamp
from localcloud.github.shapes import WEB, account, node_id
from localcloud.store import Store

if TYPE_CHECKING:
    from localcloud.github.runs import Run

MOST = 1000  # jobs of an attempt, and attempts of a run, as the numbers leave room for
Job = dict[str, Any]
STEP_FIELDS = ("name", "number", "status", "conclusion", "started_at", "completed_at")
FIELDS = ("id", "name", "status", "conclusion", "created_at", "started_at", "completed_at", "labels")


class Jobs:
    """The jobs of all runs. Records: "github-job", by repository and number (the run's comes first)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, run: "Run", fields: Mapping[str, Any]) -> Job:
        """A job of a run's present attempt; `fields` has key, name, labels and steps."""
        first = (run["id"] * MOST + run["attempt"]) * MOST
        now = timestamp()
        times = {"created_at": now, "started_at": now, "completed_at": None}
        job = {
            "id": first + len(self.of(run, run["attempt"])),
            **{"repository": run["repository"], "run": run["id"], "attempt": run["attempt"]},
            **{"status": "in_progress", "conclusion": None, "summary": "", "outputs": {}},
            **{"head_sha": run["head_sha"], **times, **fields},
        }
        return self.save(job)

    def save(self, job: Job) -> Job:
        """Keep a changed job."""
        self._store.put("github-job", _key(job["repository"], job["id"]), job)
        return job

    def end(self, run: "Run") -> None:
        """A run has ended: what it left unended, where its local cloud died, is cancelled."""
        for job in self.of(run, run["attempt"]):
            if job["status"] != "completed":
                for step in job["steps"]:
                    conclusion = {"in_progress": "cancelled", "pending": "skipped"}
                    ended = conclusion.get(step["status"], step["conclusion"])
                    step |= {"status": "completed", "conclusion": ended}
                ended_at = {"conclusion": "cancelled", "completed_at": timestamp()}
                self.save({**job, "status": "completed", **ended_at})

    def of(self, run: "Run", attempt: int | None = None) -> list[Job]:
        """A run's jobs, in the order in which they began; of one attempt where it is named."""
        middle = f"{run['id']:012d}" + ("" if attempt is None else f"{attempt:03d}")
        prefix = f"{run['repository'].lower()}/{middle}"
        return [job for _, job in self._store.list("github-job", prefix)]

    def get(self, repository: str, number: int) -> Job:
        """A job. Raises GitHubError (404)."""
        found = self._store.get("github-job", _key(repository, number))
        if found is None:
            raise not_found()
        return found

    def at(self, where: Repository, commit: str) -> list[Job]:
        """The jobs of the last attempts at a commit, newest first."""
        every = [job for _, job in self._store.list("github-job", f"{where.key}/")]
        last = {job["run"]: job["attempt"] for job in every}
        return [
            job for job in every if job["head_sha"] == commit and job["attempt"] == last[job["run"]]
        ][::-1]


def _key(repository: str, number: int) -> str:
    return f"{repository.lower()}/{number:018d}"


def show_job(where: Repository, run: "Run", job: Job) -> dict[str, Any]:
    """A job as GitHub shows it."""
    api, number = f"{API}/repos/{where.full_name}", job["id"]
    runner = {"runner_id": 1, "runner_name": "local", "runner_group_id": 1, "runner_group_name": "local"}
    return {
        **{key: job[key] for key in FIELDS},
        **{key: run[key] for key in ("head_sha", "head_branch")},
        **runner,
        "node_id": node_id("CR", number),
        "workflow_name": run["name"],
        "run_id": run["id"],
        "run_url": f"{api}/actions/runs/{run['id']}",
        "run_attempt": job["attempt"],
        "url": f"{api}/actions/jobs/{number}",
        "html_url": f"{WEB}/{where.full_name}/actions/runs/{run['id']}/job/{number}",
        "check_run_url": f"{api}/check-runs/{number}",
        "steps": [{key: step[key] for key in STEP_FIELDS} for step in job["steps"]],
    }


def show_check(where: Repository, job: Job) -> dict[str, Any]:
    """A job as a check run of its commit."""
    api, number, run = f"{API}/repos/{where.full_name}", job["id"], job["run"]
    page = f"{WEB}/{where.full_name}/actions/runs/{run}/job/{number}"
    output = {"title": None, "summary": job["summary"] or None, "text": None}
    return {
        **{key: job[key] for key in FIELDS if key not in ("created_at", "labels")},
        "head_sha": job["head_sha"],
        "node_id": node_id("CR", number),
        "external_id": str(number),
        "url": f"{api}/check-runs/{number}",
        "html_url": page,
        "details_url": page,
        "output": {
            **output,
            "annotations_count": 0,
            "annotations_url": f"{api}/check-runs/{number}/annotations",
        },
        "check_suite": {"id": run + 1},
        "pull_requests": [],
        "app": _actions_app(),
    }


def _actions_app() -> dict[str, Any]:
    """GitHub's own App, in whose name workflows check commits."""
    made = "2018-07-30T09:30:17Z"
    return {
        "id": 15368,
        "slug": "github-actions",
        "node_id": node_id("A", 15368),
        "client_id": "Iv1.05c79e9ad1f6bdfa",
        "owner": account("github", "Organization"),
        "name": "GitHub Actions",
        "description": "Automate your workflow from idea to production",
        "external_url": "https://help.github.com/en/actions",
        "html_url": f"{WEB}/apps/github-actions",
        "created_at": made,
        "updated_at": made,
        "permissions": {},
        "events": [],
    }
