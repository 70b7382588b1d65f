"""Processes that a fork server starts: asked for over a socket, ended by closing it."""

import contextlib
import json
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = str(Path(__file__).parents[1])
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from localcloud.forkserver import main; main()"
EXIT = struct.Struct("i")
LOST = -9  # the exit code of a process whose server was killed


@dataclass(frozen=True)
class Order:
    """A program, where and with which whole environment it runs, and the file for what it says.

    `fresh`: a new interpreter, because modules may read what differs in its environment.
    """

    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    log: str
    fresh: bool = False


class Process:
    """A process that was asked for."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._code: int | None = None

    @property
    def ended(self) -> bool:
        """Whether its end was waited for."""
        return self._code is not None

    def wait(self) -> int:
        """Its exit code, when it has ended; minus the signal's number where one has ended it."""
        with self._lock:
            if self._code is None:
                told = self._connection.recv(EXIT.size, socket.MSG_WAITALL)
                self._code = EXIT.unpack(told)[0] if len(told) == EXIT.size else LOST
                self._connection.close()
            return self._code

    def signal(self, number: int) -> None:
        """Send it a signal; what it started gets none."""
        with contextlib.suppress(OSError):  # it may have ended
            self._connection.send(bytes([number]))

    def kill(self) -> int:
        """End it and all that it started; returns its exit code."""
        with contextlib.suppress(OSError):  # it may have ended
            self._connection.shutdown(socket.SHUT_WR)
        return self.wait()


def start(control: socket.socket, order: Order, keep: Sequence[int] = ()) -> Process:
    """Ask the server at `control`. The process gets the descriptors `keep`, their numbers as last words.

    Raises OSError where the server is gone.
    """
    ours, theirs = socket.socketpair()
    with theirs, tempfile.TemporaryFile("w+") as file:
        json.dump(asdict(order), file)
        file.seek(0)
        try:
            socket.send_fds(control, [b"!"], [theirs.fileno(), file.fileno(), *keep])
        except OSError:
            ours.close()
            raise
    return Process(ours)


class Server:
    """A running fork server; it and its processes end with this one, however that ends."""

    def __init__(
        self, python: str, env: Mapping[str, str], learned: Path, modules: Sequence[str] = ()
    ) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [python, "-c", START, HERE, str(theirs.fileno()), str(learned), *modules],
                env=dict(env),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def runs(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it with all its processes."""
        self.control.close()
        self._process.wait()
