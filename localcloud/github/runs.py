"""What is kept of workflow runs, and how they are shown."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from localcloud.cloud import Cloud
from localcloud.github import shapes
from localcloud.github.call import API
from localcloud.github.errors import not_found
from localcloud.github.jobs import Jobs
from localcloud.github.repository import Repository, timestamp
from localcloud.github.shapes import WEB, account, node_id
from localcloud.github.workflows import Workflow, workflow_id

RUN_FIELDS = (
    "id name path head_sha run_number event status conclusion workflow_id"
    " display_title created_at updated_at"
)

Run = dict[str, Any]


class Runs:
    """The runs of all repositories."""

    def __init__(self, cloud: Cloud) -> None:
        self.store, self.root = cloud.store, cloud.root / "runs"

    def create(self, where: Repository, workflow: Workflow, fields: Run) -> Run:
        """A new run, queued; `fields` has event, ref, branch, commit, inputs and actor."""
        number = workflow_id(where, workflow.path)
        title = str(workflow.content.get("run-name") or workflow.name)
        run = {
            "id": 9_000_000_000 + self.store.next_number("github-run"),
            "repository": where.full_name,
            "workflow_id": number,
            "path": workflow.path,
            "name": workflow.name,
            "display_title": workflow.name if "${{" in title else title,
            "run_number": self.store.next_number(f"github-run/{number}"),
            "attempt": 0,
            "created_at": fields.get("created_at") or self._moment(),
            **fields,
        }
        return self.queue(run)

    def _moment(self) -> str:
        """Now, but later than any run before, to the second: workflows name things by it, and a
        clock may be put back.
        """
        with self.store.transaction():
            last = self.store.get("github-run-moment", "last") or {"moment": ""}
            moment = max(timestamp(), _next_second(last["moment"]))
            self.store.put("github-run-moment", "last", {"moment": moment})
        return moment

    def queue(self, run: Run) -> Run:
        """Put a run at the queue's end, for its next attempt."""
        fresh = {"status": "queued", "conclusion": None, "summary": "", "started_at": timestamp()}
        place = self.store.next_number("github-queue")
        return self.save({**run, **fresh, "place": place, "attempt": run["attempt"] + 1})

    def save(self, run: Run) -> Run:
        """Keep a changed run."""
        run["updated_at"] = timestamp()
        self.store.put("github-run", _key(run["repository"], run["id"]), run)
        return run

    def finish(self, run: Run, conclusion: str, summary: str = "") -> Run:
        """A run's end, and that of its jobs."""
        Jobs(self.store).end(run)
        ended = {"status": "completed", "conclusion": conclusion, "summary": summary}
        return self.save({**run, **ended})

    def get(self, repository: str, number: int) -> Run:
        """A run. Raises GitHubError (404)."""
        found = self.store.get("github-run", _key(repository, number))
        if found is None:
            raise not_found()
        return found

    def of(self, where: Repository) -> list[Run]:
        """The repository's runs, newest first."""
        return [run for _, run in self.store.list("github-run", f"{where.key}/")][::-1]

    def in_status(self, status: str) -> list[Run]:
        """All runs of a status, in the queue's order."""
        found = [run for _, run in self.store.list("github-run")]
        return sorted(
            (run for run in found if run["status"] == status), key=lambda run: int(run["place"])
        )

    def folder(self, run: Run) -> Path:
        """Where a run works and leaves its log."""
        return self.root / str(run["id"])

    def log(self, run: Run) -> Path:
        """The file with what it printed."""
        return self.folder(run) / "log.txt"

    def job_log(self, run: Run, job: int) -> Path:
        """The file with what one of its jobs printed."""
        return self.folder(run) / "jobs" / f"{job}.txt"


def _key(repository: str, number: int) -> str:
    return f"{repository.lower()}/{number:012d}"


def _next_second(moment: str) -> str:
    return (
        f"{datetime.fromisoformat(moment) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
    )


def show_run(where: Repository, run: Run) -> dict[str, Any]:
    """A run as GitHub shows it."""
    api = f"{API}/repos/{where.full_name}/actions"
    commit = shapes.git_commit(where, where.commit(run["head_sha"]))
    repository = shapes.repository(where)
    head = (repository_of_head(run) or None) if from_fork(run) else repository
    suite = {"check_suite_id": run["id"] + 1, "check_suite_node_id": node_id("CS", run["id"] + 1)}
    return {
        **{key: run[key] for key in RUN_FIELDS.split()},
        **_urls(f"{api}/runs/{run['id']}"),
        **suite,
        "node_id": node_id("WFR", run["id"]),
        "head_branch": run["head_branch"],
        "run_attempt": run["attempt"],
        "run_started_at": run["started_at"],
        "html_url": f"{WEB}/{where.full_name}/actions/runs/{run['id']}",
        "workflow_url": f"{api}/workflows/{run['workflow_id']}",
        "check_suite_url": f"{API}/repos/{where.full_name}/check-suites/{run['id'] + 1}",
        "previous_attempt_url": None,
        "referenced_workflows": [],
        "pull_requests": [],
        "actor": account(run["actor"]),
        "triggering_actor": account(run.get("triggering_actor") or run["actor"]),
        "head_commit": {
            "message": commit["message"],
            **{
                who: {key: commit[who][key] for key in ("name", "email")}
                for who in ("author", "committer")
            },
            **_commit_ids(commit),
        },
        "repository": repository,
        "head_repository": head,
    }


def repository_of_head(run: Run) -> dict[str, Any]:
    """The repository of a pull request's branch, as the run's event shows it; else nothing."""
    pull = (run.get("payload") or {}).get("pull_request") or {}
    return dict((pull.get("head") or {}).get("repo") or {})


def from_fork(run: Run) -> bool:
    """Whether the run is that of a pull request from another repository, or from one unknown."""
    pull = (run.get("payload") or {}).get("pull_request")
    return bool(pull) and repository_of_head(run).get("full_name") != run["repository"]


def _commit_ids(commit: dict[str, Any]) -> dict[str, str]:
    return {
        "id": commit["sha"],
        "tree_id": commit["tree"]["sha"],
        "timestamp": commit["committer"]["date"],
    }


def _urls(url: str) -> dict[str, str]:
    names = ("jobs", "logs", "cancel", "rerun", "artifacts")
    return {"url": url, **{f"{name}_url": f"{url}/{name}" for name in names}}
