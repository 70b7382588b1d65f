"""GitHub, as an App: a token for one repository and few permissions, and the start of a workflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flows.errors import InputError, RetrainError
from flows.secrets import GitHubApp

# PyGithub waits between calls and repeats writes unless told not to.
CLIENT: dict[str, Any] = {
    "seconds_between_requests": 0,
    "seconds_between_writes": 0,
    "retry": None,
    "timeout": 30,
}
START = {"actions": "write"}


def installation_token(app: GitHubApp, repository: str, permissions: Mapping[str, str]) -> str:
    """A token of the App for `repository` ("owner/name") and `permissions` alone; it lives one hour.

    Raises InputError where the App's key is none, RetrainError where GitHub refuses.
    """
    import github

    with _named(f"GitHub App {app.app_id}, installation {app.installation_id}"):
        auth = github.Auth.AppAuth(app.app_id, app.private_key)
        integration = github.GithubIntegration(auth=auth, **CLIENT)
        # PyGithub's own call cannot limit a token to repositories.
        _, answer = integration.requester.requestJsonAndCheck(
            "POST",
            f"/app/installations/{app.installation_id}/access_tokens",
            input={
                "repositories": [repository.partition("/")[2]],
                "permissions": dict(permissions),
            },
        )
    return str(answer["token"])


def repository(app: GitHubApp, name: str, permissions: Mapping[str, str]) -> Any:
    """PyGithub's (lazy) repository `name`, "owner/name", as the App may use it for an hour."""
    import github

    token = installation_token(app, name, permissions)
    return github.Github(auth=github.Auth.Token(token), lazy=True, **CLIENT).get_repo(name)


def start_workflow(
    name: str, app: GitHubApp, workflow: str, ref: str, inputs: Mapping[str, str]
) -> None:
    """Start the workflow file `workflow` of the repository `name` ("owner/name") at `ref`.

    Returns at once. Raises RetrainError where GitHub refuses: a start may safely be repeated only
    where the workflow itself is idempotent.
    """
    found = repository(app, name, START)
    with _named(f"{workflow} of {name} at {ref}"):
        found.get_workflow(workflow).create_dispatch(ref, dict(inputs), throw=True)


@contextmanager
def _named(what: str) -> Iterator[None]:
    import github
    import jwt
    import requests

    try:
        yield
    except github.GithubException as error:
        data = error.data if isinstance(error.data, dict) else {}
        raise RetrainError(
            f"{what}: GitHub says {error.status}: {data.get('message', '')}", _mend(error.status)
        ) from None
    except requests.RequestException as error:
        raise RetrainError(f"{what}: GitHub cannot be reached: {type(error).__name__}") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise InputError(
            f"{what}: its private_key is not a PEM key", "add a secret version with it"
        ) from None


def _mend(status: int) -> str:
    mends = {
        401: "the App's key or id is wrong: add a new version of its secret",
        403: "give the App this permission on the repository",
        404: "install the App on the repository; the file must be on its default branch",
        422: "the ref must exist, and the inputs must be those that the workflow declares",
    }
    return mends.get(status, "")
