"""The user's working tree as a commit on top of the local GitHub's main.

All of it in an object folder of its own: the user's index, branches, remotes and .git stay untouched.
"""

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from delivery import git
from delivery.settings import ROOT
from flows.errors import RetrainError
from laptop.world import ROOT as LOCAL

GIT = LOCAL / "tree.git"
RELEASES = "releases"
SEEN = "refs/retrain/releases"  # the user's releases/ when the tree was last taken
TAKEN = "refs/retrain/taken"  # the commit that the last run made of the tree
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SKIP = "[skip ci]"
# What a git that calls this, from a hook, says of its own repository.
FOREIGN = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG_PARAMETERS",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
)


@dataclass(frozen=True)
class Taken:
    """The commit of main that holds the tree, and whether it had to be made; and what others have
    pushed since the last one, in short hashes, that is not in the tree as it is.
    """

    commit: str
    new: bool
    pushed: tuple[str, ...] = ()


def take(repository: str, token: str) -> Taken:
    """Bring the working tree to main of `repository` on GitHub; the same tree makes no new commit.

    releases/ is main's, but for files that the user changed since the tree was last taken.
    """
    with _alone():
        return _take(Tree(repository, token))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One run at a time; what a killed one left locked is unlocked."""
    GIT.mkdir(parents=True, exist_ok=True)
    with (GIT / "alone").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in [*GIT.glob("*.lock"), *GIT.glob("refs/**/*.lock")]:
            left.unlink()
        yield


def _take(tree: "Tree") -> Taken:
    main = tree.fetch_main()
    own = tree.write()
    releases = tree.releases_to_use(own, main)
    whole = tree.with_releases(own, releases)
    if main and tree.tree_of(main) == whole:
        tree.remember(own)
        return Taken(main, new=False)
    unchanged = main is None or tree.releases_in(main) == releases
    commit = tree.commit(whole, main, f"Working tree of {ROOT.name}{f' {SKIP}' if unchanged else ''}")
    pushed = tree.pushed(main) if main else ()
    tree.push(commit)
    tree.remember(own)
    return Taken(commit, new=True, pushed=pushed)


class Tree:
    """git on the user's files with a folder, an index and an identity of its own."""

    def __init__(self, repository: str, token: str) -> None:
        self._url = f"https://github.com/{repository}.git"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in FOREIGN},
            "GIT_DIR": str(GIT),
            "GIT_WORK_TREE": str(ROOT),
            "GIT_INDEX_FILE": str(GIT / "index"),
            "GIT_AUTHOR_NAME": "retrain run",
            "GIT_AUTHOR_EMAIL": "run@retrain.invalid",
            "GIT_COMMITTER_NAME": "retrain run",
            "GIT_COMMITTER_EMAIL": "run@retrain.invalid",
            # A service that says nothing for that many seconds is not waited for any longer.
            "GIT_HTTP_LOW_SPEED_LIMIT": "1",
            "GIT_HTTP_LOW_SPEED_TIME": "30",
            **git.credentials(token),
        }
        if not (GIT / "complete").exists():
            self._git("init", "--quiet")
            self._git("hash-object", "-t", "tree", "-w", os.devnull)
            (GIT / "complete").touch()

    def fetch_main(self) -> str | None:
        """main's commit on GitHub, fetched; None where main is not there yet."""
        if not self._git("ls-remote", self._url, "refs/heads/main"):
            return None
        self._git("fetch", "--quiet", "--no-tags", self._url, "+refs/heads/main:refs/retrain/main")
        return self._git("rev-parse", "refs/retrain/main")

    def write(self) -> str:
        """The working tree, without what .gitignore names, as a tree object."""
        self._git("add", "--all", ".")
        return self._git("write-tree")

    def releases_to_use(self, own: str, main: str | None) -> str:
        """main's releases/ with those files on top that the user changed since they were last taken."""
        mine = self.releases_in(own)
        if main is None:
            return mine
        seen = self._git("rev-parse", "--verify", "--quiet", SEEN, check=False) or mine
        index = {"GIT_INDEX_FILE": str(GIT / "index.releases")}
        self._git("read-tree", self.releases_in(main), more=index)
        for line in self._git("diff-tree", "-r", "--no-renames", seen, mine).splitlines():
            facts, _, path = line.partition("\t")
            _, mode, _, blob, status = facts.split()
            change = ["--force-remove"] if status == "D" else ["--add", "--cacheinfo", mode, blob]
            self._git("update-index", *change, path, more=index)
        return self._git("write-tree", more=index)

    def releases_in(self, treeish: str) -> str:
        """The tree object of releases/, the empty one where there is none."""
        found = self._git("rev-parse", "--verify", "--quiet", f"{treeish}:{RELEASES}", check=False)
        return found or EMPTY_TREE

    def with_releases(self, tree: str, releases: str) -> str:
        """`tree` with `releases` as its releases/."""
        if self.releases_in(tree) == releases:
            return tree
        index = {"GIT_INDEX_FILE": str(GIT / "index.releases")}
        self._git("read-tree", tree, more=index)
        self._git("rm", "-r", "--cached", "--quiet", "--ignore-unmatch", RELEASES, more=index)
        if releases != EMPTY_TREE:
            self._git("read-tree", f"--prefix={RELEASES}/", releases, more=index)
        return self._git("write-tree", more=index)

    def tree_of(self, commit: str) -> str:
        """A commit's tree."""
        return self._git("rev-parse", f"{commit}^{{tree}}")

    def commit(self, tree: str, parent: str | None, message: str) -> str:
        """A commit of `tree` on `parent`."""
        return self._git("commit-tree", tree, *(["-p", parent] if parent else []), "-m", message)

    def pushed(self, main: str) -> tuple[str, ...]:
        """The commits that have come to main since the last run and change more than releases/."""
        last = self._git("rev-parse", "--verify", "--quiet", TAKEN, check=False)
        if not last:
            return ()
        span = ("--format=%h", f"{last}..{main}", "--", ".", f":(exclude){RELEASES}")
        return tuple(self._git("log", *span, check=False).split())

    def push(self, commit: str) -> None:
        """Move main to `commit`; refused where main has moved meanwhile."""
        self._git("push", "--quiet", self._url, f"{commit}:refs/heads/main")
        self._git("update-ref", TAKEN, commit)

    def remember(self, own: str) -> None:
        """Note the user's releases/ as taken."""
        self._git("update-ref", SEEN, self.releases_in(own))

    def _git(self, *arguments: str, more: dict[str, str] | None = None, check: bool = True) -> str:
        done = subprocess.run(
            ["git", "-c", "core.autocrlf=false", *arguments],
            cwd=ROOT,
            env=self._environment | (more or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise RetrainError(f"git {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()
