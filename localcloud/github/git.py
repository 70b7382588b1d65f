"""Git plumbing: one function that runs git, and one bare repository's objects and refs."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ZERO = "0" * 40
WEB_FLOW = ("GitHub", "noreply@github.com")
HASH = re.compile(r"[0-9a-f]{40}")
EXPRESSION = re.compile(r"[\s~^:?*\[\\]|@\{|\.\.")
FORMAT = "%x1f".join(["%H", "%T", "%P", "%an", "%ae", "%aI", "%cn", "%ce", "%cI", "%B"])


class GitError(Exception):
    """Git refused; the message is what it said."""


@dataclass(frozen=True)
class Person:
    """Who wrote or committed, and when (ISO 8601; empty: now)."""

    name: str
    email: str
    date: str = ""


@dataclass(frozen=True)
class Commit:
    """A commit as git has it."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True)
class Entry:
    """One line of a tree."""

    mode: str
    type: str
    sha: str
    size: int | None
    path: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What git sees: nothing of this machine's own configuration."""
    name, email = WEB_FLOW
    clean = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": email,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": email,
    }
    return {**clean, **(extra or {})}


def run(
    folder: Path, arguments: Sequence[str], stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in `folder`, whatever it answers."""
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=folder, input=stdin, env=environment(env), capture_output=True, check=False
    )


@lru_cache(maxsize=1024)  # what a hash names never changes, and each run that is shown shows its commit
def _commit_of(path: Path, sha: str) -> Commit:
    return Git(path).log("-1", sha)[0]


class Git:
    """A bare repository on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def raw(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
        """What git prints. Raises GitError."""
        done = run(self.path, arguments, stdin, env)
        if done.returncode:
            raise GitError(done.stderr.decode(errors="replace").strip() or f"git {arguments[0]} failed")
        return done.stdout

    def text(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """What git prints, as stripped text. Raises GitError."""
        return self.raw(*arguments, stdin=stdin, env=env).decode(errors="replace").strip()

    def try_text(self, *arguments: str) -> str | None:
        """What git prints, or None where it refuses."""
        done = run(self.path, arguments)
        return None if done.returncode else done.stdout.decode(errors="replace").strip()

    def refs(self, prefix: str = "") -> dict[str, str]:
        """Full names of refs below `prefix`, with what they point at."""
        lines = self.text("for-each-ref", "--format=%(objectname) %(refname)", *filter(None, [prefix]))
        pairs = [line.split(" ", 1) for line in lines.splitlines()]
        return {name: sha for sha, name in pairs}

    def ref(self, name: str) -> str | None:
        """What the ref of that full name points at."""
        return self.try_text("rev-parse", "--verify", "--quiet", "--end-of-options", name)

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch, tag or hash means; git's own notations (main~1) mean nothing."""
        if EXPRESSION.search(revision):
            return None
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            found = self.ref(f"{name}^{{commit}}")
            if found:
                return found
        return None

    def kind(self, sha: str) -> str | None:
        """blob, tree, commit or tag; None where there is no such object."""
        return self.try_text("cat-file", "-t", "--end-of-options", sha)

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `new` has `old` in its history."""
        return run(self.path, ["merge-base", "--is-ancestor", old, new]).returncode == 0

    def merge_base(self, one: str, two: str) -> str | None:
        """The commit where two histories part."""
        return self.try_text("merge-base", one, two)

    def count(self, span: str) -> int:
        """How many commits a range holds."""
        return int(self.text("rev-list", "--count", span))

    def log(self, *arguments: str) -> list[Commit]:
        """Commits, as `git log` selects and orders them."""
        found = self.raw("log", "-z", f"--format={FORMAT}", *arguments).decode(errors="replace")
        return [_commit(record) for record in found.split("\0") if record]

    def commit(self, sha: str) -> Commit:
        """One commit."""
        return _commit_of(self.path, sha) if HASH.fullmatch(sha) else self.log("-1", sha)[0]

    def write_blob(self, data: bytes) -> str:
        """Keep a file's bytes."""
        return self.text("hash-object", "-w", "--stdin", stdin=data)

    def tree(self, sha: str, *paths: str, recursive: bool = False) -> list[Entry]:
        """The entries of a tree (or of a commit's); of `paths` alone, where given."""
        flags = ["-r", "-t"] if recursive else []
        found = self.raw("ls-tree", "-z", "-l", *flags, sha, "--", *paths).decode(
            errors="surrogateescape"
        )
        return [_entry(line) for line in found.split("\0") if line]

    def entry(self, commit: str, path: str) -> Entry | None:
        """What stands at `path` in a commit."""
        found = self.raw("ls-tree", "-z", "-l", commit, "--", path).decode(errors="surrogateescape")
        return _entry(found.rstrip("\0")) if found else None

    def blob(self, sha: str) -> bytes:
        """A file's bytes."""
        return self.raw("cat-file", "blob", sha)

    def write_tree(self, base: str | None, changes: Sequence[tuple[str, str, str | None]]) -> str:
        """A tree: `base` with (mode, path, hash) put into it; the hash None takes the path out."""
        with tempfile.TemporaryDirectory(prefix="git-index-") as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.raw("read-tree", base or "--empty", env=env)
            for mode, path, sha in changes:
                self._change(env, path, (mode, sha))
            return self.text("write-tree", env=env)

    def _change(self, env: Mapping[str, str], path: str, to: tuple[str, str | None]) -> None:
        mode, sha = to
        if sha is None or mode == "040000":
            self.raw("rm", "--cached", "-r", "-q", "--ignore-unmatch", "--", path, env=env)
        if sha is not None and mode == "040000":
            self.raw("read-tree", f"--prefix={path}/", sha, env=env)
        elif sha is not None:
            self.raw(
                "update-index", "--add", "--replace", "--cacheinfo", f"{mode},{sha},{path}", env=env
            )

    def write_commit(self, tree: str, parents: Sequence[str], message: str, *people: Person) -> str:
        """A commit by author and committer."""
        author, committer = people
        env = {**_identity("AUTHOR", author), **_identity("COMMITTER", committer)}
        flags = [flag for parent in parents for flag in ("-p", parent)]
        return self.text("commit-tree", tree, *flags, stdin=message.encode(), env=env)

    def merge_tree(self, one: str, two: str) -> str | None:
        """The tree of a clean merge, or None where files conflict."""
        done = run(self.path, ["merge-tree", "--write-tree", one, two])
        if done.returncode > 1:
            raise GitError(done.stderr.decode(errors="replace").strip())
        return done.stdout.decode().split()[0] if done.returncode == 0 else None


def _commit(record: str) -> Commit:
    sha, tree, parents, *people, message = record.split("\x1f", 9)
    author, committer = Person(*people[:3]), Person(*people[3:])
    return Commit(sha, tree, tuple(parents.split()), author, committer, message.rstrip("\n"))


def _entry(line: str) -> Entry:
    meta, path = line.split("\t", 1)
    mode, kind, sha, size = meta.split()
    return Entry(mode, kind, sha, int(size) if size.isdigit() else None, path)


def _identity(role: str, person: Person) -> dict[str, str]:
    named = {f"GIT_{role}_NAME": person.name, f"GIT_{role}_EMAIL": person.email}
    return {**named, f"GIT_{role}_DATE": person.date} if person.date else named
