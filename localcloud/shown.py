"""What the local GitHub holds, as a person reads it: a pull request or an issue, and workflow runs."""

import argparse
import re
from collections.abc import Callable, Iterator
from typing import Any

from localcloud.client import Client, ClientError

TIMEOUT = 30  # seconds a call
RUNS = 20  # that are listed, the newest
TAIL = 12  # lines of a failed check's log
RUN = re.compile(r"/actions/runs/(\d+)/")


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

    def merge(self, number: int) -> dict[str, Any]:
        """The answer to a pull request's merge: `merged`, or why not."""
        return self._answer("PUT", f"/pulls/{number}/merge") or {}

    def log(self, job: int) -> list[str]:
        """The lines of a workflow's job, without their times; none where there is no log."""
        found = self._asked("GET", f"/actions/jobs/{job}/logs")
        return [line.partition(" ")[2] for line in found.text.splitlines()] if found.ok else []

    def _answer(self, verb: str, path: str) -> Any | None:
        found = self._asked(verb, path)
        return None if found.status_code == 404 else found.json()

    def _asked(self, verb: str, path: str) -> Any:
        url = f"https://api.github.com/repos/{self.repository}{path}"
        return self._session.request(verb, url, timeout=TIMEOUT)


def pr(client: Client, arguments: argparse.Namespace) -> int:
    """A pull request, with its checks and changes; or an issue, with its comments."""
    reader, number = Reader(client), arguments.number
    issue = reader.get(f"/issues/{number}")
    if issue is None:
        raise ClientError(f"there is no pull request or issue #{number} in {reader.repository}", 2)
    pull = reader.get(f"/pulls/{number}") if "pull_request" in issue else None
    checks = _checks(reader, pull) if pull else []
    state = _state(reader, pull, checks) if pull else f"issue, {issue['state']}"
    labels = ", ".join(label["name"] for label in issue["labels"])
    print(f"#{number} {issue['title']}\n{state}{f' · {labels}' if labels else ''}\n")
    print(issue["body"] or "")
    print("\n".join(failures(reader.log, checks)))
    for comment in reader.get(f"/issues/{number}/comments") or []:
        print(f"\n--- {comment['user']['login']} at {comment['created_at']}\n{comment['body']}")
    for file in (reader.get(f"/pulls/{number}/files") or []) if pull else []:
        print(f"\n--- {file['filename']} ({file['status']}, +{file['additions']} -{file['deletions']})")
        print(file.get("patch", ""))
    return 0


def merge(client: Client, arguments: argparse.Namespace) -> int:
    """Merge a pull request, as its button does."""
    reader, number = Reader(client), arguments.number
    answer = reader.merge(number)
    if not answer.get("merged"):
        why = answer.get("message", "there is none of that number")
        mend = f"look at ./scripts/localcloud pr {number}"
        raise ClientError(f"pull request #{number} is not merged: {why}\n  mend: {mend}")
    print(f"#{number} merged: {answer['sha'][:7]} on main · ./scripts/localcloud runs")
    return 0


def _checks(reader: Reader, pull: dict[str, Any]) -> list[dict[str, Any]]:
    found = reader.get(f"/commits/{pull['head']['sha']}/check-runs")
    return list(found["check_runs"]) if found else []


def failures(log: Callable[[int], list[str]], checks: list[dict[str, Any]]) -> Iterator[str]:
    """Why checks have failed: the end of each one's log, and the command that prints the whole."""
    for one in checks:
        run = RUN.search(one["details_url"])
        if one["conclusion"] == "failure" and run:
            yield f"\n--- {one['name']} failed · ./scripts/localcloud logs run-{run[1]}"
            yield from log(one["id"])[-TAIL:]


def _state(reader: Reader, pull: dict[str, Any], found: list[dict[str, Any]]) -> str:
    """Where it is from and how its checks have ended."""
    head, base = pull["head"], pull["base"]
    is_ours = head["repo"] and head["repo"]["full_name"] == reader.repository
    checks = [f"{one['name']} {one['conclusion'] or one['status']}" for one in found]
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
