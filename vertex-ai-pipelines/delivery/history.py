"""What main has declared in the course of time, asked of GitHub by git."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery import git, releases
from delivery.branch import MAIN
from delivery.releases import Release
from flows.errors import InputError, RetrainError

SMALL = "8k"  # larger files of the repository are not fetched: a release's is smaller
FETCH = 300  # seconds


def address(repository: str) -> str:
    """Where git finds the repository "owner/name"."""
    return f"https://github.com/{repository}.git"


@contextmanager
def of_main(url: str, token: str) -> Iterator[Path]:
    """A bare repository with main's commits and small files, for as long as the context lasts.

    Raises RetrainError where git cannot fetch it.
    """
    with tempfile.TemporaryDirectory(prefix="retrain-history-") as folder:
        only = (f"--branch={MAIN}", "--single-branch", "--no-tags", f"--filter=blob:limit={SMALL}")
        command = ["git", "clone", "--quiet", "--bare", *only, url, folder]
        variables = {**os.environ, **git.credentials(token), "GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=False, timeout=FETCH
        )
        if done.returncode != 0:
            why = (done.stderr.strip().splitlines() or ["git says nothing"])[-1]
            raise RetrainError(f"{url}: git cannot fetch {MAIN}: {why}", "is the token still good?")
        yield Path(folder)


def declared(root: Path, path: str) -> Iterator[Release]:
    """What main has declared in the file `path`, the newest first; what was not valid is left out."""
    for commit in git.history(root, MAIN, [path]):
        try:
            found = releases.parse(git.text(root, commit, path), path)
        except InputError:
            continue
        if found:
            yield found
