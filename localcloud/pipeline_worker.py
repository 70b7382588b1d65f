"""Runs one pipeline job with kfp's own local orchestrator, one process a step, in the image's folder.

Writes events.jsonl and logs/TASK.log to the job's folder.
"""

import socket
import sys
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
    # Without a workspace of its own, kfp makes one in /tmp, and leaves it there.
    own = {"pipeline_root": job.output_root, "workspace_root": str(job.folder / "workspace")}
    local.init(runner, **own, raise_on_error=True)
    try:
        pipeline_orchestrator.run_local_pipeline(job.spec, job.arguments)
    except Exception as error:
        job.tell("job", state="FAILED", error=str(error))
        return 1
    job.tell("job", state="SUCCEEDED", error="")
    return 0


def main() -> None:
    """Run the job in the folder that is named; the sockets that its steps are asked for at follow."""
    folder, *sockets = sys.argv[1:]
    sys.exit(run(Job(Path(folder), [socket.socket(fileno=int(number)) for number in sockets])))
