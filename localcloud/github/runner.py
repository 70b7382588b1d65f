"""The queue of workflow runs: one at a time of each concurrency group, as many as the machine bears."""

import os
import threading
from contextlib import suppress
from typing import Any

from localcloud.github.errors import GitHubError
from localcloud.github.job import Job, Setting, end_orphan
from localcloud.github.repository import Repositories
from localcloud.github.runs import Run, Runs

STOPPED = "the local cloud stopped"
PATIENCE = 10.0  # seconds that closing waits for jobs to end
AT_ONCE = max(4, os.cpu_count() or 1)  # runs; some of them only wait for something
PENDING = 100  # runs that may wait in a group of `queue: max`
WAITING = ("queued", "pending")  # pending: for its concurrency group
REFUSED, UNAPPROVED = "startup_failure", "action_required"
NOTHING_TO_APPROVE = "This workflow run does not wait for approval"
BROKEN = "This workflow run cannot be rerun because its workflow file may be broken"


class Runner:
    """Executes queued runs, `room` at once, each in a thread of its own.

    `lock` is held by whoever makes a run.
    """

    def __init__(self, runs: Runs, repositories: Repositories, setting: Setting) -> None:
        self.runs, self.repositories, self.setting = runs, repositories, setting
        self.lock, self.room = threading.RLock(), AT_ONCE
        self._queue: list[tuple[str, int]] = []  # the runs that wait, oldest first
        self._active: dict[int, tuple[Job, threading.Thread]] = {}
        self._closing = False

    def start(self) -> None:
        """Take up what an earlier local cloud left: fail what it was at, run what it had queued."""
        for run in self.runs.in_status("in_progress"):
            end_orphan(self.runs.folder(run))
            self.setting.revoke(run)
            self._note(run, f"The run was ended: {STOPPED}.")
            self.runs.finish(run, "failure")
        left = [run for status in WAITING for run in self.runs.in_status(status)]
        self._queue = [_key(run) for run in sorted(left, key=lambda run: int(run["place"]))]
        for run in left:
            if run.get("unapproved"):
                self.admit(run)
        self.pump()

    def _note(self, run: Run, text: str) -> None:
        log = self.runs.log(run)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"{text}\n")

    def admit(self, run: Run) -> Run:
        """Let a queued run into its concurrency group: it takes the place of those that it replaces.

        One that waits for approval ends at once, until `approve`.
        """
        if run.get("unapproved"):
            return self.runs.finish(run, UNAPPROVED)
        with self.lock:
            entered = run["concurrency"] or {}
            others = [one for one in self._waiting() if _same(one, run)]
            self._queue.append(_key(run))
            if entered.get("queue") == "max":
                full = len(others) >= PENDING
                return self.runs.finish(run, "cancelled") if full else run
            for one in others:
                self.runs.finish(one, "cancelled")
            for job, _ in self._active.values() if entered.get("cancel") else []:
                if _same(job.run, run):
                    job.stop("cancelled")
        return run

    def refuse(self, run: Run, faults: list[str]) -> Run:
        """End a new run that GitHub would not start; its log says why."""
        for fault in faults:
            self._note(run, fault)
        return self.runs.finish({**run, "faults": faults}, REFUSED)

    def again(self, run: Run, by: str) -> None:
        """The next attempt of a run that has ended, as `by` wants it. Raises GitHubError (403)."""
        if run["status"] != "completed":
            raise GitHubError(403, "This workflow run cannot be rerun because it is already running")
        if run["conclusion"] in (REFUSED, UNAPPROVED):
            raise GitHubError(403, BROKEN)
        with self.lock:
            self.admit(self.runs.queue({**run, "triggering_actor": by}))
        self.pump()

    def approve(self, run: Run) -> None:
        """Start a run that waits for approval. Raises GitHubError (403)."""
        with self.lock:
            present = self.runs.get(run["repository"], run["id"])
            if present["conclusion"] != UNAPPROVED:
                raise GitHubError(403, NOTHING_TO_APPROVE)
            first = {**present, "unapproved": False, "attempt": present["attempt"] - 1}
            self.admit(self.runs.queue(first))
        self.pump()

    def _waiting(self) -> list[Run]:
        found = [run for run in (self.runs.get(*key) for key in self._queue) if run["status"] in WAITING]
        self._queue = [_key(run) for run in found]
        return found

    def pump(self) -> None:
        """Start queued runs, oldest first: those whose groups are idle, while there is room."""
        with self.lock:
            held = {name for job, _ in self._active.values() for name in _groups(job.run)}
            for run in [] if self._closing else self._waiting():
                groups = _groups(run)
                if groups & held:
                    self._hold(run)
                elif len(self._active) < self.room:
                    self._begin(run)
                held |= groups

    def _hold(self, run: Run) -> None:
        if run["status"] != "pending":
            self.runs.save({**run, "status": "pending"})

    def _begin(self, run: Run) -> None:
        where = self.repositories.get(*run["repository"].split("/"))
        started = self.runs.save({**run, "status": "in_progress"})
        job = Job(started, where, self.runs.folder(run))
        name = f"run-{run['id']}"
        thread = threading.Thread(target=self._work, args=[job], name=name, daemon=True)
        self._active[run["id"]] = (job, thread)
        thread.start()

    def _work(self, job: Job) -> None:
        conclusion = "failure"  # where there is no folder, no log or no room on the disk
        with suppress(Exception):
            conclusion = job.work(self.setting)
        with self.lock:
            try:
                conclusion = "failure" if conclusion == STOPPED else conclusion
                self.runs.finish(job.run, conclusion, job.summary())
            finally:  # whatever became of it, it is the next one's turn
                del self._active[job.run["id"]]
                self.pump()

    def busy(self) -> bool:
        """Whether a run is at work."""
        return bool(self._active)

    def cancel(self, run: Run) -> bool:
        """End a run; False where it has ended already."""
        with self.lock:
            present = self.runs.get(run["repository"], run["id"])
            if present["status"] in WAITING:
                self.runs.finish(present, "cancelled")
            elif run["id"] in self._active:
                self._active[run["id"]][0].stop("cancelled")
            elif present["status"] == "in_progress":  # its end could not be written down
                self.runs.finish(present, "cancelled")
            else:
                return False
        self.pump()
        return True

    def close(self) -> None:
        """End what runs; what is queued waits for the next start."""
        with self.lock:
            self._closing = True
            active = [*self._active.values()]
        for job, _ in active:
            job.stop(STOPPED)
        for _, thread in active:
            thread.join(PATIENCE)


def _key(run: Run) -> tuple[str, int]:
    return str(run["repository"]), int(run["id"])


def _groups(run: Run) -> set[tuple[Any, str]]:
    """The concurrency groups that a run holds while it is at work."""
    own = [run["concurrency"]["group"].lower()] if run["concurrency"] else []
    return {(run["repository"], name) for name in [*own, *run["locks"]]}


def _same(one: Run, two: Run) -> bool:
    """Whether two runs are in the same group, as wholes."""
    names = [run["concurrency"]["group"].lower() for run in (one, two) if run["concurrency"]]
    return len(names) == 2 and names[0] == names[1] and one["repository"] == two["repository"]
