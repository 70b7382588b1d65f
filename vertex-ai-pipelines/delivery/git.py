"""What delivery asks of git: the commit of a checkout."""

import subprocess
from pathlib import Path

from flows.errors import InputError


def head(root: Path) -> str:
    """The checkout's commit, 40 hexadecimal digits. Raises InputError where `root` is no checkout."""
    done = subprocess.run(
        ["git", "rev-parse", "--verify", "HEAD^{commit}"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InputError(
            f"{root} is not a git checkout with a commit", "commit first: a model names its commit"
        )
    return done.stdout.strip()
