"""Commit statuses."""

from localcloud.github import shapes
from localcloud.github.call import API, Call, page
from localcloud.github.errors import GitHubError, invalid
from localcloud.github.repository import Repository, timestamp
from localcloud.github.tracker import Record, Tracker
from localcloud.http import Response

STATES = ("error", "failure", "pending", "success")


class Statuses:
    """The calls below /statuses and /commits/…/status."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self.store = tracker, tracker.store

    def create(self, call: Call) -> Response:
        """POST a status; the newest of a context counts."""
        where, sha, state = call.repository, call.param("sha"), call.need("state")
        if state not in STATES:
            raise invalid("Status", "state")
        if where.kind(sha) != "commit":
            raise GitHubError(422, f"No commit found for SHA: {sha}")
        now, number = timestamp(), self.tracker.identifier()
        fields = {key: call.data.get(key) for key in ("target_url", "description")}
        context = call.data.get("context") or "default"
        times = {"created_at": now, "updated_at": now}
        record = {
            "id": number,
            "state": state,
            "context": context,
            **fields,
            **times,
            "creator": call.login,
        }
        self.store.put("github-status", f"{where.key}/{sha}/{number:012d}", record)
        return Response(_show(where, sha, record), status=201)

    def _of(self, call: Call) -> tuple[str, list[Record]]:
        where, ref = call.repository, call.param("ref")
        sha = where.resolve(ref)
        if sha is None:
            raise GitHubError(422, f"No commit found for SHA: {ref}")
        found = [record for _, record in self.store.list("github-status", f"{where.key}/{sha}/")]
        return sha, found[::-1]

    def list(self, call: Call) -> Response:
        """GET a commit's statuses, newest first."""
        sha, found = self._of(call)
        return page(call, found, lambda one: _show(call.repository, sha, one))

    def combined(self, call: Call) -> Response:
        """GET the newest status of each context, and what they come to."""
        where, (sha, found) = call.repository, self._of(call)
        newest = {record["context"]: record for record in reversed(found)}
        states = {record["state"] for record in newest.values()}
        failed = states & {"error", "failure"}
        state = "failure" if failed else "success" if states == {"success"} else "pending"
        api = f"{API}/repos/{where.full_name}/commits/{sha}"
        body = {
            "state": state,
            "statuses": [_simple(where, sha, record) for record in newest.values()],
            "sha": sha,
            "total_count": len(newest),
            "repository": shapes.repository(where),
            "commit_url": api,
            "url": f"{api}/status",
        }
        return Response(body)


def _simple(where: Repository, sha: str, record: Record) -> Record:
    """A status inside the combined one: without its creator."""
    return {key: value for key, value in _show(where, sha, record).items() if key != "creator"}


def _show(where: Repository, sha: str, record: Record) -> Record:
    creator = shapes.account(record["creator"])
    urls = {"url": f"{API}/repos/{where.full_name}/statuses/{sha}", "avatar_url": creator["avatar_url"]}
    return {**record, **urls, "node_id": shapes.node_id("SC", record["id"]), "creator": creator}
