"""Folders that all workers of one test session share: the first one that needs it makes it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from localcloud.client import is_alive

PREFIX = "retrain-tests-"  # then the process, and a name
VARIABLE = "RETRAIN_TESTS_SHARED"  # workers inherit it


def begin() -> None:
    """In the process that starts the workers, or is the only one."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
        if not is_alive(int(left.name.removeprefix(PREFIX).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)  # its session was killed
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")


def end() -> None:
    """Remove them all, where `begin` was called."""
    shutil.rmtree(os.environ.pop(VARIABLE))


def made(name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, filled by `make`; one that fails is tried again by the next who asks."""
    root = Path(os.environ[VARIABLE])
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder
