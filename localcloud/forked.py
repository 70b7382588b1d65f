"""What a fork of a warm Python does to be the process that was asked for; the standard library alone."""

import atexit
import builtins
import contextlib
import gc
import io
import os
import runpy
import signal
import site
import sys
import sysconfig
import tempfile
import threading
import types
from importlib.machinery import SourceFileLoader
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

LINUX = sys.platform == "linux"  # elsewhere forking without exec is not safe
UNDERSTOOD = {"PYTHONPATH", "PYTHONUNBUFFERED"}  # others change how an interpreter starts


def become(wanted: dict[str, Any], extras: list[int], notes: BinaryIO) -> NoReturn:
    """Be the process that was asked for, and end as it does; the modules it imported go to `notes`."""
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
        sys.stderr.flush()
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


def _execute(argv: list[str], extras: list[int]) -> NoReturn:
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


def _end(own: list[str], code: int) -> NoReturn:
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
