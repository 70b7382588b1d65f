"""One attempt at a task: its command as a process of its own, in its image's folder."""

import json
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

from kfp.local import status, task_handler_interface

from localcloud.forks import Order, start
from localcloud.packages import explain
from localcloud.pipeline_image import Image
from localcloud.pipeline_job import Job, swap

EXECUTOR, STEP_MAIN = "python3 -m kfp.dsl.executor_main", str(Path(__file__).with_name("step_main.py"))
TAIL = 8192  # bytes of a log in which an error's last line is looked for


class Step(task_handler_interface.ITaskHandler):  # type: ignore[misc]
    """One attempt at a task: its command as a process of its own, in its image's folder."""

    job: Job

    def __init__(
        self, image: str, full_command: list[str], env_vars: dict[str, str] | None = None, **_: Any
    ) -> None:
        self._image, self._control = Image.of(self.job.images[image]), self.job.controls[image]
        self._command, self._variables = _without_install(full_command), env_vars or {}
        self._log = self.job.log(self.job.task)

    def run(self) -> status.Status:
        """The process's exit code as kfp's status; its executor output with kfp's addresses."""
        if self._image.refused:
            self._say(f"error: {self._image.refused}\n")
            return status.Status.FAILURE
        self._fetch()
        scratch = tempfile.mkdtemp(prefix="step-", dir=self.job.folder)
        try:
            code = self._process(scratch)
        except OSError as error:
            self._say(f"error: the step's command cannot be started: {error}\n")
            return status.Status.FAILURE
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if code and self._image.base:
            self._say(explain(last_bytes(self._log), self._image.base, self._image.code()))
        self._translate_outputs()
        return status.Status.FAILURE if code else status.Status.SUCCESS

    def _fetch(self) -> None:
        """The input artifacts of a step that reads files, where they are not here: of a cached task."""
        root = self.job.root
        others = [word for word in self._command if not _executor_input(word)]
        if any(EXECUTOR in word or root in word for word in others):
            listed = [one for found in self.job.inputs.values() for one in found["artifacts"]]
            for artifact in listed:
                if not Path(artifact["uri"]).exists():
                    self.job.mount.pull(swap(artifact["uri"], root, self.job.uri))

    def _process(self, scratch: str) -> int:
        folder = self._image.root + self._image.workdir or scratch
        env, fresh = self._environment(scratch), bool(self._variables)
        order = Order(self._arguments(), folder, env, str(self._log), fresh)
        return start(self._control, order).wait()

    def _say(self, words: str) -> None:
        with self._log.open("a") as log:
            log.write(words)

    def _arguments(self) -> list[str]:
        first = self._command[0]
        program = self._image.python if first in ("python", "python3") else first
        return [program, *(self._outside(argument) for argument in self._command[1:])]

    def _outside(self, argument: str) -> str:
        """An executor input names gs:// addresses; other arguments stay as they are."""
        found = _executor_input(argument)
        if found:
            return json.dumps(self.job.outside(found))
        return argument.replace(EXECUTOR, shlex.join((self._image.python, "-P", STEP_MAIN)))

    def _environment(self, scratch: str) -> dict[str, str]:
        """Nothing of the developer's: the image's variables, the way to the cloud, a scratch home."""
        homes = {"HOME": scratch, "TMPDIR": scratch, "LOCALCLOUD_GCS": self.job.root}
        return {**self._image.environment(), **homes, **self.job.environment, **self._variables}

    def _translate_outputs(self) -> None:
        inputs = [found for found in map(_executor_input, self._command) if found]
        path = Path(inputs[0]["outputs"].get("outputFile", "")) if inputs else Path()
        if path.is_file():
            path.write_text(json.dumps(self.job.inside(json.loads(path.read_text()))))


def last_bytes(log: Path) -> str:
    """The end of a log, where it says why a step failed."""
    return log.read_bytes()[-TAIL:].decode(errors="replace") if log.exists() else ""


def _without_install(command: list[str]) -> list[str]:
    """A lightweight component's first words install packages: here only what is there can be used."""
    installs = command[:2] == ["sh", "-c"] and len(command) > 3 and "pip install" in command[2]
    return command[3:] if installs else command


def _executor_input(argument: str) -> dict[str, Any] | None:
    if not argument.startswith("{"):
        return None
    try:
        value = json.loads(argument)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "outputs" in value else None
