"""The workflow run that this process is a step of: its number, its moment, and its repository on GitHub.

GitHub names it in GITHUB_RUN_ID and GITHUB_REPOSITORY; the step's `env:` gives the job's GITHUB_TOKEN.
"""

import os
from datetime import datetime
from typing import Any

from delivery import patience
from flows.errors import InputError, RetrainError
from flows.github import CLIENT

RUN, REPOSITORY, TOKEN = "GITHUB_RUN_ID", "GITHUB_REPOSITORY", "GITHUB_TOKEN"
API = "https://api.github.com"


def number() -> str | None:
    """The run's number; None outside of a workflow."""
    return os.environ.get(RUN) or None


def branch() -> str | None:
    """The branch that the run is for; None outside of a workflow, and for a tag."""
    is_branch = number() and os.environ.get("GITHUB_REF_TYPE") == "branch"
    return os.environ.get("GITHUB_REF_NAME") if is_branch else None


def created_at() -> datetime | None:
    """When the run was made, which a re-run does not change; None outside of a workflow.

    Raises InputError without a token, RetrainError where GitHub does not say.
    """
    import requests

    if number() is None:
        return None
    where = f"workflow run {number()}"
    try:
        url = f"{_api()}/repos/{needed(REPOSITORY)}/actions/runs/{number()}"
        answer = patience.ask(url, needed(TOKEN), "application/vnd.github+json")
        answer.raise_for_status()
        return datetime.fromisoformat(answer.json()["created_at"])
    except requests.HTTPError as error:
        why = f"GitHub answers {error.response.status_code}"
    except requests.RequestException as error:
        why = f"GitHub cannot be reached: {type(error).__name__}"
    except (KeyError, ValueError):
        why = "GitHub's answer has no time"
    raise RetrainError(
        f"{where}: its time is not known: {why}", "the job needs `actions: read`; start it again"
    )


def repository() -> Any:
    """PyGithub's (lazy) repository, as this job's token may use it: reads are repeated, writes are not.

    Raises InputError without a token.
    """
    import github
    from urllib3.util import Retry

    again = Retry(
        patience.TRIES - 1, backoff_factor=0.5, status_forcelist=patience.BUSY, allowed_methods=["GET"]
    )
    options = {**CLIENT, "base_url": _api(), "lazy": True, "retry": again, "per_page": 100}
    client = github.Github(auth=github.Auth.Token(needed(TOKEN)), **options)
    return client.get_repo(needed(REPOSITORY))


def needed(variable: str) -> str:
    """An environment variable's value. Raises InputError where there is none."""
    if value := os.environ.get(variable):
        return value
    mend = f"give the step `env: {{{TOKEN}: ${{{{ github.token }}}}}}`; GitHub sets the others"
    raise InputError(f"{variable} is not set", mend)


def _api() -> str:
    return os.environ.get("GITHUB_API_URL") or API
