"""Pull requests: open, find, change, close."""

from typing import Any

from localcloud.github import heads, shapes
from localcloud.github.call import Call, page
from localcloud.github.commits import changed_files
from localcloud.github.errors import custom, invalid, not_found
from localcloud.github.follow import keep_head
from localcloud.github.issues import STATES, in_state, only_theirs, ordered
from localcloud.github.people import reaches
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
        head, base = call.query("head"), call.query("base")
        if ":" in head:  # GitHub ignores a head without its owner
            found = [one for one in found if _same(heads.label(where, one["pull"]), head)]
        found = [one for one in found if base in ("", one["pull"]["base_ref"])]
        default = "asc" if call.query("sort", "created") != "created" else "desc"
        return page(call, ordered(call, found, default), lambda one: show_pull(self.tracker, where, one))

    def get(self, call: Call) -> Response:
        """GET one."""
        return self._whole(call.repository, found_pull(self.tracker, call))

    def create(self, call: Call) -> Response:
        """POST a pull request; `maintainer_can_modify` is not granted, and answered as false."""
        where, data = call.repository, call.data
        head, base = self._head(call), str(call.need("base"))
        title = call.need("title")
        ends = self._ends(where, head, base)
        self._refuse_second(where, ends)
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

    def _head(self, call: Call) -> tuple[Repository, str]:
        """The head that a call names: of a repository that the caller reads, who writes in one of the
        two. Raises GitHubError (422).
        """
        where, repositories = call.repository, self.tracker.repositories
        head, branch = heads.named(repositories, where, call.need("head"))
        role = repositories.role(head, call.caller)
        if role == "none":
            raise invalid("PullRequest", "head")
        if not (reaches(role, "write") or call.may("write")):
            raise custom("PullRequest", "must be a collaborator")
        return head, branch

    @staticmethod
    def _ends(where: Repository, head: tuple[Repository, str], base: str) -> dict[str, Any]:
        shas = {"head": heads.tip(where, *head), "base": where.branch(base)}
        for field, sha in shas.items():
            if sha is None:
                raise invalid("PullRequest", field)
        if where.is_ancestor(str(shas["head"]), str(shas["base"])):
            raise custom("PullRequest", f"No commits between {_between(where, head, base)}")
        refs = {"head_repo": head[0].full_name, "head_ref": head[1], "base_ref": base}
        return {**refs, "head_sha": shas["head"], "base_sha": shas["base"]}

    def _is_open(self, where: Repository, ends: Record) -> bool:
        pulls = [one["pull"] for one in in_state(self.tracker.issues(where, pulls=True), "open")]
        wanted = (heads.label(where, ends), ends["base_ref"])
        return any((heads.label(where, pull), pull["base_ref"]) == wanted for pull in pulls)

    def _refuse_second(self, where: Repository, ends: Record) -> None:
        if self._is_open(where, ends):
            raise custom("PullRequest", f"A pull request already exists for {heads.label(where, ends)}.")

    def update(self, call: Call) -> Response:
        """PATCH title, body, base or state."""
        where, record, data = call.repository, found_pull(self.tracker, call), call.data
        only_theirs(call, record, "write")
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
        ends = self._ends(where, self._head_of(where, record["pull"]), base)
        self._refuse_second(where, ends)
        record["pull"].update(ends)

    def _head_of(self, where: Repository, pull: Record) -> tuple[Repository, str]:
        return heads.repository(self.tracker.repositories, where, pull), pull["head_ref"]

    def _turn(self, call: Call, record: Record, state: str) -> None:
        if state == "closed":
            self.tracker.close(call.repository, record, call.login)
        else:
            where, pull = call.repository, record["pull"]
            self._check_reopen(where, record)
            pull["base_sha"] = where.branch(pull["base_ref"])
            pull["head_sha"] = heads.tip(where, *self._head_of(where, pull))
            self.tracker.reopen(where, record)
            keep_head(where, record)

    def _check_reopen(self, where: Repository, record: Record) -> None:
        reason = self._why_closed(where, record["pull"])
        if reason:
            raise custom("PullRequest", f"state cannot be changed. {reason}", field="state")

    def _why_closed(self, where: Repository, pull: Record) -> str:
        head, base = pull["head_ref"], pull["base_ref"]
        tip, onto = heads.tip(where, *self._head_of(where, pull)), where.branch(base)
        if pull["merged"]:
            return "The pull request is merged."
        for name, sha in ((head, tip), (base, onto)):
            if sha is None:
                return f"The {name} branch has been deleted."
        if self._is_open(where, pull):
            ends = f"from {heads.label(where, pull)} to {where.owner}:{base}"
            return f"There is already an open pull request {ends}."
        if not where.is_ancestor(pull["head_sha"], str(tip)):
            return f"The {head} branch was force-pushed or recreated."
        if where.is_ancestor(str(tip), str(onto)):
            return f"There are no new commits on the {heads.label(where, pull)} branch."
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


def _between(where: Repository, head: tuple[Repository, str], base: str) -> str:
    """Both ends in words: with their owners where these differ."""
    there, branch = head
    return (
        f"{base} and {branch}"
        if there.key == where.key
        else f"{where.owner}:{base} and {there.owner}:{branch}"
    )


def _same(one: str, other: str) -> bool:
    """Whether two of OWNER:BRANCH are the same; owners' case does not count."""
    (owner, _, branch), (other_owner, _, other_branch) = one.partition(":"), other.partition(":")
    return (owner.lower(), branch) == (other_owner.lower(), other_branch)
