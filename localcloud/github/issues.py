"""Issues, their comments and labels."""

from typing import Any

from localcloud.github.call import Call, page
from localcloud.github.errors import GitHubError, invalid, missing, not_found
from localcloud.github.repository import timestamp
from localcloud.github.tracker import Record, Tracker, show_comment, show_issue, show_label, show_labels
from localcloud.http import Response

STATES = ("open", "closed")
SORTING = ("assignee", "assignees", "labels", "milestone")


def in_state(records: list[Record], state: str) -> list[Record]:
    """Those that are open, closed, or all."""
    return records if state == "all" else [one for one in records if one["state"] == state]


def ordered(call: Call, records: list[Record], default: str = "desc") -> list[Record]:
    """Sorted as `sort` and `direction` ask; newest first unless told."""
    field = {"updated": "updated_at"}.get(call.query("sort"), "created_at")
    down = call.query("direction", default) != "asc"
    return sorted(records, key=lambda one: (one[field], one["number"]), reverse=down)


class Issues:
    """The calls below /issues."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def _found(self, call: Call) -> Record:
        return self.tracker.get(call.repository, call.number())

    def _shown(self, call: Call, record: Record, status: int = 200) -> Response:
        return Response(show_issue(self.tracker, call.repository, record), status=status)

    def list(self, call: Call) -> Response:
        """GET the issues, pull requests among them."""
        where = call.repository
        found = in_state(self.tracker.issues(where), call.query("state", "open"))
        names = {name for name in call.query("labels").split(",") if name}
        found = [one for one in found if names <= set(one["labels"])]
        for field, key in (("creator", "user"), ("since", "updated_at")):
            value = call.query(field)
            found = [
                one
                for one in found
                if not value or (one[key] >= value if key != "user" else one[key] == value)
            ]
        return page(call, ordered(call, found), lambda one: show_issue(self.tracker, where, one))

    def get(self, call: Call) -> Response:
        """GET one."""
        return self._shown(call, self._found(call))

    def create(self, call: Call) -> Response:
        """POST an issue; labels and assignees of somebody who may not give any are left out."""
        title, data = call.need("title"), _given(call)
        labels = self.tracker.known_labels(call.repository, data.get("labels") or [])
        fields = {
            "title": title,
            "body": data.get("body"),
            "assignees": _assignees(data),
            "labels": labels,
        }
        return self._shown(call, self.tracker.open(call.repository, call.login, fields), 201)

    def update(self, call: Call) -> Response:
        """PATCH title, body, labels, assignees or state."""
        where, record = call.repository, self._found(call)
        only_theirs(call, record, "triage")
        data = _given(call)
        record.update({key: data[key] for key in ("title", "body") if key in data})
        if data.get("labels") is not None:
            record["labels"] = self.tracker.known_labels(where, data["labels"])
        if "assignees" in data or "assignee" in data:
            record["assignees"] = _assignees(data)
        self.tracker.save(where, record)
        return self._shown(call, self._state(call, record))

    def _state(self, call: Call, record: Record) -> Record:
        state = call.data.get("state", record["state"])
        if state not in STATES:
            raise invalid("Issue", "state")
        if state == record["state"]:
            return record
        if state == "open":
            if record["pull"]:
                raise GitHubError(422, "Reopen a pull request by PATCH /pulls/NUMBER")
            return self.tracker.reopen(call.repository, record)
        reason = call.data.get("state_reason") or "completed"
        return self.tracker.close(call.repository, record, call.login, reason)


def only_theirs(call: Call, record: Record, role: str) -> None:
    """Let nobody pass but the author and who has that role; an author reopens only what they closed
    themselves. Raises GitHubError (403).
    """
    call.only(record["user"], role)
    if record["state"] == "closed" and call.data.get("state") == "open":
        call.only(record["closed_by"], role)


def _given(call: Call) -> dict[str, Any]:
    """What a call says, but for what only those may give who sort issues."""
    return {key: value for key, value in call.data.items() if call.may("triage") or key not in SORTING}


def _assignees(data: dict[str, Any]) -> list[str]:
    return [*(data.get("assignees") or filter(None, [data.get("assignee")]))]


class Comments:
    """The calls below /issues/…/comments and /issues/comments."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def list(self, call: Call) -> Response:
        """GET an issue's comments, oldest first."""
        where = call.repository
        number = self.tracker.get(where, call.number())["number"]
        since = call.query("since")
        found = [one for one in self.tracker.comments(where, number) if one["updated_at"] >= since]
        return page(call, found, lambda one: show_comment(self.tracker, where, one))

    def get(self, call: Call) -> Response:
        """GET one comment."""
        found = self.tracker.find_comment(call.repository, call.number("id"))
        return Response(show_comment(self.tracker, call.repository, found))

    def create(self, call: Call) -> Response:
        """POST a comment."""
        record = self.tracker.get(call.repository, call.number())
        body = _body(call)
        comment = self.tracker.comment(call.repository, record["number"], call.login, body)
        self.tracker.save(call.repository, record)
        return Response(show_comment(self.tracker, call.repository, comment), status=201)

    def update(self, call: Call) -> Response:
        """PATCH a comment's body."""
        found = self._own(call)
        changed = {**found, "body": _body(call), "updated_at": timestamp()}
        self.tracker.save_comment(call.repository, changed)
        return Response(show_comment(self.tracker, call.repository, changed))

    def _own(self, call: Call) -> Record:
        found = self.tracker.find_comment(call.repository, call.number("id"))
        call.only(found["user"], "write")
        return found

    def delete(self, call: Call) -> Response:
        """DELETE a comment."""
        found = self._own(call)
        self.tracker.delete_comment(call.repository, found["id"])
        return Response(status=204)


