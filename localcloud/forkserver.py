"""A warm Python that starts processes by forking itself: arguments FD LEARNED [MODULE …].

It has imported the third-party modules that earlier processes needed, so that the next need not, but
those that leave a thread behind: no fork has it. What is no plain Python program is started by exec. It
knows only the standard library, for it runs in the Python of whoever asks. Each process is a session of
its own and ends with whoever asked for it.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from localcloud.forked import LINUX, become

FDS = 16  # at most so many with one order
LEFT_OUT = "!"  # before the name of a package that is not to be preloaded
PATIENCE, PERIOD = 1.0, 0.01  # seconds: a thread that was joined is seen a little longer
FORK_SAFE = {"jemalloc_bg_thd"}  # threads whose library has handlers that see to a fork
EXIT = struct.Struct("i")


class Child:
    """A process that runs: who asked for it, and what it notes of its imports."""

    def __init__(self, asker: socket.socket, notes: BinaryIO) -> None:
        self.asker, self.notes, self.pid = asker, notes, 0

    def kill(self) -> bool:
        """End it and all that it has started; False, for it is not this process."""
        for end, number in ((os.kill, self.pid), (os.killpg, self.pid)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                end(number, signal.SIGKILL)
        return False

    def told(self) -> bool:
        """Send it the signals that its asker asks for; it is killed where nobody asks any more."""
        numbers = b""
        with contextlib.suppress(OSError):
            numbers = self.asker.recv(FDS)
        for number in numbers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, number)
        return False if numbers else self.kill()

    def close(self) -> None:
        """Let go of what belongs to it."""
        self.asker.close()
        self.notes.close()


class ForkServer:
    """Takes orders at `control`; `learned` is the file that keeps the names of modules."""

    def __init__(self, control: socket.socket, learned: Path) -> None:
        self._control, self._learned = control, learned
        self._children: dict[int, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._ended, wake = os.pipe()
        for end in (self._ended, wake):
            os.set_blocking(end, False)
        self._wake = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._libc = ctypes.CDLL(None) if LINUX else None
        self._modules, self._left_out = list[str](), list[str]()

    def serve(self) -> None:
        """Until the cloud is gone."""
        self._selector.register(self._control, selectors.EVENT_READ, self._order)
        self._selector.register(self._ended, selectors.EVENT_READ, self._reap)
        while True:
            for key, _ in self._selector.select():
                handle: Callable[[], bool] = key.data
                if handle():
                    return

    def recall(self, first: list[str]) -> None:
        """Import `first`, and what was learned."""
        known = self._learned.read_text().split() if self._learned.exists() else []
        self._learned.unlink(missing_ok=True)  # so that modules that kill this process do so once
        self._left_out = [name.removeprefix(LEFT_OUT) for name in known if name.startswith(LEFT_OUT)]
        self._preload([*first, *(name for name in known if not name.startswith(LEFT_OUT))])

    def _preload(self, names: list[str]) -> None:
        """Import modules, and keep their names; where one leaves a thread, start anew without it."""
        wanted = [name for name in names if name not in self._modules and not self._leaves_out(name)]
        for name in wanted:
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
            if left := lost():
                found = package(name)
                print(f"fork server: {found} is not preloaded: a fork lacks its {left}", file=sys.stderr)
                self._left_out.append(found)
                self._keep([*self._modules, *wanted])
                os.set_inheritable(self._control.fileno(), True)
                os.execv(sys.executable, sys.orig_argv)  # noqa: S606
        self._modules += wanted
        self._keep(self._modules)
        gc.collect()
        gc.freeze()

    def _keep(self, names: list[str]) -> None:
        part = self._learned.with_name(f"{self._learned.name}.part")
        left_out = (f"{LEFT_OUT}{name}" for name in self._left_out)
        part.write_text("\n".join([*left_out, *(n for n in names if not self._leaves_out(n))]))
        part.replace(self._learned)

    def _leaves_out(self, name: str) -> bool:
        return any(name == left or name.startswith(f"{left}.") for left in self._left_out)

    def _order(self) -> bool:
        """Start a process; True where nobody is left to ask for one."""
        data, fds, _, _ = socket.recv_fds(self._control, 1, FDS)
        if not data:
            for child in self._children.values():
                child.kill()
            return True
        asker, order, *extras = fds
        with open(order, "rb") as file:  # noqa: PTH123
            wanted = json.load(file)
        notes = tempfile.TemporaryFile()  # noqa: SIM115 closed with the child
        child = Child(socket.socket(fileno=asker), notes)
        child.pid = os.fork()
        if child.pid == 0:
            self._forget(child)
            os.setsid()
            if self._libc:
                self._libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: should this server be killed
            become(wanted, extras, notes)
        for fd in extras:
            os.close(fd)
        self._children[child.pid] = child
        self._selector.register(child.asker, selectors.EVENT_READ, child.told)
        return False

    def _reap(self) -> bool:
        """Tell the askers of processes that have ended, and learn from these."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._ended, 4096)
        for pid, child in list(self._children.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                child.kill()  # what it has left running, while its number is still its own
                _, status = os.waitpid(pid, 0)
                del self._children[pid]
                self._selector.unregister(child.asker)
                with contextlib.suppress(OSError):
                    child.asker.send(EXIT.pack(os.waitstatus_to_exitcode(status)))
                self._learn(child.notes)
                child.close()
        return False

    def _learn(self, notes: BinaryIO) -> None:
        notes.seek(0)
        names = notes.read().decode().split()
        if LINUX and names and not self._children:
            self._preload(names)

    def _forget(self, child: Child) -> None:
        """In a child: nothing of the server's stays open but the child's own notes."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in self._children.values():
            other.close()
        for own in (self._selector, self._control, child.asker):
            own.close()
        for end in (self._ended, self._wake):
            os.close(end)


def main() -> None:
    """Preload what is known, then serve."""
    del sys.path[:2]  # the way to this module, and the working folder: see forks.START
    for own in ("localcloud.forked", "localcloud.forkserver", "localcloud"):
        sys.modules.pop(own, None)  # what is preloaded comes from the asker's own path
    control, learned = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    server = ForkServer(control, learned)
    if LINUX:
        server.recall(sys.argv[3:])
    server.serve()


def package(name: str) -> str:
    """The outermost package of a module: the first that its import runs, and no mere name space."""
    outer = accumulate(name.split("."), "{}.{}".format)
    return next((one for one in outer if getattr(sys.modules.get(one), "__file__", None)), name)


def lost() -> str:
    """What a fork lacks: threads that no library ends or renews for it; "" where there are none."""
    if not threads():
        return ""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + PATIENCE
    while (found := threads()) and time.monotonic() < deadline:
        time.sleep(PERIOD)
    return f"threads: {', '.join(found)}" if found else ""


def threads() -> list[str]:
    """The names of this process's threads but the first one and those that a fork does not harm."""
    found = []
    for place in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it may have ended
            name = (place / "comm").read_text().strip()
            found += [name] if place.name != str(os.getpid()) and name not in FORK_SAFE else []
    return found
