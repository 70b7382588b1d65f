"""What the local GitHub holds, as a person reads it: a pull request or an issue, and workflow runs."""

import argparse
from typing import Any

from localcloud.client import Client, ClientError

TIMEOUT = 30  # seconds a call
RUNS = 20  # that are listed, the newest


class Reader:
    """GitHub's API for the owner of the running local cloud. Raises ClientError where none runs."""

    def __init__(self, client: Client) -> None:
        import requests

        if client.status() is None:
            raise ClientError("the local cloud is not running: ./scripts/localcloud up")
        variables = client.environment().set
        self.repository = variables["GITHUB_REPOSITORY"]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies = {"https": variables["HTTPS_PROXY"]}
        self._session.verify = variables["SSL_CERT_FILE"]
        self._session.headers["Authorization"] = f"Bearer {variables['GITHUB_TOKEN']}"

    def get(self, path: str) -> Any | None:
        """What is there; None where nothing is."""
        return self._answer("GET", path)

    def cancel(self, run: int) -> bool:
        """Whether there is such a run; one that has ended stays as it is."""
        return self._answer("POST", f"/actions/runs/{run}/cancel") is not None

    def _answer(self, verb: str, path: str) -> Any | None:
        url = f"https://api.github.com/repos/{self.repository}{path}"
        found = self._session.request(verb, url, timeout=TIMEOUT)
        return None if found.status_code == 404 else found.json()


def pr(client: Client, arguments: argparse.Namespace) -> int:
    """A pull request, with its checks and changes; or an issue, with its comments."""
    reader, number = Reader(client), arguments.number
    issue = reader.get(f"/issues/{number}")
    if issue is None:
        raise ClientError(f"there is no pull request or issue #{number} in {reader.repository}", 2)
    pull = reader.get(f"/pulls/{number}") if "pull_request" in issue else None
    state = _state(reader, pull) if pull else f"issue, {issue['state']}"
    labels = ", ".join(label["name"] for label in issue["labels"])
    print(f"#{number} {issue['title']}\n{state}{f' · {labels}' if labels else ''}\n")
    print(issue["body"] or "")
    for comment in reader.get(f"/issues/{number}/comments") or []:
        print(f"\n--- {comment['user']['login']} at {comment['created_at']}\n{comment['body']}")
    for file in (reader.get(f"/pulls/{number}/files") or []) if pull else []:
        print(f"\n--- {file['filename']} ({file['status']}, +{file['additions']} -{file['deletions']})")
        print(file.get("patch", ""))
    return 0


def _state(reader: Reader, pull: dict[str, Any]) -> str:
    """Where it is from and how its checks have ended."""
    head, base = pull["head"], pull["base"]
    is_ours = head["repo"] and head["repo"]["full_name"] == reader.repository
    found = reader.get(f"/commits/{head['sha']}/check-runs") or {"check_runs": []}
    checks = [f"{one['name']} {one['conclusion'] or one['status']}" for one in found["check_runs"]]
    return (
        f"{'merged' if pull['merged'] else pull['state']}"
        f" · {head['ref'] if is_ours else head['label']} → {base['ref']}"
        f" · {', '.join(checks) or 'no checks'}"
    )


def runs(client: Client, arguments: argparse.Namespace) -> int:
    """The newest workflow runs; or one that is to be cancelled."""
    reader = Reader(client)
    if arguments.cancel and not reader.cancel(arguments.cancel):
        raise ClientError(f"there is no workflow run {arguments.cancel} in {reader.repository}", 2)
    found = reader.get(f"/actions/runs?per_page={RUNS}") or {"workflow_runs": []}
    for run in found["workflow_runs"]:
        result = run["conclusion"] or run["status"]
        print(f"{run['id']}  {result:<17}{run['name']:<12}{run['event']:<18}{run['display_title']}")
    return 0