def _body(call: Call) -> str:
    body = str(call.need("body"))
    if not body.strip():
        raise GitHubError(
            422,
            "Validation Failed",
            [{"resource": "IssueComment", "code": "unprocessable", "field": "data"}],
        )
    return body


class Labels:
    """The calls below /labels and /issues/…/labels."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def list(self, call: Call) -> Response:
        """GET the repository's labels."""
        return page(
            call, self.tracker.labels(call.repository), lambda one: show_label(call.repository, one)
        )

    def get(self, call: Call) -> Response:
        """GET one of the repository's labels."""
        return Response(show_label(call.repository, self._found(call)))

    def _found(self, call: Call) -> Record:
        found = self.tracker.label(call.repository, call.param("name"))
        if found is None:
            raise not_found()
        return found

    def create(self, call: Call) -> Response:
        """POST a label of the repository."""
        name = call.need("name")
        if self.tracker.label(call.repository, name):
            raise invalid("Label", "name", "already_exists")
        fields = {key: call.data[key] for key in ("color", "description") if call.data.get(key)}
        record = self.tracker.save_label(call.repository, name, **fields)
        return Response(show_label(call.repository, record), status=201)

    def delete(self, call: Call) -> Response:
        """DELETE a label of the repository."""
        self.tracker.delete_label(call.repository, str(self._found(call)["name"]))
        return Response(status=204)

    def of(self, call: Call) -> Response:
        """GET an issue's labels."""
        names = self.tracker.get(call.repository, call.number())["labels"]
        return page(call, show_labels(self.tracker, call.repository, names))

    def add(self, call: Call) -> Response:
        """POST labels to an issue, beside those it has."""
        record = self.tracker.get(call.repository, call.number())
        return self._put(call, record, [*record["labels"], *_names(call)])

    def set(self, call: Call) -> Response:
        """PUT an issue's labels, in place of those it has."""
        return self._put(call, self.tracker.get(call.repository, call.number()), _names(call))

    def remove(self, call: Call) -> Response:
        """DELETE one label of an issue."""
        record = self.tracker.get(call.repository, call.number())
        name = call.param("name").lower()
        kept = [one for one in record["labels"] if one.lower() != name]
        if len(kept) == len(record["labels"]):
            raise GitHubError(404, "Label does not exist")
        return self._put(call, record, kept)

    def clear(self, call: Call) -> Response:
        """DELETE all labels of an issue."""
        self._put(call, self.tracker.get(call.repository, call.number()), [])
        return Response(status=204)

    def _put(self, call: Call, record: Record, names: Any) -> Response:
        where = call.repository
        record["labels"] = self.tracker.known_labels(where, names)
        self.tracker.save(where, record)
        return Response(show_labels(self.tracker, where, record["labels"]))


def _names(call: Call) -> Any:
    given = call.body.get("labels") if isinstance(call.body, dict) else call.body
    if not isinstance(given, list):
        raise missing("labels")
    return given
