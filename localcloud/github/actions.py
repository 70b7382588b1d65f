"""GitHub Actions: press a workflow's button, follow, cancel and repeat its runs."""

import io
import zipfile
from typing import Any

from localcloud.github.call import API, Call, page
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.jobs import Jobs, show_job
from localcloud.github.repository import Repository
from localcloud.github.runner import Runner
from localcloud.github.runs import Run, Runs, show_run
from localcloud.github.shapes import WEB
from localcloud.github.triggers import Triggers
from localcloud.github.workflows import find, workflow_id
from localcloud.http import Response

FIELDS = {"event": "event", "branch": "head_branch", "actor": "actor", "head_sha": "head_sha"}


class Actions:
    """The calls below /actions."""

    def __init__(self, runs: Runs, runner: Runner, triggers: Triggers) -> None:
        self.runs, self.runner, self.triggers = runs, runner, triggers
        self._jobs = Jobs(runs.store)

    def dispatch(self, call: Call) -> Response:
        """POST: press a workflow's button at a ref."""
        where = call.repository
        path, given = find(where, call.param("workflow")), call.need("ref")
        inputs = call.need("inputs", dict) if call.data.get("inputs") else {}
        run = self.triggers.dispatch(where, path, (given, inputs), call.login)
        return _details(where, run) if call.data.get("return_run_details") else Response(status=204)

    def list(self, call: Call) -> Response:
        """GET the repository's runs, newest first."""
        return self._page(call, self.runs.of(call.repository))

    def of_workflow(self, call: Call) -> Response:
        """GET one workflow's runs."""
        where = call.repository
        number = workflow_id(where, find(where, call.param("workflow")))
        return self._page(call, [run for run in self.runs.of(where) if run["workflow_id"] == number])

    def _page(self, call: Call, found: Any) -> Response:
        chosen = [run for run in found if _matches(call, run)]
        return page(call, chosen, lambda run: show_run(call.repository, run), "workflow_runs")

    def _found(self, call: Call) -> Run:
        return self.runs.get(call.repository.full_name, call.number("id"))

    def get(self, call: Call) -> Response:
        """GET one run."""
        return Response(show_run(call.repository, self._found(call)))

    def jobs(self, call: Call) -> Response:
        """GET a run's jobs: those of its last attempt, or all."""
        run = self._found(call)
        found = self._jobs.of(run, None if call.query("filter") == "all" else run["attempt"])
        return page(call, found, lambda job: show_job(call.repository, run, job), "jobs")

    def jobs_of_attempt(self, call: Call) -> Response:
        """GET the jobs of one attempt."""
        run = self._found(call)
        found = self._jobs.of(run, call.number("attempt"))
        return page(call, found, lambda job: show_job(call.repository, run, job), "jobs")

    def job(self, call: Call) -> Response:
        """GET one job."""
        where = call.repository
        job = self._jobs.get(where.full_name, call.number("id"))
        return Response(show_job(where, self.runs.get(where.full_name, job["run"]), job))

    def logs(self, call: Call) -> Response:
        """GET a run's logs as a zip file: one for each job."""
        run, kept = self._found(call), io.BytesIO()
        if not self.runs.log(run).exists():
            raise not_found()
        with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, job in enumerate(self._jobs.of(run, run["attempt"])):
                log = self.runs.job_log(run, job["id"])
                if log.exists():
                    archive.write(log, f"{index}_{job['name'].replace('/', '_')}.txt")
        return Response(kept.getvalue(), headers={"content-type": "application/zip"})

    def job_logs(self, call: Call) -> Response:
        """GET a job's log as text."""
        where = call.repository
        job = self._jobs.get(where.full_name, call.number("id"))
        log = self.runs.job_log(self.runs.get(where.full_name, job["run"]), job["id"])
        if not log.exists():
            raise not_found()
        return Response(log.read_bytes(), headers={"content-type": "text/plain; charset=utf-8"})

    def cancel(self, call: Call) -> Response:
        """POST: end a run."""
        if not self.runner.cancel(self._found(call)):
            raise GitHubError(409, "Cannot cancel a workflow run that is completed.")
        return Response({}, status=202)

    def approve(self, call: Call) -> Response:
        """POST: let a fork's first pull request run."""
        self.runner.approve(self._found(call))
        return Response({}, status=201)

    def rerun(self, call: Call) -> Response:
        """POST: run it again, at the same commit."""
        self.runner.again({**self._found(call), "redo": None}, call.login)
        return Response({}, status=201)

    def rerun_failed(self, call: Call) -> Response:
        """POST: run again the jobs that did not succeed, and those that need them."""
        run = self._found(call)
        self.runner.again({**run, "redo": run["attempt"]}, call.login)
        return Response({}, status=201)


def _details(where: Repository, run: Run) -> Response:
    urls = {"run_url": f"{API}/repos/{where.full_name}/actions/runs/{run['id']}"}
    urls["html_url"] = f"{WEB}/{where.full_name}/actions/runs/{run['id']}"
    return Response({"workflow_run_id": run["id"], **urls})


def _matches(call: Call, run: Run) -> bool:
    wanted = {field: call.query(name) for name, field in FIELDS.items()}
    status = call.query("status")
    fits = all(not value or run[field] == value for field, value in wanted.items())
    return (
        fits
        and status in ("", run["status"], run["conclusion"])
        and _created(call.query("created"), run)
    )


def _created(span: str, run: Run) -> bool:
    """Whether a run's time fits `2026-01-01`, `>=…`, `<…` or `…..…`."""
    when = str(run["created_at"])
    if ".." in span:
        first, last = span.split("..", 1)
        return first.strip("*") <= when and (last in ("", "*") or when[: len(last)] <= last)
    for sign in (">=", "<=", ">", "<"):
        if span.startswith(sign):
            bound = span.removeprefix(sign)
            cut = when[: len(bound)]
            return {">=": cut >= bound, "<=": cut <= bound, ">": cut > bound, "<": cut < bound}[sign]
    return when.startswith(span)
