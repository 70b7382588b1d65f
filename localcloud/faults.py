"""Breaking on purpose: the Nth call of a method fails, hangs, loses its answer, is done twice, or kills.

Faults live in this process alone: whatever ends the local cloud ends them, too.
"""

import difflib
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from localcloud.errors import CODES, ApiError
from localcloud.processes import holders

T = TypeVar("T")
ACTIONS = ("hang", "lose-reply", "twice", "kill:caller", "kill:cloud")
BY_STATUS = {status: code for code, (_, status) in reversed(CODES.items())}
# What stands beside the code in the services' own errors, which some clients decide by.
GOOGLE = {
    "PERMISSION_DENIED": "forbidden",
    "NOT_FOUND": "notFound",
    "RESOURCE_EXHAUSTED": "rateLimitExceeded",
    "INTERNAL": "backendError",
    "UNAVAILABLE": "backendError",
}
AWS = {
    "NOT_FOUND": "NoSuchKey",
    "RESOURCE_EXHAUSTED": "SlowDown",
    "INTERNAL": "InternalError",
    "UNAVAILABLE": "ServiceUnavailable",
}


class NoAnswerError(Exception):
    """The caller gets no answer; `is_broken`: and its connection is to be broken off."""

    def __init__(self, is_broken: bool) -> None:
        super().__init__("no answer")
        self.is_broken = is_broken


@dataclass
class Fault:
    """What happens to the `nth` call of `method` by `caller` from now on; the last two are patterns.

    `hit` is the caller whom it met; "" until then.
    """

    number: int
    method: str
    action: str
    nth: int = 1
    caller: str = "*"
    seen: int = 0
    hit: str = ""

    def takes(self, method: str, caller: str) -> bool:
        """Whether this very call is the one."""
        if self.hit or not (fnmatchcase(method, self.method) and fnmatchcase(caller, self.caller)):
            return False
        self.seen += 1
        if self.seen == self.nth:
            self.hit = caller or "-"
        return bool(self.hit)


class Faults:
    """The faults of one local cloud, those that have happened among them."""

    def __init__(self, known: Callable[[], list[str]]) -> None:
        self._known = known
        self._lock, self._all = threading.Lock(), list[Fault]()

    def add(self, method: str, action: str, nth: int = 1, caller: str = "*") -> Fault:
        """Arm a fault. Raises INVALID_ARGUMENT for a method or an action that there is not."""
        _check_action(action)
        if nth < 1:
            raise ApiError("INVALID_ARGUMENT", f"nth counts calls from 1 on; it is {nth}")
        self._check_method(method)
        with self._lock:
            fault = Fault(len(self._all) + 1, method, action, nth, caller)
            self._all.append(fault)
        return fault

    def list(self) -> list[dict[str, Any]]:
        """All faults since the last `clear`."""
        with self._lock:
            return [asdict(fault) for fault in self._all]

    def armed(self) -> int:
        """How many wait for their call."""
        return sum(not fault["hit"] for fault in self.list())

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._all.clear()

    def take(self, method: str, caller: str) -> Fault | None:
        """The fault that this call meets, one at most."""
        with self._lock:
            return next((fault for fault in self._all if fault.takes(method, caller)), None)

    def _check_method(self, method: str) -> None:
        known = self._known()
        if any(fnmatchcase(name, method) for name in known):
            return
        near = difflib.get_close_matches(method, known, 3, 0.4)
        mend = f"did you mean {' or '.join(near)}?" if near else "calls.log has the names of all calls"
        raise ApiError("INVALID_ARGUMENT", f"no call is named '{method}'\n  mend: {mend}")


def _check_action(action: str) -> None:
    if action == "kill:caller" and not sys.platform.startswith("linux"):
        raise ApiError("INVALID_ARGUMENT", "kill:caller finds the calling process by /proc: Linux only")
    if action in ACTIONS or (action.startswith("error:") and _code(action)):
        return
    codes = ", ".join(CODES)
    raise ApiError(
        "INVALID_ARGUMENT",
        f"'{action}' is not a fault\n  mend: {', '.join(ACTIONS)}, or error:CODE with an HTTP status"
        f" of 400 or more, or one of {codes}",
    )


def _code(action: str) -> tuple[str, int | None] | None:
    """The google.rpc code of error:CODE and, where it was given as a number, its HTTP status."""
    text = action.partition(":")[2]
    if text in CODES:
        return text, None
    if not (text.isdigit() and 400 <= int(text) < 600):
        return None
    usual = "UNAVAILABLE" if int(text) >= 500 else "INVALID_ARGUMENT"
    return BY_STATUS.get(int(text), usual), int(text)


def perform(fault: Fault | None, host: str, client: tuple[int, int], work: Callable[[], T]) -> T:
    """What `work` gives, as `fault` lets it come out; `client` is the connection's two ports.

    Raises NoAnswerError, or the ApiError that was asked for. kill:caller serves the call that is
    here already; kill:cloud ends this process when the work is done.
    """
    action = fault.action if fault else ""
    if fault and (code := _code(action)):
        reasons = AWS if host.endswith(".amazonaws.com") else GOOGLE
        words = f"{fault.method} fails on purpose (localcloud fault {fault.number})"
        raise ApiError(code[0], words, code[1], reasons.get(code[0], ""))
    if action == "hang":
        raise NoAnswerError(is_broken=False)
    if action == "kill:caller":
        for process in holders(*client):
            os.kill(process, signal.SIGKILL)
    if action in ("kill:cloud", "lose-reply", "twice"):
        with suppress(Exception):  # a refusal is an answer, too
            work()
    if action == "kill:cloud":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "lose-reply":
        raise NoAnswerError(is_broken=True)
    return work()
