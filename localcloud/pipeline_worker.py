"""Runs one pipeline job with kfp's own local orchestrator, one process a step, in the image's folder.

Reads the job's folder from standard input; writes events.jsonl and logs/TASK.log there.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from kfp import local
from kfp.local import cache, pipeline_orchestrator, subprocess_task_handler

from localcloud.pipeline_cache import Cache
from localcloud.pipeline_job import Job
from localcloud.pipeline_mends import mend
from localcloud.pipeline_step import Step
from localcloud.pipeline_tasks import tell_of_tasks


def run(job: Job) -> int:
    """Run the job to its end; returns the process's exit code."""
    Step.job = job
    subprocess_task_handler.SubprocessTaskHandler = Step
    kept = Cache(job)
    cache.get_local_cache = lambda: kept
    mend(job)
    tell_of_tasks(job)
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=job.output_root, raise_on_error=True)
    try:
        pipeline_orchestrator.run_local_pipeline(job.spec, job.arguments)
    except Exception as error:
        job.tell("job", state="FAILED", error=str(error))
        return 1
    job.tell("job", state="SUCCEEDED", error="")
    return 0


def end_with_cloud() -> None:
    """A job does not outlive its cloud, however that ended: kill this process and its steps."""
    while os.read(0, 1):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Wait for the folder of a job, then run it."""
    folder = sys.stdin.readline().strip()
    if not folder:
        return 0
    threading.Thread(target=end_with_cloud, daemon=True).start()
    os.chdir(folder)
    return run(Job(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
