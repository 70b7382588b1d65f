"""What is kept of issues, pull requests, comments and labels, and how issues are shown."""

import zlib
from collections.abc import Callable
from typing import Any

from localcloud.github.call import API
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.repository import Repositories, Repository, timestamp
from localcloud.github.shapes import WEB, account, node_id

COLOR = "ededed"

Record = dict[str, Any]
PullHook = Callable[[Repository, Record, str], None]


class Tracker:
    """The issues of all repositories; a pull request is an issue with `pull` in its record.

    `on_pull` is called with each pull request to which something happened, and what.
    """

    def __init__(self, repositories: Repositories) -> None:
        self.repositories, self.store = repositories, repositories.store
        self.on_pull = list[PullHook]()

    def open(self, where: Repository, user: str, fields: Record) -> Record:
        """A new issue, with the repository's next number."""
        number = self.store.next_number(f"github-number/{where.key}")
        now = timestamp()
        record = {
            "number": number,
            "id": self.identifier(),
            "user": user,
            "state": "open",
            "state_reason": None,
            "labels": [],
            "assignees": [],
            "created_at": now,
            "updated_at": now,
            "closed_at": None,
            "closed_by": None,
            "pull": None,
            **fields,
        }
        self.store.put("github-issue", _key(where, number), record)
        return record

    def identifier(self) -> int:
        """A number that nothing else has."""
        return 2_000_000_000 + self.store.next_number("github-id")

    def get(self, where: Repository, number: int) -> Record:
        """An issue or pull request. Raises GitHubError (404)."""
        found = self.store.get("github-issue", _key(where, number))
        if found is None:
            raise not_found()
        return found

    def save(self, where: Repository, record: Record) -> Record:
        """Keep a changed record."""
        record["updated_at"] = timestamp()
        self.store.put("github-issue", _key(where, record["number"]), record)
        return record

    def issues(self, where: Repository, pulls: bool | None = None) -> list[Record]:
        """Oldest first; only pull requests, or none, where asked."""
        found = [record for _, record in self.store.list("github-issue", f"{where.key}/")]
        return [one for one in found if pulls is None or bool(one["pull"]) is pulls]

    def close(self, where: Repository, record: Record, by: str, reason: str = "completed") -> Record:
        """Close it."""
        closed = {"state": "closed", "closed_at": timestamp(), "closed_by": by, "state_reason": reason}
        record.update(closed)
        self.save(where, record)
        self.tell(where, record, "closed")
        return record

    def reopen(self, where: Repository, record: Record) -> Record:
        """Open it again."""
        record.update(state="open", closed_at=None, closed_by=None, state_reason="reopened")
        self.save(where, record)
        self.tell(where, record, "reopened")
        return record

    def tell(self, where: Repository, record: Record, activity: str) -> None:
        """Tell who listens what happened to a pull request; of issues, nobody is told."""
        for hook in self.on_pull if record["pull"] else []:
            hook(where, record, activity)

    def note_contribution(self, where: Repository, login: str) -> None:
        """Keep it that a pull request of that person has been merged."""
        self.store.put("github-contributor", f"{where.key}/{login.lower()}", {"login": login})

    def has_contributed(self, where: Repository, login: str) -> bool:
        """Whether a pull request of that person has been merged."""
        return self.store.get("github-contributor", f"{where.key}/{login.lower()}") is not None

    def association(self, where: Repository, login: str) -> str:
        """What an account is to the repository."""
        if login.endswith("[bot]"):
            return "NONE"
        named = self.repositories.people.association(where, login)
        return named or ("CONTRIBUTOR" if self.has_contributed(where, login) else "NONE")

    # Comments

    def comment(self, where: Repository, number: int, user: str, body: str) -> Record:
        """A new comment."""
        now = timestamp()
        record = {
            "id": self.identifier(),
            "issue": number,
            "user": user,
            "body": body,
            "created_at": now,
        }
        return self.save_comment(where, {**record, "updated_at": now})

    def save_comment(self, where: Repository, record: Record) -> Record:
        """Keep a comment."""
        self.store.put("github-comment", f"{where.key}/{record['id']:012d}", record)
        return record

    def find_comment(self, where: Repository, number: int) -> Record:
        """A comment. Raises GitHubError (404)."""
        found = self.store.get("github-comment", f"{where.key}/{number:012d}")
        if found is None:
            raise not_found()
        return found

    def delete_comment(self, where: Repository, number: int) -> None:
        """Take a comment away."""
        self.store.delete("github-comment", f"{where.key}/{number:012d}")

    def comments(self, where: Repository, number: int | None = None) -> list[Record]:
        """The comments of one issue, or of all, oldest first."""
        found = [record for _, record in self.store.list("github-comment", f"{where.key}/")]
        return [one for one in found if number in (None, one["issue"])]

    # Labels

    def label(self, where: Repository, name: str) -> Record | None:
        """A repository's label; names are case-insensitive."""
        return self.store.get("github-label", f"{where.key}/{name.lower()}")

    def save_label(self, where: Repository, name: str, **fields: Any) -> Record:
        """Make or change a label."""
        number = zlib.crc32(f"{where.key}/{name}".encode())
        old = self.label(where, name) or {"id": number, "color": COLOR, "description": None}
        record = {**old, "name": name, **fields}
        self.store.put("github-label", f"{where.key}/{name.lower()}", record)
        return record

    def delete_label(self, where: Repository, name: str) -> None:
        """Take a label away, from every issue too."""
        self.store.delete("github-label", f"{where.key}/{name.lower()}")
        for record in self.issues(where):
            if name in record["labels"]:
                record["labels"].remove(name)
                self.save(where, record)

    def labels(self, where: Repository) -> list[Record]:
        """The repository's labels."""
        return [record for _, record in self.store.list("github-label", f"{where.key}/")]

    def known_labels(self, where: Repository, names: list[Any]) -> list[str]:
        """The labels' own spelling; what is not there yet is made, as GitHub does."""
        found = []
        for given in names:
            name = given.get("name") if isinstance(given, dict) else given
            if not isinstance(name, str) or not name:
                raise GitHubError(422, "Validation Failed", [{"resource": "Label", "code": "invalid"}])
            found.append(str((self.label(where, name) or self.save_label(where, name))["name"]))
        return list(dict.fromkeys(found))


