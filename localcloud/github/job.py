"""One run's work: `.github/workflows/NAME.yml` is `./scripts/NAME --INPUT VALUE …` in a fresh clone."""

import json
import os
import platform
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from localcloud.github.call import API
from localcloud.github.git import GitError, run
from localcloud.github.identity import account_id
from localcloud.github.repository import Repository
from localcloud.github.runs import Run
from localcloud.github.shapes import WEB

PID = "pid"  # the file that names the process, for a local cloud that comes after this one's end
GRACE = 2.0  # seconds between SIGTERM and SIGKILL
FILES = {
    "GITHUB_STEP_SUMMARY": "summary.md",
    "GITHUB_OUTPUT": "output",
    "GITHUB_ENV": "env",
    "GITHUB_PATH": "path",
}
SYSTEMS = {"Darwin": "macOS"}


@dataclass(frozen=True)
class Setting:
    """What somebody else decides about jobs: environment, how a clone is made ready, and identity."""

    job_environment: Callable[[dict[str, Any]], dict[str, str]]
    prepare: Callable[[Path], None]
    identity: Callable[[Run], dict[str, str]]
    timeout: float = 3600


class Job:
    """One attempt of one run, in its own folder; `conclusion` stands when `work` returns."""

    def __init__(self, run: Run, where: Repository, folder: Path) -> None:
        self.run, self.where, self.folder = run, where, folder
        self.workspace = folder / "workspace"
        self.stopped = ""  # the conclusion that whoever stopped it wants
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def work(self, setting: Setting) -> str:
        """Do it; returns the conclusion."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "temp").mkdir(parents=True)
        with (self.folder / "log.txt").open("wb", buffering=0) as log:
            try:
                ended = self._run(setting, log)
            except Exception as error:  # whatever went wrong is this run's failure, not the runner's
                log.write(f"{type(error).__name__}: {error}\n".encode())
                ended = False
            if self.stopped:
                log.write(f"The run was ended: {self.stopped}.\n".encode())
        if ended and not self.stopped:
            shutil.rmtree(self.workspace, ignore_errors=True)
        return self.stopped or ("success" if ended else "failure")

    def _run(self, setting: Setting, log: BinaryIO) -> bool:
        self._clone()
        setting.prepare(self.workspace)
        environment = setting.job_environment(dict(self.run)) | self._variables()
        environment |= setting.identity(self.run)
        timer = threading.Timer(setting.timeout, self.stop, ["timed_out"])
        timer.daemon = True
        timer.start()
        try:
            return self._execute(environment, log) == 0
        finally:
            timer.cancel()

    def _execute(self, environment: dict[str, str], log: BinaryIO) -> int:
        command = self.command()
        with self._lock:
            if self.stopped:
                return -1
            self._process = subprocess.Popen(
                command,
                cwd=self.workspace,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.folder / PID).write_text(str(self._process.pid))
        code = self._process.wait()
        self._signal(signal.SIGKILL)  # what it left behind in its process group
        self._process = None
        if code:
            log.write(f"{command[0]} ended with exit code {code}\n".encode())
        return code

    def stop(self, conclusion: str) -> None:
        """End it before its time, with that conclusion."""
        with self._lock:
            self.stopped = self.stopped or conclusion
            process = self._process
        if process and process.poll() is None:
            self._signal(signal.SIGTERM)
            killer = threading.Timer(GRACE, self._signal, [signal.SIGKILL])
            killer.daemon = True
            killer.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def command(self) -> list[str]:
        """The script, with an option for each input that has a value; a boolean is a bare flag."""
        arguments = [f"./scripts/{Path(self.run['path']).stem}"]
        for name, value in self.run["inputs"].items():
            option = "--" + name.replace("_", "-")
            if name in self.run["flags"]:
                arguments += [option] if value == "true" else []
            elif value:
                arguments += [option, value]
        return arguments

    def summary(self) -> str:
        """What the job wrote as its summary."""
        path = self.folder / FILES["GITHUB_STEP_SUMMARY"]
        return path.read_text(errors="replace") if path.exists() else ""

    def _clone(self) -> None:
        source, target = str(self.where.path), str(self.workspace)
        kind, name = self.run["ref"].split("/", 2)[1:]
        onto = ["-B", name] if kind == "heads" else ["--detach"]
        self._git(self.folder, "clone", "--quiet", "--no-checkout", source, target)
        self._git(self.workspace, "remote", "set-url", "origin", f"{WEB}/{self.where.full_name}")
        self._git(self.workspace, "checkout", "--quiet", *onto, self.run["head_sha"])

    @staticmethod
    def _git(folder: Path, *arguments: str) -> None:
        done = run(folder, arguments)
        if done.returncode:
            raise GitError(done.stderr.decode(errors="replace").strip())

    def _variables(self) -> dict[str, str]:
        for name in FILES.values():
            (self.folder / name).touch()
        event = self.folder / "event.json"
        event.write_text(json.dumps(self._event()))
        return {
            **{f"GITHUB_{name}": value for name, value in facts(self.run, self.where).items()},
            **{name: str(self.folder / file) for name, file in FILES.items()},
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": API,
            "GITHUB_SERVER_URL": WEB,
            "GITHUB_GRAPHQL_URL": f"{API}/graphql",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_NAME": "local",
            "RUNNER_OS": SYSTEMS.get(platform.system(), platform.system()),
            "RUNNER_TEMP": str(self.folder / "temp"),
        }

    def _event(self) -> dict[str, Any]:
        repository = {"id": self.where.record["id"], "full_name": self.where.full_name}
        inputs, actor = self.run["inputs"], {"login": self.run["actor"]}
        return {
            "inputs": inputs,
            "ref": self.run["ref"],
            "repository": repository,
            "sender": actor,
            "workflow": self.run["path"],
        }


def facts(run: Run, where: Repository) -> dict[str, str]:
    """What GitHub tells of a run, by the variables' names without GITHUB_."""
    ref = run["ref"]
    found = {
        "ACTOR": run["actor"],
        "ACTOR_ID": account_id(run["actor"]),
        "TRIGGERING_ACTOR": run["actor"],
        "EVENT_NAME": run["event"],
        "JOB": run["jobs"][0],
        "REF": ref,
        "REF_NAME": ref.split("/", 2)[2],
        "REF_TYPE": "branch" if ref.startswith("refs/heads/") else "tag",
        "REPOSITORY": where.full_name,
        "REPOSITORY_ID": where.record["id"],
        "REPOSITORY_OWNER": where.owner,
        "REPOSITORY_OWNER_ID": account_id(where.owner),
        "RUN_ATTEMPT": run["attempt"],
        "RUN_ID": run["id"],
        "RUN_NUMBER": run["run_number"],
        "SHA": run["head_sha"],
        "WORKFLOW": run["name"],
        "WORKFLOW_REF": f"{where.full_name}/{run['path']}@{ref}",
        "WORKFLOW_SHA": run["head_sha"],
    }
    return {name: str(value) for name, value in found.items()}


def end_orphan(folder: Path) -> None:
    """Kill what a local cloud that was killed itself has left at work in a run's folder.

    The number may be another process's by now: where the system cannot tell (no /proc), none is killed.
    """
    with suppress(OSError, ValueError):
        number = int((folder / PID).read_text())
        if Path(f"/proc/{number}/cwd").readlink().is_relative_to(folder):
            os.killpg(number, signal.SIGKILL)
