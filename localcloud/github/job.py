"""One run's work: its workflow file, run by act, and what becomes of its jobs."""

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from localcloud.github import facts, legs
from localcloud.github.act import Act, Order, end_all
from localcloud.github.attempts import Before
from localcloud.github.caches import Caches
from localcloud.github.jobs import Jobs
from localcloud.github.legs import Leg
from localcloud.github.permissions import ANY
from localcloud.github.prepared import (
    STANDINS,
    Given,
    Planned,
    Preparation,
    Prepared,
    StartupError,
)
from localcloud.github.progress import Progress
from localcloud.github.repository import Repository
from localcloud.github.runs import Run

WORK = ("act", "commit", "home", "nothing", "secrets")  # what is of no use once a run has ended
LONGEST = 35 * 86400.0  # seconds of a run, as GitHub's; its jobs' own limits are in its file
NOT_STARTED = "startup_failure"
DRAIN = STANDINS / "drain.sh"
PYTHON = "LOCALCLOUD_PYTHON"  # what the stand-ins are run with: the PATH's may be any, or none
MARK = "ACTIONS_ORCHESTRATION_ID"  # GitHub has it too, and nobody reads it


@dataclass(frozen=True)
class Setting:
    """What somebody else decides about jobs: environment, tokens, identity; and where their state is."""

    job_environment: Callable[[Run], dict[str, str]]
    token: Callable[[Run, Mapping[str, str]], str]
    revoke: Callable[[Run], None]
    identity: Callable[[Run, Planned], dict[str, str]]
    jobs: Jobs
    caches: Caches
    timeout: float


@dataclass
class Job:
    """One attempt of one run, in its own folder; `stopped` is what whoever stopped it concludes."""

    run: Run
    where: Repository
    folder: Path
    stopped: str = ""
    _secrets: dict[str, str] = field(default_factory=dict)
    _progress: Progress | None = None

    def __post_init__(self) -> None:
        self._act = Act(self.folder)

    def work(self, setting: Setting) -> str:
        """Do it; returns the conclusion."""
        clear(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.txt").open("wb", buffering=0) as log:
            try:
                conclusion = self._run(setting, log)
            except StartupError as error:
                log.write(f"The run did not start: {error}\n".encode())
                conclusion = NOT_STARTED
            except Exception as error:  # whatever went wrong is this run's failure, not the runner's
                log.write(f"{type(error).__name__}: {error}\n".encode())
                conclusion = "failure"
            finally:
                clear(self.folder)
                setting.revoke(self.run)
            if self.stopped:
                log.write(f"The run was ended: {self.stopped}.\n".encode())
        return self.stopped or conclusion

    def _run(self, setting: Setting, log: BinaryIO) -> str:
        prepared = self._prepared(setting)
        progress = Progress(self.run, setting.jobs, prepared.jobs, partial(self._say, log))
        progress.hidden = self._secrets.values()
        progress.on_late = lambda leg: end_all(self.folder, f"{MARK}={self._mark(leg)}\0")
        self._progress = progress
        self._keep(progress, prepared)
        order = self._order(setting.job_environment(self.run))
        timer = threading.Timer(setting.timeout, self.stop, ["timed_out"])
        timer.daemon = True
        timer.start()
        try:
            for event in self._act.events(prepared, order):
                if "job" in event:
                    progress.take(event)
                elif event["level"] == "error" and not event["msg"].startswith("Error: Job '"):
                    log.write(f"{event['msg'].rstrip()}\n".encode())
        finally:
            timer.cancel()
            progress.close(bool(self.stopped))
        return progress.conclusion

    def _prepared(self, setting: Setting) -> Prepared:
        """The folder that act reads, with a home for the jobs beside it."""
        for name in ("home", "act", "jobs"):
            (self.folder / name).mkdir(exist_ok=True)
        setting.caches.root.mkdir(parents=True, exist_ok=True)
        (self.folder / "act" / "tool_cache").symlink_to(setting.caches.root)
        (self.folder / "event.json").write_text(json.dumps(facts.event(self.run, self.where)))
        known = facts.expressions(self.run, self.where)
        give = partial(self._give, setting)
        redo = self.run.get("redo")
        before = Before(setting.jobs.of(self.run, redo) if redo else [])
        made = Preparation(self.where, self.run, known, give).write(self.folder / "commit", before)
        most = self._union(made.jobs.values())
        self._secrets["GITHUB_TOKEN"] = setting.token(self.run, most)
        return made

    def _keep(self, progress: Progress, prepared: Prepared) -> None:
        """What is not run again is shown again, with its log."""
        progress.settled = prepared.settled
        for record in prepared.kept:
            old, new = (self._log_of(one["id"]) for one in (record, progress.keep(record)))
            if old.exists():
                shutil.copyfile(old, new)

    @staticmethod
    def _union(jobs: Iterable[Planned]) -> dict[str, str]:
        """What an action of the repository gets by itself, which act cannot tell by job."""
        found: dict[str, str] = {}
        for job in jobs:
            for name, level in job.permissions.items():
                found[name] = max(level, found.get(name, "none"), key=ANY.index)
        return found

    def _give(self, setting: Setting, job: Planned) -> Given:
        """A job's own token, and what it asks for identity tokens with."""
        token, identity = setting.token(self.run, job.permissions), setting.identity(self.run, job)
        for value in (token, identity.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")):
            if value:
                self._secrets[f"LOCALCLOUD_{len(self._secrets)}"] = value
        mark = {MARK: legs.mark(self.run, job, "${{ toJSON(matrix) }}"), "BASH_ENV": str(DRAIN)}
        return Given(identity | mark, dict.fromkeys(("github.token", "secrets.GITHUB_TOKEN"), token))

    def _mark(self, leg: Leg) -> str:
        return legs.mark(self.run, leg.plan, legs.matrix_text(leg.matrix))

    def _order(self, environment: Mapping[str, str]) -> Order:
        folder = self.folder / "home"
        home = {"HOME": str(folder), "GIT_CONFIG_GLOBAL": str(folder / ".gitconfig")}
        known = {**environment, **facts.variables(self.run, self.where), **home, PYTHON: sys.executable}
        return Order(self.run["event"], self.run["actor"], known, self._secrets)

    def _say(self, log: BinaryIO, leg: Leg, text: str) -> None:
        """Lines for a job's log, with the time as GitHub writes it, and for the run's."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        lines = leg.hidden.hide(text).splitlines() or [""]
        with self._log_of(leg.record["id"]).open("a") as file:
            file.writelines(f"{now} {line}\n" for line in lines)
        log.write("".join(f"{leg.record['name']} | {line}\n" for line in lines).encode())

    def _log_of(self, job: int) -> Path:
        return self.folder / "jobs" / f"{job}.txt"

    def stop(self, conclusion: str) -> None:
        """End it before its time, with that conclusion."""
        self.stopped = self.stopped or conclusion
        if self._progress:
            self._progress.stop()
        self._act.stop()

    def summary(self) -> str:
        """What the jobs wrote as their summaries."""
        return self._progress.summary if self._progress else ""


def clear(folder: Path) -> None:
    """Take away what a run needs only while it works: its secrets and its workspaces."""
    for name in WORK:
        path = folder / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def end_orphan(folder: Path) -> None:
    """End and take away what a local cloud that was killed itself has left in a run's folder."""
    end_all(folder)
    clear(folder)
