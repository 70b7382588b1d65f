"""A warm Python that starts processes by forking itself: arguments FD LEARNED [MODULE …].

It has imported the third-party modules that earlier processes needed, so that the next need not. What
is no plain Python program is started by exec. It knows only the standard library, for it runs in the
Python of whoever asks. Each process is a session of its own and ends with whoever asked for it.
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
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from localcloud.forked import LINUX, become

FDS = 16  # at most so many with one order
UNSAFE = "unsafe"
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
        self._modules = list[str]()
        self.learns = LINUX

    def serve(self) -> None:
        """Until the cloud is gone."""
        self._selector.register(self._control, selectors.EVENT_READ, self._order)
        self._selector.register(self._ended, selectors.EVENT_READ, self._reap)
        while True:
            for key, _ in self._selector.select():
                handle: Callable[[], bool] = key.data
                if handle():
                    return

    def preload(self, names: list[str]) -> None:
        """Import modules; where that leaves threads behind, start anew without any."""
        for name in names:
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
        self._modules += names
        gc.collect()
        gc.freeze()
        if not self._is_single():
            self._learned.write_text(UNSAFE)
            os.set_inheritable(self._control.fileno(), True)
            os.execv(sys.executable, sys.orig_argv)  # noqa: S606

    def _is_single(self) -> bool:
        """Whether a fork is whole: no thread is left but those whose library ends or renews them."""
        if not LINUX:
            return True
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
        return {(task / "comm").read_text().strip() for task in tasks} <= FORK_SAFE

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
        self._selector.register(child.asker, selectors.EVENT_READ, child.kill)
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
        names = [name for name in notes.read().decode().split() if name not in self._modules]
        if self.learns and names and not self._children:
            self.preload(names)
            part = self._learned.with_name(f"{self._learned.name}.part")
            part.write_text("\n".join(self._modules))
            part.replace(self._learned)

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
    names = learned.read_text().split() if learned.exists() else []
    server.learns = LINUX and names != [UNSAFE]
    if server.learns:
        learned.unlink(missing_ok=True)  # so that modules that kill this process do so once
        server.preload([*sys.argv[3:], *names])
        learned.write_text("\n".join(names))
    server.serve()
