"""Reviews of pull requests, and who is asked for one."""

from typing import Any

from localcloud.github.call import API, Call, page
from localcloud.github.errors import GitHubError, invalid, missing, not_found
from localcloud.github.pulls import found_pull
from localcloud.github.pullview import show_pull
from localcloud.github.repository import Repository, timestamp
from localcloud.github.shapes import WEB, account, node_id
from localcloud.github.tracker import Record, Tracker
from localcloud.http import Response

STATES = {
    "APPROVE": "APPROVED",
    "REQUEST_CHANGES": "CHANGES_REQUESTED",
    "COMMENT": "COMMENTED",
    "": "PENDING",
}


class Reviews:
    """The calls below /pulls/…/reviews and /pulls/…/requested_reviewers."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self.store = tracker, tracker.store

    def list(self, call: Call) -> Response:
        """GET the reviews, oldest first."""
        where, number = call.repository, found_pull(self.tracker, call)["number"]
        found = [record for _, record in self.store.list("github-review", f"{where.key}/{number}/")]
        return page(call, found, lambda one: self._show(where, number, one))

    def get(self, call: Call) -> Response:
        """GET one review."""
        return Response(self._show(call.repository, call.number(), self._found(call)))

    def _found(self, call: Call) -> Record:
        key = _key(call.repository, call.number(), call.number("id"))
        found = self.store.get("github-review", key)
        if found is None:
            raise not_found()
        return found

    def create(self, call: Call) -> Response:
        """POST a review: approve, comment, or ask for changes."""
        record, data = found_pull(self.tracker, call), call.data
        event = data.get("event") or ""
        _check(call, record, event)
        number = self.tracker.identifier()
        review = {
            "id": number,
            "user": call.login,
            "body": data.get("body") or "",
            "state": STATES[event],
            "commit_id": data.get("commit_id") or record["pull"]["head_sha"],
            "submitted_at": timestamp(),
        }
        self._save(call.repository, record["number"], review)
        self.tracker.save(call.repository, record)
        return Response(self._show(call.repository, record["number"], review))

    def _save(self, where: Repository, number: int, review: Record) -> None:
        self.store.put("github-review", _key(where, number, review["id"]), review)

    def dismiss(self, call: Call) -> Response:
        """PUT: take an approval or a request for changes back."""
        review = self._found(call)
        call.need("message")
        if review["state"] not in ("APPROVED", "CHANGES_REQUESTED"):
            raise GitHubError(
                422, "Unprocessable Entity", [f"Can not dismiss a {review['state'].lower()} review"]
            )
        review["state"] = "DISMISSED"
        self._save(call.repository, call.number(), review)
        return Response(self._show(call.repository, call.number(), review))

    def _show(self, where: Repository, number: int, review: Record) -> Record:
        page_url = f"{WEB}/{where.full_name}/pull/{number}#pullrequestreview-{review['id']}"
        pull = f"{API}/repos/{where.full_name}/pulls/{number}"
        links = {"html": {"href": page_url}, "pull_request": {"href": pull}}
        standing = self.tracker.association(where, review["user"])
        who = {"user": account(review["user"]), "author_association": standing}
        urls = {"html_url": page_url, "pull_request_url": pull, "_links": links}
        return {**review, **who, **urls, "node_id": node_id("PRR", review["id"])}

    def requested(self, call: Call) -> Response:
        """GET who is asked for a review."""
        names = found_pull(self.tracker, call)["pull"]["reviewers"]
        return Response({"users": [account(name) for name in names], "teams": []})

    def request(self, call: Call) -> Response:
        """POST: ask people for a review."""
        record = found_pull(self.tracker, call)
        names = call.data.get("reviewers") or []
        if record["user"] in names:
            raise GitHubError(422, "Review cannot be requested from pull request author.")
        return self._ask(call, record, [*record["pull"]["reviewers"], *names], 201)

    def unrequest(self, call: Call) -> Response:
        """DELETE: ask them no more."""
        record, gone = found_pull(self.tracker, call), call.data.get("reviewers") or []
        return self._ask(
            call, record, [name for name in record["pull"]["reviewers"] if name not in gone], 200
        )

    def _ask(self, call: Call, record: Record, names: Any, status: int) -> Response:
        record["pull"]["reviewers"] = list(dict.fromkeys(names))
        self.tracker.save(call.repository, record)
        return Response(show_pull(self.tracker, call.repository, record), status=status)


def _check(call: Call, record: Record, event: str) -> None:
    if event not in STATES:
        raise invalid("PullRequestReview", "event")
    if event in ("REQUEST_CHANGES", "COMMENT") and not call.data.get("body"):
        raise missing("body")
    own = record["user"] == call.login
    if own and event in ("APPROVE", "REQUEST_CHANGES"):
        what = "approve" if event == "APPROVE" else "request changes on"
        raise GitHubError(422, "Unprocessable Entity", [f"Review Can not {what} your own pull request"])


def _key(where: Repository, number: int, review: int) -> str:
    return f"{where.key}/{number}/{review:012d}"
