"""Files and folders by path: get, put and delete, each change one commit."""

from base64 import encodebytes
from typing import Any

from localcloud.github import shapes
from localcloud.github.call import API, Call
from localcloud.github.errors import GitHubError, missing, not_found
from localcloud.github.git import WEB_FLOW, ZERO, Entry, Person
from localcloud.github.gitdata import decoded, person
from localcloud.github.repository import Repositories, Repository
from localcloud.http import Response

BIG = 1_000_000  # bytes above which GitHub leaves the content out
KINDS = {"blob": "file", "tree": "dir", "commit": "submodule"}


class Contents:
    """The calls below /contents."""

    def __init__(self, repositories: Repositories) -> None:
        self.repositories = repositories

    def get(self, call: Call) -> Response:
        """GET a file, or a folder's list."""
        where, path = call.repository, call.request.params.get("path", "").strip("/")
        commit = where.resolve(call.query("ref", where.default_branch))
        if commit is None:
            name = call.query("ref")
            raise GitHubError(404, f"No commit found for the ref {name}") if name else not_found()
        entry = where.entry(commit, path) if path else Entry("040000", "tree", commit, None, "")
        if entry is None:
            raise not_found()
        ref = call.query("ref", where.default_branch)
        if entry.type == "tree":
            return Response([_entry(where, ref, one, path) for one in where.tree(entry.sha)])
        return _file(call, entry, ref)

    def put(self, call: Call) -> Response:
        """PUT a file: made, or changed where `sha` is the present one."""
        where, path = call.repository, call.param("path").strip("/")
        message, data = call.need("message"), decoded(call.need("content"))
        branch, head = self._branch(call)
        old = where.entry(head, path) if head else None
        self._guard(path, old, call.data.get("sha"))
        mode = old.mode if old else "100644"
        commit = self._commit(call, (branch, head), message, (mode, path, where.write_blob(data)))
        entry = where.entry(commit, path)
        shown = _entry(where, branch, entry) if entry else None
        return self._answer(where, shown, commit, 200 if old else 201)

    def delete(self, call: Call) -> Response:
        """DELETE a file."""
        where, path = call.repository, call.param("path").strip("/")
        message, sha = call.need("message"), call.need("sha")
        branch, head = self._branch(call)
        old = where.entry(head, path) if head else None
        if old is None:
            raise not_found()
        self._guard(path, old, sha)
        commit = self._commit(call, (branch, head), message, (old.mode, path, None))
        return self._answer(where, None, commit, 200)

    @staticmethod
    def _branch(call: Call) -> tuple[str, str | None]:
        where = call.repository
        name = call.data.get("branch") or where.default_branch
        head = where.branch(name)
        if head is None and where.refs("refs/heads/"):
            raise GitHubError(404, f"Branch {name} not found")
        return name, head

    @staticmethod
    def _guard(path: str, old: Entry | None, sha: str | None) -> None:
        if old is not None and old.type == "tree":
            raise GitHubError(422, f"{path} is a directory")
        if old is not None and sha is None:
            raise missing("sha")
        if sha is not None and (old is None or old.sha != sha):
            raise GitHubError(409, f"{path} does not match {sha}")

    def _commit(
        self, call: Call, at: tuple[str, str | None], message: str, change: tuple[str, str, str | None]
    ) -> str:
        where, (branch, head) = call.repository, at
        tree = where.write_tree(head, [change])
        committer = person(call, "committer") if call.data.get("committer") else Person(*WEB_FLOW)
        author = person(call, "author" if call.data.get("author") else "committer")
        parents = [head] if head else []
        commit = where.write_commit(tree, parents, message, author, committer)
        self.repositories.update(where, f"refs/heads/{branch}", commit, head or ZERO)
        return commit

    @staticmethod
    def _answer(where: Repository, content: dict[str, Any] | None, commit: str, status: int) -> Response:
        body = {"content": content, "commit": shapes.git_commit(where, where.commit(commit))}
        return Response(body, status=status)


def _entry(where: Repository, ref: str, entry: Entry, folder: str = "") -> dict[str, Any]:
    path = f"{folder}/{entry.path}" if folder else entry.path
    api, web = f"{API}/repos/{where.full_name}", f"{shapes.WEB}/{where.full_name}"
    kind = "symlink" if entry.mode == "120000" else KINDS[entry.type]
    url, git_url = f"{api}/contents/{path}?ref={ref}", f"{api}/git/{entry.type}s/{entry.sha}"
    html = f"{web}/{entry.type}/{ref}/{path}"
    raw = f"https://raw.githubusercontent.com/{where.full_name}/{ref}/{path}"
    return {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": entry.sha,
        "size": entry.size or 0,
        "type": kind,
        "url": url,
        "git_url": git_url,
        "html_url": html,
        "download_url": raw if entry.type == "blob" else None,
        "_links": {"self": url, "git": git_url, "html": html},
    }


def _file(call: Call, entry: Entry, ref: str) -> Response:
    data = call.repository.blob(entry.sha)
    if ".raw" in call.request.headers.get("accept", ""):
        return Response(data, headers={"content-type": "application/vnd.github.raw"})
    big = len(data) > BIG
    content = {
        "content": "" if big else encodebytes(data).decode(),
        "encoding": "none" if big else "base64",
    }
    return Response({**_entry(call.repository, ref, entry), **content})
