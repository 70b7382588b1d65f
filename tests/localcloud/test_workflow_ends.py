"""A local cloud that dies, or is stopped, while a workflow runs: nothing of the run goes on."""

import base64
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.client import Client, free_port, is_alive
from localcloud.processes import marked
from tests.conftest import WORLD
from tests.eventually import eventually

CACHE = "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae"
LEFT = ["begun", "event.json", "jobs", "log.txt"]  # of a run's folder, once it has ended
WAITS = f"""\
name: Waits
on: workflow_dispatch
jobs:
  one:
    runs-on: ubuntu-24.04
    steps:
      - {{uses: {CACHE}, with: {{path: tool, key: seeded, fail-on-cache-miss: true}}}}
      - run: |
          test "$(cat tool/program)" = mine
          (trap '' TERM HUP; exec setsid sleep 60) &
          touch ../../../begun
          wait
"""


class There:
    """A local cloud of its own, asked as its owner."""

    def __init__(self, root: Path) -> None:
        self.client = Client(root)
        self.client.up(WORLD, free_port())
        self.session = requests.Session()
        self.session.trust_env = False

    def ask(self, verb: str, path: str, body: Any = None) -> Any:
        given = self.client.environment().set
        self.session.proxies = {"https": given["HTTPS_PROXY"]}
        self.session.verify = given["SSL_CERT_FILE"]
        self.session.headers["authorization"] = f"Bearer {given['GITHUB_TOKEN']}"
        address = f"https://api.github.com/repos/{WORLD.repository}{path}"
        answer = self.session.request(verb, address, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def begun(self) -> Path:
        """The folder of a run whose job waits; it found the cache that was seeded."""
        content = base64.b64encode(WAITS.encode()).decode()
        path = "/contents/.github/workflows/waits.yml"
        self.ask("PUT", path, {"message": "Wait", "content": content, "branch": "main"})
        tool = self.client.root / "own"
        tool.mkdir()
        (tool / "program").write_text("mine")
        self.client.ask("PUT", "/caches", {"key": "seeded", "paths": {"tool": str(tool)}})
        pressed = {"ref": "main", "return_run_details": True}
        run = self.ask("POST", "/actions/workflows/waits.yml/dispatches", pressed)["workflow_run_id"]
        folder = self.client.root / "runs" / str(run)
        eventually((folder / "begun").exists)
        assert len(marked(f"{folder}/")) >= 3
        return folder


@pytest.fixture
def there(tmp_path: Path) -> Iterator[There]:
    made = There(tmp_path / "cloud")
    yield made
    made.client.down()


def test_a_killed_local_cloud_s_run_has_failed_and_its_processes_are_ended(there: There) -> None:
    folder = there.begun()
    token = re.findall(r'GITHUB_TOKEN="(.+)"', (folder / "secrets").read_text())[-1]
    pid = (there.client.status() or {})["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(pid) and not Path(f"/proc/{pid}").exists())  # all its threads
    there.client.up(WORLD, None)
    assert marked(f"{folder}/") == []
    assert sorted(path.name for path in folder.iterdir()) == LEFT
    run = there.ask("GET", f"/actions/runs/{folder.name}")
    assert (run["status"], run["conclusion"]) == ("completed", "failure")
    assert "the local cloud stopped" in (folder / "log.txt").read_text()
    [job] = there.ask("GET", f"/actions/runs/{folder.name}/jobs")["jobs"]
    assert (job["status"], job["conclusion"]) == ("completed", "cancelled")
    there.session.headers["authorization"] = f"Bearer {token}"
    answer = there.session.get(f"https://api.github.com/repos/{WORLD.repository}", timeout=30)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_a_stopped_local_cloud_leaves_nothing_at_work(there: There) -> None:
    folder = there.begun()
    there.client.down()
    assert marked(f"{folder}/") == []
    assert sorted(path.name for path in folder.iterdir()) == LEFT
