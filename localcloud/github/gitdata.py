"""The Git database: refs, blobs, trees, commits and tags, one by one."""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any

from localcloud.github import shapes
from localcloud.github.call import API, Call
from localcloud.github.errors import GitHubError, missing, not_found
from localcloud.github.git import ZERO, Entry, GitError, Person
from localcloud.github.identity import noreply
from localcloud.github.repository import Repositories, Repository
from localcloud.http import Response

SHA = re.compile(r"[0-9a-f]{40}")
MODES = ("100644", "100755", "040000", "160000", "120000")


def filled(where: Repository) -> Repository:
    """The repository, with at least one commit in it. Raises GitHubError (409)."""
    if not where.refs():
        raise GitHubError(409, "Git Repository is empty.")
    return where


class Refs:
    """The calls below /git/refs."""

    def __init__(self, repositories: Repositories) -> None:
        self.repositories = repositories

    def get(self, call: Call) -> Response:
        """GET one ref by its exact name."""
        where, name = filled(call.repository), f"refs/{call.param('ref')}"
        sha = where.refs(name).get(name)
        if sha is None:
            raise not_found()
        return Response(_ref(where, name, sha))

    def matching(self, call: Call) -> Response:
        """GET the refs whose names start so."""
        where, prefix = filled(call.repository), f"refs/{call.param('ref')}"
        found = [pair for pair in where.refs().items() if pair[0].startswith(prefix)]
        return Response([_ref(where, *pair) for pair in found])

    def create(self, call: Call) -> Response:
        """POST a ref."""
        where, name, sha = filled(call.repository), call.need("ref"), call.need("sha")
        if not name.startswith("refs/") or where.try_text("check-ref-format", name) is None:
            raise GitHubError(422, f"{name} is not a valid ref name.")
        if where.refs(name).get(name):
            raise GitHubError(422, "Reference already exists")
        self._check(where, name, sha)
        self.repositories.update(where, name, sha, ZERO)
        return Response(_ref(where, name, sha), status=201)

    def update(self, call: Call) -> Response:
        """PATCH a ref: forward, or anywhere with force."""
        where, name, sha = call.repository, f"refs/{call.param('ref')}", call.need("sha")
        before = where.refs(name).get(name)
        if before is None:
            raise GitHubError(422, "Reference does not exist")
        self._check(where, name, sha)
        if not call.data.get("force") and not where.is_ancestor(before, sha):
            raise GitHubError(422, "Update is not a fast forward")
        self.repositories.update(where, name, sha, before)
        return Response(_ref(where, name, sha))

    def delete(self, call: Call) -> Response:
        """DELETE a ref."""
        where, name = call.repository, f"refs/{call.param('ref')}"
        if name not in where.refs(name):
            raise GitHubError(422, "Reference does not exist")
        if name == f"refs/heads/{where.default_branch}":
            raise GitHubError(422, "Cannot delete the default branch")
        self.repositories.update(where, name, ZERO)
        return Response(status=204)

    @staticmethod
    def _check(where: Repository, name: str, sha: str) -> None:
        kind = where.kind(sha) if SHA.fullmatch(sha) else None
        if kind is None:
            raise GitHubError(422, "Object does not exist")
        if name.startswith("refs/heads/") and kind != "commit":
            raise GitHubError(422, "Reference update failed")


def _ref(where: Repository, name: str, sha: str) -> dict[str, Any]:
    git, kind = f"{API}/repos/{where.full_name}/git", where.kind(sha)
    target = {"sha": sha, "type": kind, "url": f"{git}/{kind}s/{sha}"}
    return {
        "ref": name,
        "node_id": shapes.node_id("REF", name),
        "url": f"{git}/{name}",
        "object": target,
    }


def _object(call: Call, kind: str) -> str:
    sha = call.param("sha")
    if not SHA.fullmatch(sha) or filled(call.repository).kind(sha) != kind:
        raise not_found()
    return sha


def get_blob(call: Call) -> Response:
    """GET a blob."""
    where, sha = call.repository, _object(call, "blob")
    data = where.blob(sha)
    content = {"content": b64encode(data).decode(), "encoding": "base64", "size": len(data)}
    return Response({**_named(where, "blobs", sha), **content, "node_id": shapes.node_id("B", sha)})


def create_blob(call: Call) -> Response:
    """POST a blob."""
    where, content = filled(call.repository), call.need("content")
    sha = where.write_blob(
        decoded(content) if call.data.get("encoding") == "base64" else content.encode()
    )
    return Response(_named(where, "blobs", sha), status=201)


def decoded(content: str) -> bytes:
    """Base64 as GitHub takes it. Raises GitHubError (422)."""
    try:
        return b64decode(re.sub(r"\s", "", content), validate=True)
    except (NotBase64, ValueError):
        raise GitHubError(422, "content is not valid Base64") from None


def _named(where: Repository, kind: str, sha: str) -> dict[str, Any]:
    return {"sha": sha, "url": f"{API}/repos/{where.full_name}/git/{kind}/{sha}"}


