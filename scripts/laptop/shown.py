"""What a person sees of a run: one line a fact, and the end of a failed job's log."""

import sys
from typing import Any

from laptop.button import log

TAIL = 12  # lines of a failed job's log


def say(what: str, text: str) -> None:
    """One line of progress."""
    print(f"{what:<14}{text}", file=sys.stderr, flush=True)


def show_failed(run: Any, job: Any) -> None:
    """Which step of which workflow has failed, and the last lines of its job."""
    step = next((step.name for step in job.steps if step.conclusion == "failure"), "")
    say("failed", f"{run.path.rpartition('/')[2]} · {job.name} · {step}")
    for line in log(job)[-TAIL:]:
        print(f"              {line}", file=sys.stderr)
