"""What happens in a repository, as GitHub tells it to workflows."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localcloud.github import shapes
from localcloud.github.diff import EMPTY_TREE, LIMIT
from localcloud.github.git import WEB_FLOW, ZERO, Commit, Person
from localcloud.github.heads import is_own
from localcloud.github.identity import noreply
from localcloud.github.pullview import show_whole_pull, span
from localcloud.github.repository import Repository
from localcloud.github.shapes import WEB, account
from localcloud.github.tracker import Record, Tracker

SKIPS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")
SKIP_TRAILER = re.compile(r"\n\n(?:.*\n)*skip-checks: ?true\s*\Z")
COMMITS = 2048  # that the event of a push shows, as GitHub's
BRANCH, TAG = "refs/heads/", "refs/tags/"

Payload = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One event. `sha` is the commit whose workflow files count, `head_sha` the one that a run shows."""

    name: str
    actor: str
    ref: str
    sha: str
    head_sha: str
    payload: Callable[[], Payload]
    title: str = ""
    activity: str = ""
    base: str = ""  # the branch that the `branches` filter is about
    files: Callable[[], list[str]] = list
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def head_branch(self) -> str:
        """The branch (or tag) that a run shows."""
        return str(self.fields.get("head_ref") or self.ref.split("/", 2)[2])


def common(where: Repository, actor: str) -> Payload:
    """What every event's payload holds."""
    return {"repository": shapes.repository(where), "sender": account(actor)}


def skips(where: Repository, commit: str) -> bool:
    """Whether the commit's message asks for no runs."""
    message = where.commit(commit).message
    return any(mark in message for mark in SKIPS) or bool(SKIP_TRAILER.search(message))


def first_line(where: Repository, commit: str) -> str:
    """The commit's title."""
    return where.commit(commit).message.partition("\n")[0]


def push(where: Repository, moved: tuple[str, str, str], actor: str) -> Event | None:
    """A ref that moved from one commit to another; None where that starts nothing."""
    ref, _, after = moved
    head = where.ref(f"{after}^{{commit}}") if after != ZERO else None
    if head is None or not ref.startswith((BRANCH, TAG)) or skips(where, head):
        return None
    return Event(
        name="push",
        actor=actor,
        ref=ref,
        sha=head,
        head_sha=head,
        title=first_line(where, head),
        base=ref.removeprefix(BRANCH) if ref.startswith(BRANCH) else "",
        files=lambda: _differing(where, _start(where, moved), head),
        payload=lambda: _push_payload(where, moved, actor),
    )


def _new_commits(where: Repository, moved: tuple[str, str, str]) -> list[Commit]:
    """What a push brought, oldest first; to a new branch, what no other branch has."""
    ref, before, after = moved
    known = [before] if before != ZERO else [f"--exclude={ref}", "--branches"]
    return where.log(f"-{COMMITS}", "--reverse", after, "--not", *known)


def _start(where: Repository, moved: tuple[str, str, str]) -> str:
    """The commit against which a push's files differ."""
    _, before, after = moved
    if before != ZERO:
        return before
    oldest = next(iter(_new_commits(where, moved)), None) or where.commit(after)
    return oldest.parents[0] if oldest.parents else EMPTY_TREE


def _differing(where: Repository, old: str, new: str) -> list[str]:
    found = where.raw("diff-tree", "-r", "-z", "--name-only", "--no-commit-id", old, new)
    return found.decode(errors="surrogateescape").split("\0")[:-1][:LIMIT]


def _push_payload(where: Repository, moved: tuple[str, str, str], actor: str) -> Payload:
    ref, before, after = moved
    head = where.ref(f"{after}^{{commit}}") or after
    new = before == ZERO
    return {
        "ref": ref,
        "before": before,
        "after": after,
        "base_ref": None,
        "created": new,
        "deleted": False,
        "forced": not new and not where.is_ancestor(before, after),
        "compare": f"{WEB}/{where.full_name}/compare/{before[:12]}...{after[:12]}",
        "commits": [_shown(where, one) for one in _new_commits(where, moved)],
        "head_commit": _shown(where, where.commit(head)),
        "pusher": {"name": actor, "email": noreply(actor)},
        **common(where, actor),
    }


def _shown(where: Repository, found: Commit) -> Payload:
    people = {"author": found.author, "committer": found.committer}
    return {
        "id": found.sha,
        "tree_id": found.tree,
        "distinct": True,
        "message": found.message,
        "timestamp": found.committer.date,
        "url": f"{WEB}/{where.full_name}/commit/{found.sha}",
        **{role: {"name": one.name, "email": one.email} for role, one in people.items()},
    }


def pull_request(
    tracker: Tracker, where: Repository, record: Record, activity: str, actor: str
) -> Event | None:
    """What befell a pull request; None where that starts nothing: it conflicts, or asks for it."""
    pull = record["pull"]
    if skips(where, pull["head_sha"]):
        return None
    merged = pull["merged"] and activity == "closed"
    sha = pull["merge_commit_sha"] if merged else _merge(where, record)
    if sha is None:
        return None
    number, people = record["number"], (record["user"], actor)
    new = not is_own(where, pull) and "NONE" in (tracker.association(where, one) for one in people)
    held = {"unapproved": True} if new else {}  # until somebody approves a first contribution
    ref = f"{BRANCH}{pull['base_ref']}" if merged else f"refs/pull/{number}/merge"

    def payload() -> Payload:
        shown = {"pull_request": show_whole_pull(tracker, where, record), **common(where, actor)}
        return {"action": activity, "number": number, **shown}

    return Event(
        name="pull_request",
        actor=actor,
        ref=ref,
        sha=sha,
        head_sha=pull["head_sha"],
        title=record["title"],
        activity=activity,
        base=pull["base_ref"],
        files=lambda: _differing(where, *span(where, record)),
        payload=payload,
        fields={**{name: pull[name] for name in ("head_ref", "base_ref")}, **held},
    )


def _merge(where: Repository, record: Record) -> str | None:
    """The commit that merging now would make, at refs/pull/N/merge; None where files conflict."""
    pull = record["pull"]
    tree = where.merge_tree(pull["base_sha"], pull["head_sha"])
    if tree is None:
        return None
    parents = [pull["base_sha"], pull["head_sha"]]
    message = f"Merge {pull['head_sha']} into {pull['base_sha']}\n"
    sha = where.write_commit(tree, parents, message, Person(*WEB_FLOW), Person(*WEB_FLOW))
    where.raw("update-ref", f"refs/pull/{record['number']}/merge", sha)
    return sha
