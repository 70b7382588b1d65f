"""Repositories: a record and a bare git repository each, made on demand, and what follows a push."""

import re
import shutil
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localcloud.cloud import Cloud
from localcloud.github.errors import GitHubError, custom, not_found
from localcloud.github.git import EXPRESSION, ZERO, Git, GitError, run
from localcloud.github.identity import Identity
from localcloud.github.people import People

NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
CONFIG = """\
[http]
  receivepack = true
[uploadpack]
  allowAnySHA1InWant = true
  allowFilter = true
[receive]
  hideRefs = refs/pull
  autogc = false
[gc]
  auto = 0
"""

PushHook = Callable[["Repository", str, str, str], None]


def timestamp() -> str:
    """The time, as GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Repository(Git):
    """One repository: its record beside its git objects."""

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        super().__init__(path)
        self.record = record
        self.owner, self.name = str(record["owner"]), str(record["name"])
        self.full_name = f"{self.owner}/{self.name}"
        self.key = self.full_name.lower()
        self.default_branch = str(record["default_branch"])
        self.is_fork = "parent" in record
        self.is_off = self.is_fork or bool(record.get("split"))  # runs no workflows of its own
        self.source = str(record.get("source", self.full_name)).lower()  # of which all forks are

    @property
    def head(self) -> str | None:
        """The default branch's commit; None while the repository is empty."""
        return self.branch(self.default_branch)

    def branch(self, name: str) -> str | None:
        """A branch's commit."""
        return None if EXPRESSION.search(name) else self.ref(f"refs/heads/{name}")


class Repositories:
    """All repositories of the local GitHub. `on_push` is called with each ref that moved."""

    def __init__(self, cloud: Cloud) -> None:
        self.root = cloud.root / "git"
        self.store, self.people = cloud.store, People(cloud.store)
        self.on_push: list[PushHook] = []
        self.writing = threading.RLock()

    def create(self, owner: str, name: str, **fields: Any) -> Repository:
        """A new, empty repository. Raises GitHubError where the name is taken or wrong."""
        if not (NAME.fullmatch(owner) and NAME.fullmatch(name)):
            raise custom("Repository", "name is invalid", field="name")
        key = f"{owner}/{name}".lower()
        with self.writing:
            if self.store.get("github-repository", key):
                raise custom("Repository", "name already exists on this account", field="name")
            record = self._record(owner, name, fields)
            _initialise(self._path(owner, name), str(record["default_branch"]))
            self.store.put("github-repository", key, record)
        return self.get(owner, name)

    def _record(self, owner: str, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        now = timestamp()
        number = 1_000_000 + self.store.next_number("github-repository")
        record = {"id": number, "owner": owner, "name": name, "created_at": now, "pushed_at": now}
        return {"default_branch": "main", "private": True, **record, **fields}

    def find(self, owner: str, name: str) -> Repository | None:
        """The repository, or None; names are case-insensitive."""
        record = self.store.get("github-repository", f"{owner}/{name}".lower())
        return Repository(self._path(record["owner"], record["name"]), record) if record else None

    def get(self, owner: str, name: str) -> Repository:
        """The repository. Raises GitHubError (404)."""
        found = self.find(owner, name)
        if found is None:
            raise not_found()
        return found

    def list(self, owner: str = "") -> list[Repository]:
        """The repositories of an owner, or all."""
        prefix = f"{owner}/".lower() if owner else ""
        records = [record for _, record in self.store.list("github-repository", prefix)]
        return [Repository(self._path(record["owner"], record["name"]), record) for record in records]

    def role(self, where: Repository, caller: Identity) -> str:
        """What the caller may in a repository; an App may all where it is installed, as its
        permissions say what, and reads what is public.
        """
        if caller.permissions is None:
            return self.people.role(where, caller.login)
        if caller.sees(where.key):
            return "admin"
        return "none" if where.record["private"] else "read"

    def origins(self, where: Repository) -> dict[str, Repository]:
        """What a fork was made from: its parent, and the source of all."""
        names = [name for name in ("parent", "source") if name in where.record]
        return {name: self.get(*where.record[name].split("/")) for name in names}

    def network(self, where: Repository) -> Sequence[Repository]:
        """A repository with all that are forks of the same one, oldest first."""
        found = [one for one in self.list() if one.source == where.source]
        return sorted(found, key=lambda one: int(one.record["id"]))

    def split(self, where: Repository) -> None:
        """Make the forks of a repository, which becomes private, a network of their own.

        The oldest one is its source, and the parent of those that were made from `where` itself.
        """
        forks = [one.record for one in self.network(where) if one.key != where.key]
        with self.store.transaction():
            for record in forks:
                first = "{owner}/{name}".format(**forks[0])
                parent = first if record["parent"] == where.full_name else record["parent"]
                above = {} if record is forks[0] else {"parent": parent, "source": first}
                kept = {key: value for key, value in record.items() if key not in ("parent", "source")}
                key = "{owner}/{name}".format(**record).lower()
                self.store.put("github-repository", key, {**kept, **above, "split": True})

    def update(self, repository: Repository, ref: str, after: str, before: str | None = None) -> None:
        """Move a ref (to ZERO: delete it), only from `before` where given, and tell who listens."""
        with self.writing:
            known = repository.ref(ref) or ZERO
            _move(repository, ref, after, known if before is None else before)
            self.pushed(repository, {ref: known}, {} if after == ZERO else {ref: after})

    def pushed(self, repository: Repository, old: dict[str, str], new: dict[str, str]) -> None:
        """Tell who listens which refs moved."""
        moved = [ref for ref in sorted(old.keys() | new.keys()) if old.get(ref) != new.get(ref)]
        for ref in moved:
            for hook in self.on_push:
                hook(repository, ref, old.get(ref, ZERO), new.get(ref, ZERO))
        if moved:
            present = self.get(repository.owner, repository.name)  # somebody may have changed it
            repository.record = {**present.record, "pushed_at": timestamp()}
            self.store.put("github-repository", repository.key, repository.record)

    def _path(self, owner: str, name: str) -> Path:
        return self.root / owner / f"{name}.git"


def _move(repository: Repository, ref: str, after: str, before: str) -> None:
    try:
        if after == ZERO:
            repository.raw("update-ref", "-d", ref, before)
        else:
            repository.raw("update-ref", ref, after, before)
    except GitError as error:
        raise GitHubError(409, f"{ref} was moved by another writer: {error}") from None


def _initialise(path: Path, branch: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    done = run(path, ["init", "--quiet", "--bare", f"--initial-branch={branch}", "."])
    if done.returncode:
        raise GitError(done.stderr.decode(errors="replace"))
    with (path / "config").open("a") as file:
        file.write(CONFIG)