def _key(where: Repository, number: int) -> str:
    return f"{where.key}/{number:08d}"


def show_label(where: Repository, record: Record) -> Record:
    """A label as GitHub shows it."""
    url = f"{API}/repos/{where.full_name}/labels/{record['name']}"
    return {**record, "node_id": node_id("LA", record["id"]), "url": url, "default": False}


def show_labels(tracker: Tracker, where: Repository, names: list[str]) -> list[Record]:
    """The labels of an issue."""
    found = [tracker.label(where, name) for name in names]
    return [show_label(where, one) for one in found if one]


def show_comment(tracker: Tracker, where: Repository, record: Record) -> Record:
    """A comment as GitHub shows it."""
    api, number = f"{API}/repos/{where.full_name}/issues", record["id"]
    page = f"{WEB}/{where.full_name}/issues/{record['issue']}#issuecomment-{number}"
    urls = {"url": f"{api}/comments/{number}", "issue_url": f"{api}/{record['issue']}", "html_url": page}
    kept = {key: record[key] for key in ("id", "body", "created_at", "updated_at")}
    standing = tracker.association(where, record["user"])
    who = {"user": account(record["user"]), "author_association": standing}
    return {**kept, **urls, **who, "node_id": node_id("IC", number), "performed_via_github_app": None}


def common(tracker: Tracker, where: Repository, record: Record) -> Record:
    """What an issue and a pull request show alike."""
    kept = ["id", "number", "title", "body", "state", "created_at", "updated_at", "closed_at"]
    people = [account(login) for login in record["assignees"]]
    return {
        **{key: record[key] for key in kept},
        "user": account(record["user"]),
        "labels": show_labels(tracker, where, record["labels"]),
        "assignee": people[0] if people else None,
        "assignees": people,
        "milestone": None,
        "locked": False,
        "active_lock_reason": None,
        "author_association": tracker.association(where, record["user"]),
    }


def show_issue(tracker: Tracker, where: Repository, record: Record) -> Record:
    """An issue (a pull request too) as the calls below /issues show it."""
    api = f"{API}/repos/{where.full_name}"
    url, pull = f"{api}/issues/{record['number']}", record["pull"]
    page = f"{WEB}/{where.full_name}/{'pull' if pull else 'issues'}/{record['number']}"
    shown = {
        **common(tracker, where, record),
        "node_id": node_id("PR" if pull else "I", record["id"]),
        "url": url,
        "repository_url": api,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": page,
        "comments": len(tracker.comments(where, record["number"])),
        "closed_by": account(record["closed_by"]) if record["closed_by"] else None,
        "state_reason": record["state_reason"],
    }
    return {**shown, **_pull_link(api, page, record)} if pull else shown


def _pull_link(api: str, page: str, record: Record) -> Record:
    pull = record["pull"]
    link = {"url": f"{api}/pulls/{record['number']}", "html_url": page, "merged_at": pull["merged_at"]}
    return {
        "draft": pull["draft"],
        "pull_request": {**link, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch"},
    }
