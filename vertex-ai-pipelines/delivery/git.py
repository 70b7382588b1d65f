"""What delivery asks of git: the commit of a checkout."""

import subprocess
from pathlib import Path

from flows.errors import InputError


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
            f"{root} has changes that are not committed: {changed.splitlines()[0].strip()}",
            "commit them, so that the commit tells what was built, or use ./scripts/run",
        )
    return commit


def _git(root: Path, *arguments: str) -> str | None:
    """git's answer; None where it refuses."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
