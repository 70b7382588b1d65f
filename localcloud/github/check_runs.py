"""Check runs of a commit: the jobs of the workflows that ran at it."""

from localcloud.github.call import Call, page
from localcloud.github.errors import GitHubError
from localcloud.github.jobs import Job, Jobs, show_check
from localcloud.http import Response


class CheckRuns:
    """The calls below /check-runs and /commits/…/check-runs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def list(self, call: Call) -> Response:
        """GET the check runs of a commit: of each run's last attempt, newest first."""
        where, ref = call.repository, call.param("ref")
        commit = where.resolve(ref)
        if commit is None:
            raise GitHubError(422, f"No commit found for SHA: {ref}")
        found = [job for job in self._jobs.at(where, commit) if _matches(call, job)]
        return page(call, found, lambda job: show_check(where, job), "check_runs")

    def get(self, call: Call) -> Response:
        """GET one check run."""
        where = call.repository
        return Response(show_check(where, self._jobs.get(where.full_name, call.number("id"))))


def _matches(call: Call, job: Job) -> bool:
    return call.query("check_name") in ("", job["name"]) and call.query("status") in ("", job["status"])
