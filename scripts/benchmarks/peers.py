"""What a user would pick instead: each in an environment of its own, with the same five functions."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments
from benchmarks.measure import Run
from benchmarks.programs.five import expected

HERE = Path(__file__).parent / "programs"


Command = Callable[[str, Path], list[str]]


@dataclass(frozen=True)
class Peer:
    """One contender: `requirement` is pinned; `command` takes the seed and the folder to run in."""

    name: str
    requirement: str
    command: Command
    process_a_step: bool
    caches: bool = False
    rounds: int | None = None
    answer: str = ""  # the file with the answer; none: the output has it
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """Its own Python, or ours."""
        return environments.python(self._environment) if self.requirement else Path(sys.executable)

    @property
    def _environment(self) -> str:
        return self.requirement.replace("==", "-")

    def install(self) -> None:
        """Its environment, once. Runs outside of the local cloud."""
        if self.requirement:
            environments.install(self._environment, [self.requirement])

    def folder(self) -> Path:
        """A new folder with the five functions."""
        made = Path(tempfile.mkdtemp(prefix=f"bench-{self.name.partition(' ')[0].lower()}-"))
        for path in HERE.glob("*.*"):
            shutil.copy(path, made)
        if self.caches:
            for words in (["init", "--no-scm", "--quiet"], ["config", "core.analytics", "false"]):
                subprocess.run([self.python, "-m", "dvc", *words], cwd=made, check=True)
        return made

    def run(self, seed: str, folder: Path) -> Run:
        """One whole command. Raises RuntimeError where the answer is not the right one."""
        (folder / "seed.txt").write_text(seed)
        inherited = {
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
        }
        start = time.perf_counter()
        done = subprocess.run(
            [str(self.python), *self.command(seed, folder)],
            cwd=folder,
            env=inherited | self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
        said = (folder / self.answer).read_text() if self.answer else done.stdout
        if done.returncode or expected(seed) not in said:
            raise RuntimeError(f"{self.name} gave no right answer:\n{done.stdout[-2000:]}")
        return Run(seconds, len(done.stdout.splitlines()))


QUIET = {"LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
PEERS = (
    Peer("functions in one process", "", lambda seed, _: ["functions.py", seed], False),
    Peer("Kedro", "kedro==1.7.0", lambda seed, _: ["kedro_five.py", seed], False, variables=QUIET),
    Peer(
        "DVC",
        "dvc==3.67.1",
        lambda *_: ["-m", "dvc", "repro"],
        True,
        True,
        answer="upload_model.txt",
        variables=QUIET,
    ),
    Peer(
        "Metaflow",
        "metaflow==2.19.39",
        lambda seed, _: ["metaflow_five.py", "run", "--seed", seed],
        True,
        variables=QUIET | {"USERNAME": "bench", "USER": "bench"},
    ),
    Peer(
        "kfp local, no venvs",
        "kfp==2.17.0",
        lambda seed, to: ["kfp_five.py", seed, "plain", str(to / "out")],
        True,
        variables=QUIET,
    ),
    Peer(
        "kfp local, venvs",
        "kfp==2.17.0",
        lambda seed, to: ["kfp_five.py", seed, "venv", str(to / "out")],
        True,
        rounds=1,
        variables=QUIET,
    ),
)
