"""What a person sees of a run: one line a fact, and the end of a failed job's log."""

from contextvars import ContextVar
from typing import Any

from delivery.follow import Screen
from laptop.button import log

TAIL = 12  # lines of a failed job's log
MARK = ContextVar("MARK", default="")  # how a line begins: whose it is, where several flows are at work


class Shared(Screen):
    """Standard error, as all flows that are at work share it."""

    def __init__(self) -> None:
        self._running = dict[str, str]()

    def say(self, text: str) -> None:
        """A line that stays; it says whose it is."""
        super().say(f"{MARK.get()}{text}")

    def show(self, text: str) -> None:
        """What runs of all flows, where that of the present one is `text`."""
        self._running[MARK.get().strip()] = " ".join(text.split())
        named = [f"{flow} {text}".strip() for flow, text in self._running.items() if text]
        super().show(" · ".join(named))


SCREEN = Shared()


def say(what: str, text: str) -> None:
    """One line of progress."""
    SCREEN.say(f"{what:<14}{text}")


def detail(what: str, text: str) -> None:
    """One line of progress that would be too much where several flows are at work."""
    if not MARK.get():
        say(what, text)


def show_failed(run: Any, job: Any) -> None:
    """Which step of which workflow has failed, and the last lines of its job."""
    step = next((step.name for step in job.steps if step.conclusion == "failure"), "")
    say("failed", f"{run.path.rpartition('/')[2]} · {job.name} · {step}")
    for line in log(job)[-TAIL:]:
        say("", line)
