"""The queue of workflow runs: one at a time of each workflow, in order, none dropped."""

import threading

from localcloud.github.job import Job, Setting, end_orphan
from localcloud.github.repository import Repositories
from localcloud.github.runs import Run, Runs

STOPPED = "the local cloud stopped"
PATIENCE = 10.0  # seconds that closing waits for jobs to end


class Runner:
    """Executes queued runs, each in a thread of its own."""

    def __init__(self, runs: Runs, repositories: Repositories, setting: Setting) -> None:
        self.runs, self.repositories, self.setting = runs, repositories, setting
        self._lock = threading.RLock()
        self._active: dict[tuple[str, int], tuple[Job, threading.Thread]] = {}
        self._closing = False

    def start(self) -> None:
        """Take up what an earlier local cloud left: fail what it was at, run what it had queued."""
        for run in self.runs.in_status("in_progress"):
            end_orphan(self.runs.folder(run))
            self._note(run)
            self.runs.finish(run, "failure")
        self.pump()

    def _note(self, run: Run) -> None:
        log = self.runs.log(run)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(f"The run was ended: {STOPPED}.\n")

    def pump(self) -> None:
        """Start every queued run whose workflow is idle."""
        with self._lock:
            for run in [] if self._closing else self.runs.in_status("queued"):
                if _workflow(run) not in self._active:
                    self._begin(run)

    def _begin(self, run: Run) -> None:
        where = self.repositories.get(*run["repository"].split("/"))
        started = self.runs.save({**run, "status": "in_progress"})
        job = Job(started, where, self.runs.folder(run))
        name = f"run-{run['id']}"
        thread = threading.Thread(target=self._work, args=[job], name=name, daemon=True)
        self._active[_workflow(run)] = (job, thread)
        thread.start()

    def _work(self, job: Job) -> None:
        try:
            conclusion = job.work(self.setting)
        except OSError:  # no folder, no log: still this run's failure, and the next one's turn
            conclusion = "failure"
        with self._lock:
            self.runs.finish(job.run, "failure" if conclusion == STOPPED else conclusion, job.summary())
            del self._active[_workflow(job.run)]
        self.pump()

    def cancel(self, run: Run) -> bool:
        """End a run; False where it has ended already."""
        with self._lock:
            present = self.runs.get(run["repository"], run["id"])
            job, _ = self._active.get(_workflow(run), (None, None))
            if present["status"] == "queued":
                self.runs.finish(present, "cancelled")
            elif job and job.run["id"] == run["id"]:
                job.stop("cancelled")
            else:
                return False
        return True

    def close(self) -> None:
        """End what runs; what is queued waits for the next start."""
        with self._lock:
            self._closing = True
            active = [*self._active.values()]
        for job, _ in active:
            job.stop(STOPPED)
        for _, thread in active:
            thread.join(PATIENCE)


def _workflow(run: Run) -> tuple[str, int]:
    return str(run["repository"]), int(run["workflow_id"])