def get_tree(call: Call) -> Response:
    """GET a tree by its hash, or by a commit's or branch's name."""
    where, name = filled(call.repository), call.param("sha")
    sha = where.ref(f"{where.resolve(name) or name}^{{tree}}")
    if sha is None:
        raise not_found()
    return Response(_tree(where, sha, "recursive" in call.request.query))


def create_tree(call: Call) -> Response:
    """POST a tree: entries put over `base_tree`; an entry whose sha is null goes away."""
    where, base = filled(call.repository), call.data.get("base_tree")
    if base is not None and where.ref(f"{base}^{{tree}}") is None:
        raise GitHubError(422, f"Could not resolve to a tree: {base}")
    entries = [_new_entry(where, entry) for entry in call.need("tree", list)]
    try:
        sha = where.write_tree(base, entries)
    except GitError as error:
        raise GitHubError(422, f"GitRPC::BadObjectState: {error}") from None
    return Response(_tree(where, sha, False), status=201)


def _new_entry(where: Repository, entry: dict[str, Any]) -> tuple[str, str, str | None]:
    path, mode = str(entry.get("path", "")), str(entry.get("mode", ""))
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise GitHubError(422, "tree.path contains a malformed path component")
    if mode not in MODES:
        raise GitHubError(422, "Must supply a valid tree.mode")
    if "content" in entry:
        return mode, path, where.write_blob(str(entry["content"]).encode())
    if "sha" not in entry:
        raise GitHubError(422, "Must supply either tree.sha or tree.content")
    sha = entry["sha"]
    if sha is not None and mode != "160000" and not where.kind(str(sha)):
        raise GitHubError(422, f"tree.sha {sha} is not a valid {entry.get('type', 'blob')}")
    return mode, path, sha


def _tree(where: Repository, sha: str, recursive: bool) -> dict[str, Any]:
    entries = [_tree_entry(where, entry) for entry in where.tree(sha, recursive=recursive)]
    return {**_named(where, "trees", sha), "tree": entries, "truncated": False}


def _tree_entry(where: Repository, entry: Entry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "path": entry.path,
        "mode": entry.mode,
        "type": entry.type,
        "sha": entry.sha,
    }
    if entry.size is not None:
        shown["size"] = entry.size
    return {**shown, "url": _named(where, f"{entry.type}s", entry.sha)["url"]}


def get_commit(call: Call) -> Response:
    """GET a commit."""
    sha = _object(call, "commit")
    return Response(shapes.git_commit(call.repository, call.repository.commit(sha)))


def create_commit(call: Call) -> Response:
    """POST a commit; no ref moves."""
    where, tree = filled(call.repository), call.need("tree")
    parents = call.data.get("parents", [])
    if where.kind(tree) != "tree":
        raise GitHubError(422, "Tree SHA does not exist")
    if any(where.kind(parent) != "commit" for parent in parents):
        raise GitHubError(422, "Parent SHA does not exist or is not a commit object")
    author = person(call, "author")
    committer = person(call, "committer") if "committer" in call.data else author
    sha = where.write_commit(tree, parents, call.need("message"), author, committer)
    return Response(shapes.git_commit(where, where.commit(sha)), status=201)


def person(call: Call, role: str) -> Person:
    """The author or committer that a call names; otherwise its caller. Raises GitHubError (422)."""
    given = call.data.get(role)
    if given is None:
        return Person(call.login, noreply(call.login))
    for field in ("name", "email"):
        if not given.get(field):
            raise missing(field)
    return Person(given["name"], given["email"], given.get("date", ""))


def get_tag(call: Call) -> Response:
    """GET an annotated tag."""
    return Response(_tag(call.repository, _object(call, "tag")))


def create_tag(call: Call) -> Response:
    """POST an annotated tag; no ref is made."""
    where, author = filled(call.repository), person(call, "tagger")
    name, target, kind = call.need("tag"), call.need("object"), call.need("type")
    if where.kind(target) != kind:
        raise GitHubError(422, "Object does not exist")
    tagger = f"{author.name} <{author.email}> {shapes.epoch(author.date)} +0000"
    head = f"object {target}\ntype {kind}\ntag {name}\ntagger {tagger}"
    sha = where.text("mktag", stdin=f"{head}\n\n{call.need('message')}\n".encode())
    return Response(_tag(where, sha), status=201)


def _tag(where: Repository, sha: str) -> dict[str, Any]:
    head, _, message = where.text("cat-file", "tag", sha).partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    name, mail, when, _ = re.split(r" <|> | (?=[+-]\d{4}$)", fields["tagger"])
    kind, target = fields["type"], fields["object"]
    return {
        **_named(where, "tags", sha),
        "node_id": shapes.node_id("T", sha),
        "tag": fields["tag"],
        "message": message,
        "tagger": shapes.person(Person(name, mail, shapes.from_epoch(int(when)))),
        "object": {**_named(where, f"{kind}s", target), "type": kind},
        "verification": shapes.NO_SIGNATURE,
    }
