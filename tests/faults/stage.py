"""A world in which models are released and rolled out, and a client that asks all the while."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from delivery import git
from tests.clone import WHO, Ended
from tests.faults import staged
from tests.faults.worlds import FLOW, World

HOST = "https://europe-west1-aiplatform.googleapis.com"
ENDPOINT = f"projects/retrain-local/locations/europe-west1/endpoints/{FLOW}-local"
INSIDE = "sys.path[:0] = ['.', 'vertex-ai-pipelines', 'scripts']\nfrom tests.faults import staged\n"
MAIN = "https://github.com/acme/models.git"
TOKEN = """
import google.auth, google.auth.transport.requests as transport
found = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])[0]
found.refresh(transport.Request())
answer = found.token
"""


class Stage(World):
    """Declares releases on the local GitHub's main, and deploys them."""

    def prepared(self, models: int) -> "Stage":
        """With an image and so many models in their stores; main is there."""
        code = (
            f"image = staged.image()\nanswer = [staged.model(n, image) for n in range(1, {models + 1})]"
        )
        self.models = list(self.inside(code))
        return self

    def broken(self, number: int) -> None:
        """One more model, whose image's server ends at load."""
        code = f"answer = staged.model({number}, staged.image(broken=True))"
        self.models.append(self.inside(code))

    def inside(self, code: str) -> Any:
        """A program of tests/faults/staged.py, as the owner."""
        return self.program(INSIDE + code)

    def declare(self, *shares: tuple[int, int]) -> None:
        """Let main say: these models (by number, from 1 on), with these shares. No workflow starts."""
        entries = [self.models[number - 1] for number, _ in shares]
        path = self.folder / f"releases/local/{FLOW}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(staged.release(entries, [share for _, share in shares]))
        self.git("add", "--all")
        self.git(*WHO, "commit", "--quiet", "--allow-empty", "--message=Release [skip ci]")
        self.push()

    def push(self) -> None:
        """Bring the clone's head to the local GitHub's main."""
        variables = self.environment().over(self.base)
        subprocess.run(
            ["git", "push", "--quiet", "--force", MAIN, "HEAD:main"],
            cwd=self.folder,
            env={**variables, **git.credentials(variables["GITHUB_TOKEN"])},
            check=True,
        )

    def deploy(self, *arguments: str) -> Ended:
        """`./scripts/deploy FLOW`, as the owner."""
        return self.verb("deploy", FLOW, *arguments, inside=True)

    def seen(self, environment: str = "local") -> Any:
        """What serves there."""
        return self.inside(f"answer = staged.seen({environment!r})")

    @contextmanager
    def asked(self) -> Iterator["Client"]:
        """A client that asks for predictions all the while."""
        variables = self.environment().set
        session = requests.Session()
        session.trust_env = False
        session.proxies = {"https": variables["HTTPS_PROXY"]}
        session.verify = variables["SSL_CERT_FILE"]
        session.headers["Authorization"] = f"Bearer {self.program(TOKEN)}"
        client = Client(session)
        thread = threading.Thread(target=client.ask)
        thread.start()
        try:
            yield client
        finally:
            client.stop.set()
            thread.join()


class Client:
    """Asks again and again, and keeps what was answered."""

    def __init__(self, session: requests.Session) -> None:
        self._session, self.stop = session, threading.Event()
        self.failed, self.answers = list[str](), dict[str, int]()

    def ask(self) -> None:
        """Until it is told to stop."""
        while not self.stop.wait(0.005):
            answer = self._session.post(
                f"{HOST}/v1/{ENDPOINT}:predict", json={"instances": [1]}, timeout=30
            )
            if answer.status_code == 200:
                said = answer.json()["predictions"][0]
                self.answers[said] = self.answers.get(said, 0) + 1
            else:
                self.failed.append(f"{answer.status_code} {answer.text[:300]}")


def stage(folder: Path, world: World) -> Stage:
    """A copy of a world that has what settings.toml names, running."""
    made = Stage(world.copy(folder).folder.parent)
    made.start()
    return made
