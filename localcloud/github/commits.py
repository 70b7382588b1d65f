"""Branches, commits and comparisons."""

from typing import Any

from localcloud.github import shapes
from localcloud.github.call import API, Call, page
from localcloud.github.diff import EMPTY_TREE, changes
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.git import Commit
from localcloud.github.repository import Repository
from localcloud.http import Response

COMPARED = 250  # commits that a comparison shows, as GitHub's


def branches(call: Call) -> Response:
    """GET the branches."""
    refs = call.repository.refs("refs/heads/")
    names = [(name.removeprefix("refs/heads/"), sha) for name, sha in sorted(refs.items())]
    return page(call, names, lambda pair: _branch(call.repository, *pair))


def branch(call: Call) -> Response:
    """GET one branch."""
    where, name = call.repository, call.param("branch")
    sha = where.branch(name)
    if sha is None:
        raise GitHubError(404, "Branch not found")
    links = {"self": f"{API}/repos/{where.full_name}/branches/{name}"}
    links["html"] = f"{shapes.WEB}/{where.full_name}/tree/{name}"
    protection = {
        "enabled": False,
        "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
    }
    whole = {
        "commit": shapes.commit(where, where.commit(sha)),
        "_links": links,
        "protection": protection,
    }
    return Response({**_branch(where, name, sha), **whole})


def _branch(where: Repository, name: str, sha: str) -> dict[str, Any]:
    api = f"{API}/repos/{where.full_name}"
    commit = {"sha": sha, "url": f"{api}/commits/{sha}"}
    protection = f"{api}/branches/{name}/protection"
    return {"name": name, "commit": commit, "protected": False, "protection_url": protection}


def tags(call: Call) -> Response:
    """GET the tags."""
    where = call.repository
    api = f"{API}/repos/{where.full_name}"
    names = sorted(where.refs("refs/tags/"), reverse=True)

    def shape(ref: str) -> dict[str, Any]:
        name, sha = ref.removeprefix("refs/tags/"), where.resolve(ref)
        balls = {f"{kind}_url": f"{api}/{kind}/{ref}" for kind in ("zipball", "tarball")}
        commit = {"sha": sha, "url": f"{api}/commits/{sha}"}
        return {"name": name, "commit": commit, **balls, "node_id": shapes.node_id("REF", ref)}

    return page(call, names, shape)


def commits(call: Call) -> Response:
    """GET the commits of a branch, newest first."""
    where = call.repository
    if not where.refs():
        raise GitHubError(409, "Git Repository is empty.")
    start = where.resolve(call.query("sha", where.default_branch))
    if start is None:
        raise not_found()
    given = {name: call.query(name) for name in ("author", "since", "until")}
    flags = [f"--{name}={value}" for name, value in given.items() if value]
    paths = ["--", call.query("path")] if call.query("path") else []
    return page(call, where.log(*flags, start, *paths), lambda one: shapes.commit(where, one))


def commit(call: Call) -> Response:
    """GET one commit with its files; `ref` may be a branch or tag."""
    where, ref = call.repository, call.param("ref")
    sha = where.resolve(ref)
    if sha is None:
        raise GitHubError(422, f"No commit found for SHA: {ref}")
    found = where.commit(sha)
    files = changed_files(where, found.parents[0] if found.parents else EMPTY_TREE, sha)
    return Response({**shapes.commit(where, found), "stats": _stats(files), "files": files})


def changed_files(where: Repository, old: str, new: str) -> list[dict[str, Any]]:
    """The files that differ, as GitHub shows them."""
    return [shapes.changed_file(where, new, change) for change in changes(where, old, new)]


def _stats(files: list[dict[str, Any]]) -> dict[str, int]:
    added, removed = (sum(file[key] for file in files) for key in ("additions", "deletions"))
    return {"total": added + removed, "additions": added, "deletions": removed}


def compare(call: Call) -> Response:
    """GET BASE...HEAD: how far apart, by which commits, in which files."""
    where = call.repository
    base, head = _ends(where, call.param("basehead"))
    common = where.merge_base(base, head)
    if common is None:
        raise GitHubError(404, f"No common ancestor between {base} and {head}.")
    found = where.log("--reverse", f"{base}..{head}")
    behind = where.count(f"{head}..{base}")
    body = {
        **_compare_links(where, base, head),
        "base_commit": shapes.commit(where, where.commit(base)),
        "merge_base_commit": shapes.commit(where, where.commit(common)),
        "status": _status(len(found), behind),
        "ahead_by": len(found),
        "behind_by": behind,
        "total_commits": len(found),
        "commits": _shown(where, found),
        "files": changed_files(where, common, head),
    }
    return Response(body)


def _ends(where: Repository, span: str) -> tuple[str, str]:
    names = [name.removeprefix(f"{where.owner}:") for name in span.split("...")]
    found = [where.resolve(name) for name in names]
    if len(found) != 2 or not (found[0] and found[1]):
        raise not_found()
    return found[0], found[1]


def _status(ahead: int, behind: int) -> str:
    if ahead and behind:
        return "diverged"
    return "ahead" if ahead else "behind" if behind else "identical"


def _shown(where: Repository, found: list[Commit]) -> list[dict[str, Any]]:
    return [shapes.commit(where, one) for one in found[:COMPARED]]


def _compare_links(where: Repository, base: str, head: str) -> dict[str, str]:
    web = f"{shapes.WEB}/{where.full_name}/compare/{base}...{head}"
    links = {
        "html_url": web,
        "permalink_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
    }
    return {"url": f"{API}/repos/{where.full_name}/compare/{base}...{head}", **links}
