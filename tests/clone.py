"""A fresh clone of the working tree, as a newcomer has it: no local cloud, no runs, an empty HOME."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from localcloud.client import Client
from localcloud.environment import Environment
from tests import programs

ROOT = Path(__file__).parents[1]
FLOW = "vertex-ai-pipelines/flows/recommender"
LIMIT = 300.0  # seconds for one verb
WHO = ("-c", "user.name=newcomer", "-c", "user.email=newcomer@example.com")
# A part of the sample, where what is shown does not depend on its size.
SHORT = ("days = 365", "days = 60")


QUIET = """
import time, github
client = github.Github(auth=github.Auth.Token(os.environ["GITHUB_TOKEN"]), seconds_between_requests=0)
where = client.get_repo(os.environ["GITHUB_REPOSITORY"])
while any(run.status != "completed" for run in where.get_workflow_runs()):
    time.sleep(0.5)
"""


@dataclass(frozen=True, repr=False)
class Ended:
    """How a verb ended."""

    code: int
    out: str
    err: str

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON object in the last line of standard output."""
        assert self.out.strip(), self
        return dict(json.loads(self.out.splitlines()[-1]))

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.err}\n{self.out}"


class Clone:
    """The working tree in `folder`/retrain, with the environment of this one."""

    def __init__(self, folder: Path) -> None:
        """The clone in `folder`, if it is there; `fill` makes it."""
        self.folder, self._home = folder / "retrain", folder / "home"
        self._temporary = folder / "tmp"  # what is killed leaves its files there

    def fill(self) -> Self:
        """Put the working tree there."""
        self._home.mkdir(parents=True)
        self._temporary.mkdir()
        for name in tracked():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.folder / name, follow_symlinks=False)
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        (self.folder / ".local").mkdir()
        (self.folder / ".local" / "packages").symlink_to(ROOT / ".local" / "packages")
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", "--all")
        self.git(*WHO, "commit", "--quiet", "--message=Template")
        return self

    @property
    def base(self) -> dict[str, str]:
        """The variables that a newcomer's shell has."""
        own = {"HOME": str(self._home), "TMPDIR": str(self._temporary)}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own}

    @property
    def cloud(self) -> Client:
        """Its local cloud, running or not."""
        return Client(self.folder / ".local" / "cloud")

    def run(self, *arguments: str) -> Ended:
        """`./scripts/run --json`."""
        return self.verb("run", *arguments, "--json")

    def verb(self, name: str, *arguments: str, inside: bool = False) -> Ended:
        """One of the scripts; `inside` the local cloud's environment, as the workflows' are."""
        return self.command(f"./scripts/{name}", *arguments, inside=inside)

    def command(self, *command: str, inside: bool = True, account: str = "") -> Ended:
        """Any command in the clone; its home is empty, and it gets none of this process's variables."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(account).over(self.base) if inside else self.base,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def environment(self, account: str = "") -> Environment:
        """The environment of the person at the keyboard, or of a service account's machine."""
        return self.cloud.environment(account).alone()

    def program(self, code: str, account: str = "") -> Any:
        """Runs a program with unmodified SDKs; what it leaves in `answer` comes back.

        It is the owner's, or runs on a machine that has a service account.
        """
        return programs.run(code, self.folder, self.environment(account).over(self.base))

    def settle(self) -> None:
        """Wait for the workflows: a pull request's checks go on after the run that made it."""
        self.program(QUIET)

    def git(self, *arguments: str, inside: bool = False) -> str:
        """git on the user's own repository; `inside`: it reaches the local GitHub."""
        ended = self.command("git", *arguments, inside=inside)
        assert ended.code == 0, ended
        return ended.out.strip()

    def write(self, path: str, old: str, new: str) -> None:
        """Replace the one `old` in a file."""
        file = self.folder / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
        file.write_text(text.replace(old, new))

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """The same for a while."""
        file = self.folder / path
        before = file.read_bytes()
        self.write(path, old, new)
        try:
            yield
        finally:
            file.write_bytes(before)

    def home(self) -> list[str]:
        """What lies in its home."""
        return sorted(str(path.relative_to(self._home)) for path in self._home.rglob("*"))

    def close(self) -> None:
        """Stop its local cloud, and remove everything."""
        self.cloud.down()
        shutil.rmtree(self.folder.parent)


@contextmanager
def clone(folder: Path) -> Iterator[Clone]:
    """A clone for a while."""
    made = Clone(folder / "clone").fill()
    try:
        yield made
    finally:
        made.close()


def tracked() -> list[str]:
    """The files that a commit of the working tree would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return sorted({name for name in listed if name and (ROOT / name).is_file()})


def own_files(folder: Path) -> dict[str, str]:
    """The hashes of all files in a clone that are its user's, git's among them."""
    found = dict[str, str]()
    for place, folders, names in os.walk(folder):
        # A workflow may still be at work below .local/.
        folders[:] = [name for name in folders if name not in (".local", ".venv", "__pycache__")]
        for path in (Path(place, name) for name in names):
            if not path.is_symlink():
                found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
