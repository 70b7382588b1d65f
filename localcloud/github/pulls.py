"""Pull requests: open, find, change, close."""

from typing import Any

from localcloud.github import shapes
from localcloud.github.call import Call, page
from localcloud.github.commits import changed_files
from localcloud.github.errors import custom, invalid, not_found
from localcloud.github.follow import keep_head
from localcloud.github.issues import STATES, in_state, ordered
from localcloud.github.pullview import show_pull, show_whole_pull, span
from localcloud.github.repository import Repository
from localcloud.github.tracker import Record, Tracker
from localcloud.http import Response


def found_pull(tracker: Tracker, call: Call) -> Record:
    """The pull request in the path. Raises GitHubError (404)."""
    record = tracker.get(call.repository, call.number())
    if not record["pull"]:
        raise not_found()
    return record


class Pulls:
    """The calls below /pulls."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def _whole(self, where: Repository, record: Record, status: int = 200) -> Response:
        return Response(show_whole_pull(self.tracker, where, record), status=status)

    def list(self, call: Call) -> Response:
        """GET pull requests, by state, head (OWNER:BRANCH) and base."""
        where = call.repository
        found = in_state(self.tracker.issues(where, pulls=True), call.query("state", "open"))
        wanted = {"head_ref": self._head_filter(call), "base_ref": call.query("base")}
        for field, value in wanted.items():
            found = [one for one in found if not value or one["pull"][field] == value]
        default = "asc" if call.query("sort", "created") != "created" else "desc"
        return page(call, ordered(call, found, default), lambda one: show_pull(self.tracker, where, one))

    @staticmethod
    def _head_filter(call: Call) -> str:
        owner, colon, branch = call.query("head").partition(":")
        if not colon:
            return ""  # GitHub ignores a head without its owner
        return branch if owner.lower() == call.repository.owner.lower() else "\0"

    def get(self, call: Call) -> Response:
        """GET one."""
        return self._whole(call.repository, found_pull(self.tracker, call))

    def create(self, call: Call) -> Response:
        """POST a pull request."""
        where, data = call.repository, call.data
        head, base = _branch_name(where, call.need("head")), str(call.need("base"))
        title = call.need("title")
        ends = self._ends(where, head, base)
        self._refuse_second(where, head, base)
        pull = {
            **ends,
            "draft": bool(data.get("draft")),
            "merged": False,
            **dict.fromkeys(("merged_at", "merged_by", "merge_commit_sha")),
            "reviewers": [],
        }
        record = self.tracker.open(
            where, call.login, {"title": title, "body": data.get("body"), "pull": pull}
        )
        keep_head(where, record)
        self.tracker.tell(where, record, "opened")
        return self._whole(where, record, 201)

    @staticmethod
    def _ends(where: Repository, head: str, base: str) -> dict[str, Any]:
        shas = {"head": where.branch(head), "base": where.branch(base)}
        for field, sha in shas.items():
            if sha is None:
                raise invalid("PullRequest", field)
        if where.is_ancestor(str(shas["head"]), str(shas["base"])):
            raise custom("PullRequest", f"No commits between {base} and {head}")
        refs = {"head_ref": head, "base_ref": base}
        return {**refs, "head_sha": shas["head"], "base_sha": shas["base"]}

    def _is_open(self, where: Repository, head: str, base: str) -> bool:
        pulls = [one["pull"] for one in in_state(self.tracker.issues(where, pulls=True), "open")]
        return any((pull["head_ref"], pull["base_ref"]) == (head, base) for pull in pulls)

    def _refuse_second(self, where: Repository, head: str, base: str) -> None:
        if self._is_open(where, head, base):
            raise custom("PullRequest", f"A pull request already exists for {where.owner}:{head}.")

    def update(self, call: Call) -> Response:
        """PATCH title, body, base or state."""
        where, record, data = call.repository, found_pull(self.tracker, call), call.data
        state = data.get("state", record["state"])
        if state not in STATES:
            raise invalid("PullRequest", "state")
        record.update({key: data[key] for key in ("title", "body") if key in data})
        if data.get("base", record["pull"]["base_ref"]) != record["pull"]["base_ref"]:
            self._rebase(where, record, data["base"])
        if state != record["state"]:
            self._turn(call, record, state)
        return self._whole(where, self.tracker.save(where, record))

    def _rebase(self, where: Repository, record: Record, base: str) -> None:
        if record["state"] != "open":
            raise custom(
                "PullRequest", "Cannot change the base branch of a closed pull request.", field="base"
            )
        self._refuse_second(where, record["pull"]["head_ref"], base)
        record["pull"].update(self._ends(where, record["pull"]["head_ref"], base))

    def _turn(self, call: Call, record: Record, state: str) -> None:
        if state == "closed":
            self.tracker.close(call.repository, record, call.login)
        else:
            self._check_reopen(call.repository, record)
            record["pull"]["base_sha"] = call.repository.branch(record["pull"]["base_ref"])
            record["pull"]["head_sha"] = call.repository.branch(record["pull"]["head_ref"])
            self.tracker.reopen(call.repository, record)
            keep_head(call.repository, record)

    def _check_reopen(self, where: Repository, record: Record) -> None:
        reason = self._why_closed(where, record["pull"])
        if reason:
            raise custom("PullRequest", f"state cannot be changed. {reason}", field="state")

    def _why_closed(self, where: Repository, pull: Record) -> str:
        head, base = pull["head_ref"], pull["base_ref"]
        tip, onto = where.branch(head), where.branch(base)
        if pull["merged"]:
            return "The pull request is merged."
        for name, sha in ((head, tip), (base, onto)):
            if sha is None:
                return f"The {name} branch has been deleted."
        if self._is_open(where, head, base):
            ends = f"from {where.owner}:{head} to {where.owner}:{base}"
            return f"There is already an open pull request {ends}."
        if not where.is_ancestor(pull["head_sha"], str(tip)):
            return f"The {head} branch was force-pushed or recreated."
        if where.is_ancestor(str(tip), str(onto)):
            return f"There are no new commits on the {where.owner}:{head} branch."
        return ""

    def files(self, call: Call) -> Response:
        """GET the files that it changes."""
        where = call.repository
        return page(call, changed_files(where, *span(where, found_pull(self.tracker, call))))

    def commits(self, call: Call) -> Response:
        """GET its commits, oldest first."""
        where, pull = call.repository, found_pull(self.tracker, call)["pull"]
        found = where.log("--reverse", f"{pull['base_sha']}..{pull['head_sha']}")
        return page(call, found, lambda one: shapes.commit(where, one))


def _branch_name(where: Repository, head: str) -> str:
    owner, colon, branch = head.partition(":")
    if not colon:
        return head
    if owner.lower() != where.owner.lower():
        raise invalid("PullRequest", "head")
    return branch
