"""What delivery asks of git: the commit of a checkout, and what has changed since another one."""

import base64
import subprocess
from pathlib import Path

from flows.errors import InputError

SHOWN = 5  # changed files that an error names


def head(root: Path) -> str:
    """The checkout's commit, 40 hexadecimal digits; the files are exactly that commit's.

    Raises InputError where `root` is no checkout, or has changes that are not committed.
    """
    commit = _git(root, "rev-parse", "--verify", "HEAD^{commit}")
    if commit is None:
        raise InputError(
            f"{root} is not a git checkout with a commit", "commit first: a model names its commit"
        )
    if changed := _git(root, "status", "--porcelain"):
        raise InputError(
            f"{root} has changes that are not committed: {_some(changed.splitlines())}",
            "commit them, so that the commit tells what was built, or use ./scripts/run",
        )
    return commit


def _some(lines: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(lines) - SHOWN
    return ", ".join(line.strip() for line in lines[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def knows(root: Path, commit: str) -> bool:
    """Whether the checkout has the commit: a shallow one lacks old ones, any what a force push took."""
    return _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is not None


def contains(root: Path, commit: str, other: str) -> bool:
    """Whether `other` is `commit` or one before it."""
    return _git(root, "merge-base", "--is-ancestor", other, commit) is not None


def changed(root: Path, old: str, new: str) -> list[str]:
    """The files that differ between two commits that the checkout has, a renamed one by both names."""
    found = _git(root, "diff", "--name-only", "--no-renames", "-z", old, new)
    return [name for name in (found or "").split("\0") if name]


def history(root: Path, commit: str, paths: list[str]) -> list[str]:
    """The commits of a branch up to `commit` that changed one of the files, newest first; of a merge
    the merge alone, not what it brought.
    """
    found = _git(root, "log", "--first-parent", "--format=%H", commit, "--", *paths)
    return (found or "").split()


def text(root: Path, commit: str, path: str) -> str | None:
    """A file as it was in a commit; None where it was not there."""
    return _git(root, "show", f"{commit}:{path}")


def branch(root: Path) -> str | None:
    """The branch that is checked out; None where a commit is."""
    return _git(root, "symbolic-ref", "--quiet", "--short", "HEAD")


def credentials(token: str) -> dict[str, str]:
    """Variables by which git shows GitHub the token: a command line can be read by everybody here."""
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.https://github.com/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


def _git(root: Path, *arguments: str) -> str | None:
    """git's answer; None where it refuses."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
