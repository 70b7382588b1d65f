"""main's present head on GitHub: what a roll-out makes true, whatever commit has started it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery import git
from delivery.settings import ROOT
from flows.errors import RetrainError

BRANCH = "main"


@contextmanager
def checked_out(repository: str) -> Iterator[Path]:
    """A folder with the files of main's head, for a while; GITHUB_TOKEN is shown where there is one.

    Raises RetrainError where GitHub does not give it.
    """
    quiet = {"GIT_TERMINAL_PROMPT": "0"}
    token = os.environ.get("GITHUB_TOKEN")
    url = f"https://github.com/{repository}.git"
    how = ["--quiet", "--depth=1", "--no-tags", f"--branch={BRANCH}", f"--reference-if-able={ROOT}"]
    with tempfile.TemporaryDirectory(prefix="retrain-main-") as folder:
        done = subprocess.run(
            ["git", "clone", *how, url, folder],
            env={**os.environ, **quiet, **(git.credentials(token) if token else {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise RetrainError(
                f"{BRANCH} of {repository} cannot be read: {done.stderr.strip()[-300:]}",
                "put a token that may read the repository into GITHUB_TOKEN, or mend settings.toml",
            )
        yield Path(folder)
