"""Pull requests as GitHub's REST API shows them."""

from typing import Any

from localcloud.github import heads, shapes
from localcloud.github.call import API
from localcloud.github.commits import changed_files
from localcloud.github.repository import Repository
from localcloud.github.shapes import WEB, account, node_id
from localcloud.github.tracker import Record, Tracker, common


def show_pull(tracker: Tracker, where: Repository, record: Record) -> Record:
    """A pull request as lists show it; a head that has left the network shows no repository."""
    pull = record["pull"]
    head = heads.repository(tracker.repositories, where, pull)
    return {
        **common(tracker, where, record),
        **_links(where, record["number"], pull["head_sha"]),
        "node_id": node_id("PR", record["id"]),
        "merged_at": pull["merged_at"],
        "merge_commit_sha": pull["merge_commit_sha"],
        "draft": pull["draft"],
        "requested_reviewers": [account(login) for login in pull["reviewers"]],
        "requested_teams": [],
        "head": _end(head, pull["head_ref"], pull["head_sha"], head.source == where.source),
        "base": _end(where, pull["base_ref"], pull["base_sha"]),
        "auto_merge": None,
    }


def show_whole_pull(tracker: Tracker, where: Repository, record: Record) -> Record:
    """A pull request as GET one answers it; a fork's branch is written by its own people alone."""
    pull = record["pull"]
    files = changed_files(where, *span(where, record))
    mergeable = is_mergeable(where, record)
    return {
        **show_pull(tracker, where, record),
        "merged": pull["merged"],
        "merged_by": account(pull["merged_by"]) if pull["merged_by"] else None,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": _state(pull, mergeable),
        "comments": len(tracker.comments(where, record["number"])),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": where.count(f"{pull['base_sha']}..{pull['head_sha']}"),
        "additions": sum(file["additions"] for file in files),
        "deletions": sum(file["deletions"] for file in files),
        "changed_files": len(files),
    }


def span(where: Repository, record: Record) -> tuple[str, str]:
    """The commits between which a pull request's files differ."""
    base, head = record["pull"]["base_sha"], record["pull"]["head_sha"]
    return where.merge_base(base, head) or base, head


def is_mergeable(where: Repository, record: Record) -> bool | None:
    """Whether it merges cleanly; None once it is closed."""
    pull = record["pull"]
    if record["state"] != "open":
        return None
    return where.merge_tree(pull["base_sha"], pull["head_sha"]) is not None


def _state(pull: Record, mergeable: bool | None) -> str:
    if mergeable is None:
        return "unknown"
    return "dirty" if not mergeable else "draft" if pull["draft"] else "clean"


def _end(where: Repository, ref: str, sha: str, seen: bool = True) -> dict[str, Any]:
    owner = account(where.owner, where.record.get("owner_type", "Organization"))
    repository = shapes.repository(where) if seen else None
    return {"label": f"{where.owner}:{ref}", "ref": ref, "sha": sha, "user": owner, "repo": repository}


def _links(where: Repository, number: int, head: str) -> dict[str, Any]:
    api = f"{API}/repos/{where.full_name}"
    pull, issue = f"{api}/pulls/{number}", f"{api}/issues/{number}"
    page = f"{WEB}/{where.full_name}/pull/{number}"
    urls = {
        "html": page,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{pull}/comments",
        "review_comment": f"{api}/pulls/comments{{/number}}",
        "commits": f"{pull}/commits",
        "statuses": f"{api}/statuses/{head}",
    }
    links = {name: {"href": url} for name, url in {"self": pull, **urls}.items()}
    flat = {f"{name}_url": url for name, url in urls.items()}
    return {
        "url": pull,
        **flat,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "_links": links,
    }
