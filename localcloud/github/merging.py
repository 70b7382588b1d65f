"""Merging pull requests: a merge commit, one squashed commit, or the commits again."""

from localcloud.github import shapes
from localcloud.github.call import Call
from localcloud.github.errors import GitHubError, invalid, not_found
from localcloud.github.follow import mark_merged
from localcloud.github.git import WEB_FLOW, Commit, Person
from localcloud.github.heads import label
from localcloud.github.identity import noreply
from localcloud.github.pulls import found_pull
from localcloud.github.repository import Repositories, Repository
from localcloud.github.tracker import Record, Tracker
from localcloud.http import Response

MOVED = "Head branch was modified. Review and try the merge again."
NOT_MERGEABLE = "Pull Request is not mergeable"


class Merging:
    """The calls below /pulls/…/merge and /merges."""

    def __init__(self, repositories: Repositories, tracker: Tracker) -> None:
        self.repositories, self.tracker = repositories, tracker
        self.methods = {"merge": _merge, "squash": _squash, "rebase": _rebase}

    def is_merged(self, call: Call) -> Response:
        """GET: 204 when merged, 404 when not."""
        if not found_pull(self.tracker, call)["pull"]["merged"]:
            raise not_found()
        return Response(status=204)

    def merge(self, call: Call) -> Response:
        """PUT: merge into the base branch, only at `sha` where given."""
        where, record = call.repository, found_pull(self.tracker, call)
        pull, method = record["pull"], call.data.get("merge_method") or "merge"
        if method not in self.methods:
            raise invalid("PullRequest", "merge_method")
        if record["state"] != "open":
            raise GitHubError(405, NOT_MERGEABLE)
        if pull["draft"]:
            raise GitHubError(405, "Pull Request is still a draft")
        if call.data.get("sha", pull["head_sha"]) != pull["head_sha"]:
            raise GitHubError(409, MOVED)
        commit = self.methods[method](call, record)
        self._land(where, record, commit)
        done = {"sha": commit, "merged": True, "message": "Pull Request successfully merged"}
        return Response(done)

    def _land(self, where: Repository, record: Record, commit: str) -> None:
        before = record["pull"]["base_sha"]
        self.repositories.update(where, f"refs/heads/{record['pull']['base_ref']}", commit, before)
        record = self.tracker.get(where, record["number"])
        if not record["pull"]["merged"]:  # squashed and rebased commits don't show it
            record["pull"]["base_sha"] = before
            mark_merged(self.tracker, where, record, commit)

    def merge_branch(self, call: Call) -> Response:
        """POST /merges: merge one branch into another, without a pull request."""
        where, base = call.repository, call.need("base")
        onto, tip = where.branch(base), where.resolve(call.need("head"))
        if onto is None or tip is None:
            raise GitHubError(404, "Base does not exist" if onto is None else "Head does not exist")
        if where.is_ancestor(tip, onto):
            return Response(status=204)
        tree = where.merge_tree(onto, tip)
        if tree is None:
            raise GitHubError(409, "Merge conflict")
        message = call.data.get("commit_message") or f"Merge {call.need('head')} into {base}"
        commit = where.write_commit(tree, [onto, tip], message, _author(call), Person(*WEB_FLOW))
        self.repositories.update(where, f"refs/heads/{base}", commit, onto)
        return Response(shapes.commit(where, where.commit(commit)), status=201)


def _author(call: Call) -> Person:
    return Person(call.login, noreply(call.login))


def _tree(where: Repository, record: Record) -> str:
    tree = where.merge_tree(record["pull"]["base_sha"], record["pull"]["head_sha"])
    if tree is None:
        raise GitHubError(405, NOT_MERGEABLE)
    return tree


def _message(call: Call, title: str, text: str) -> str:
    title = call.data.get("commit_title") or title
    text = call.data.get("commit_message", text) or ""
    return f"{title}\n\n{text}".rstrip() + "\n"


def _merge(call: Call, record: Record) -> str:
    where, pull = call.repository, record["pull"]
    title = f"Merge pull request #{record['number']} from {label(where, pull).replace(':', '/', 1)}"
    message = _message(call, title, record["title"])
    parents = [pull["base_sha"], pull["head_sha"]]
    return where.write_commit(_tree(where, record), parents, message, _author(call), Person(*WEB_FLOW))


def _squash(call: Call, record: Record) -> str:
    where, pull = call.repository, record["pull"]
    found = _commits(where, record)
    if len(found) == 1:
        title, _, text = found[0].message.partition("\n\n")
    else:
        title, text = record["title"], "\n\n".join(f"* {one.message}" for one in found)
    message = _message(call, f"{title} (#{record['number']})", text)
    return where.write_commit(
        _tree(where, record), [pull["base_sha"]], message, _author(call), Person(*WEB_FLOW)
    )


def _rebase(call: Call, record: Record) -> str:
    where, tip = call.repository, record["pull"]["base_sha"]
    _tree(where, record)
    for one in _commits(where, record):
        if len(one.parents) == 1:
            tip = _pick(where, one, tip)
    return str(tip)


def _pick(where: Repository, one: Commit, onto: str) -> str:
    # A stand-in for `onto` whose parent is the commit's own: so git's merge base is that parent.
    tree = where.ref(f"{onto}^{{tree}}") or onto
    stand_in = where.write_commit(tree, one.parents, "", Person(*WEB_FLOW), Person(*WEB_FLOW))
    merged = where.merge_tree(stand_in, one.sha)
    if merged is None:
        raise GitHubError(405, "This branch can't be rebased")
    return where.write_commit(merged, [onto], one.message + "\n", one.author, Person(*WEB_FLOW))


def _commits(where: Repository, record: Record) -> list[Commit]:
    pull = record["pull"]
    return where.log("--reverse", f"{pull['base_sha']}..{pull['head_sha']}")
