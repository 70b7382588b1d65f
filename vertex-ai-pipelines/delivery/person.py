"""The repository on GitHub as the person who calls may change it."""

import os
import shutil
import subprocess
from typing import Any

from flows.errors import InputError
from flows.github import CLIENT

VARIABLE = "GITHUB_TOKEN"


def repository(name: str) -> Any:
    """PyGithub's (lazy) repository `name`, "owner/name". Raises InputError without a token."""
    import github

    return github.Github(auth=github.Auth.Token(token()), lazy=True, **CLIENT).get_repo(name)


def token() -> str:
    """The person's token: GITHUB_TOKEN, or what GitHub's own command has. Raises InputError without."""
    if found := os.environ.get(VARIABLE) or _of_gh():
        return found
    raise InputError(
        f"there is no {VARIABLE}: the pull request is opened in your name",
        f"gh auth login; or export {VARIABLE} with a token that may write contents and pull requests",
    )


def _of_gh() -> str:
    if not shutil.which("gh"):
        return ""
    done = subprocess.run(["gh", "auth", "token"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
