"""A warm Python that starts processes by forking itself: `python forkserver.py FD LEARNED [MODULE …]`.

It has imported the third-party modules that earlier processes needed, so that the next need not. What
is no plain Python program is started by exec. It knows only the standard library, for it runs in the
Python of whoever asks. Each process is a session of its own and ends with whoever asked for it.
"""

import atexit
import builtins
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import site
import socket
import struct
import sys
import sysconfig
import tempfile
import threading
import traceback
import types
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

LINUX = sys.platform == "linux"  # elsewhere forking without exec is not safe
FDS = 16  # at most so many with one order
UNDERSTOOD = {"PYTHONPATH", "PYTHONUNBUFFERED"}  # others change how an interpreter starts
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
            os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606

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
            self._become(wanted, extras, notes)
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

    def _become(self, wanted: dict[str, Any], extras: list[int], notes: BinaryIO) -> None:
        os.setsid()
        if self._libc:
            self._libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: should this server be killed
        _redirect(wanted["log"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        argv = [*wanted["argv"], *map(str, extras)]
        try:
            os.chdir(wanted["cwd"])
            if not LINUX or wanted["fresh"] or not _is_plain(argv, wanted["env"]):
                _execute(argv, extras)
        except OSError as error:
            print(f"error: the command cannot be started: {error}", file=sys.stderr)
            os._exit(127)
        known = len(sys.modules)
        code = _run(argv[1:])
        own = list(islice(reversed(sys.modules), max(len(sys.modules) - known, 0)))
        _note(own, notes)
        _end(own, code)


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for fd, place in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(fd, place)
    os.close(nothing)
    os.close(said)


def _is_plain(argv: list[str], env: dict[str, str]) -> bool:
    """Whether a fork of this interpreter is what `argv` would start."""
    own = argv[0] == sys.executable and len(argv) > 1
    understood = all(name in UNDERSTOOD for name in env if name.startswith("PYTHON"))
    return own and understood and (argv[1] in ("-m", "-c") or not argv[1].startswith("-"))


def _execute(argv: list[str], extras: list[int]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, other programs do not
    for fd in extras:
        os.set_inheritable(fd, True)
    os.execvpe(argv[0], argv, dict(os.environ))  # noqa: S606


def _run(words: list[str]) -> int:
    """`python WORDS…`, in this process, as if it had just started; returns the exit code."""
    _freshen()
    main = types.ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __spec__=None)
    sys.modules["__main__"] = main
    kind, *rest = words
    first = {"-m": str(Path.cwd()), "-c": ""}.get(kind, str(Path(kind).resolve().parent))
    added = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.argv, sys.path[:0] = [kind, *rest[kind in ("-m", "-c") :]], [first, *added]
    _uncover([first, *added])
    try:
        if kind == "-m":
            runpy._run_module_as_main(rest[0])  # type: ignore[attr-defined]
        elif kind == "-c":
            exec(compile(rest[0], "<string>", "exec"), vars(main))  # noqa: S102 it is what -c does
        else:
            vars(main).update(__file__=str(Path.cwd() / kind))
            exec(SourceFileLoader("__main__", kind).get_code("__main__"), vars(main))  # type: ignore[arg-type]  # noqa: S102
    except SystemExit as end:
        return _exit_code(end.code)
    except BaseException as error:
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0


def _exit_code(code: object) -> int:
    if code is None or isinstance(code, int):
        return int(code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _end(own: list[str], code: int) -> None:
    """End as an interpreter does, but leave alone what was there before: that would copy its memory."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    vars(sys.modules["__main__"]).clear()
    for name in own:
        del sys.modules[name]
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _uncover(folders: list[str]) -> None:
    """Forget preloaded modules where the program has its own of that name: its folders come first."""
    there = [Path(folder) for folder in folders if folder and Path(folder).is_dir()]
    found = (path for folder in there for path in folder.iterdir())
    own = {path.name.partition(".")[0] for path in found} - set(sys.builtin_module_names)
    own &= sys.modules.keys()
    for name in list(sys.modules) if own else ():
        if name.partition(".")[0] in own:
            del sys.modules[name]


def _freshen() -> None:
    """What a new interpreter would not share with another one."""
    tempfile.tempdir = None
    generators: Any = sys.modules.get("numpy.random")
    if generators is not None and hasattr(generators, "seed"):
        generators.seed()  # the standard library's seeds itself after a fork, this one does not
    if os.environ.get("PYTHONUNBUFFERED"):
        raw = io.FileIO(1, "w", closefd=False)
        sys.stdout = io.TextIOWrapper(raw, "utf-8", write_through=True)


def _note(own: list[str], notes: BinaryIO) -> None:
    """The names of the modules that were imported, but not of the image's own."""
    roots = (sysconfig.get_path("stdlib"), *site.getsitepackages())
    for name in reversed(own):
        module = sys.modules[name]
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        if getattr(module, "__name__", "") == name and origin.startswith(roots):
            notes.write(f"{name}\n".encode())
    notes.flush()


def main() -> None:
    """Preload what is known, then serve."""
    sys.path.pop(0)  # this file's folder
    control, learned = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    server = ForkServer(control, learned)
    names = learned.read_text().split() if learned.exists() else []
    server.learns = LINUX and names != [UNSAFE]
    if server.learns:
        learned.unlink(missing_ok=True)  # so that modules that kill this process do so once
        server.preload([*sys.argv[3:], *names])
        learned.write_text("\n".join(names))
    server.serve()


if __name__ == "__main__":
    try:
        main()
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
