"""A local cloud that ends, ends the run at once: its clients would go on for a minute or more."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from laptop.world import CLOUD
from localcloud.client import is_alive

PERIOD = 0.05  # seconds
LINES = 10  # of its log
MEND = "call ./scripts/run again: it starts it anew, with all that it held"


@contextmanager
def watched(pid: int) -> Iterator[None]:
    """Work that raises SystemExit, told why, as soon as the local cloud `pid` is gone."""
    done, main = threading.Event(), threading.main_thread()

    def watch() -> None:
        while not done.wait(PERIOD):
            # Again and again: where Python could not raise it, for example in a destructor, it is lost.
            if not is_alive(pid) and main.ident:
                signal.pthread_kill(main.ident, signal.SIGUSR1)
                done.wait(1)

    before = signal.signal(signal.SIGUSR1, _end)
    threading.Thread(target=watch, name="watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN if before is None else before)


def _end(_number: int, _frame: FrameType | None) -> None:
    print(f"error: {reason()}\n  mend: {MEND}", file=sys.stderr)
    raise SystemExit(1)  # no client library catches it, to try again


def reason() -> str:
    """Why the local cloud is gone."""
    if not (CLOUD / "state.json").exists():  # it takes that with it where its end is asked for
        return "the local cloud was stopped"
    log = CLOUD / "server.log"
    tail = log.read_text().splitlines()[-LINES:] if log.exists() else []
    return "\n".join(["the local cloud has ended" + ("; its log ends with:" if tail else ""), *tail])
