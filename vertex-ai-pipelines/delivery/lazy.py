"""Packages that import all of their modules: here each one is imported when it is asked for.

`google.cloud.aiplatform_v1` describes a hundred services; of the one that is needed, three quarters of a
second of every verb would go to the others.
"""

import sys
import threading
import types
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec

AIPLATFORM = ("google.cloud.aiplatform_v1", "google.cloud.aiplatform_v1.types")
LOCK = threading.RLock()
RUNNING = set[str]()  # packages whose own code runs just now, in the thread that holds the lock


class Package(types.ModuleType):
    """A package whose own code runs as soon as somebody asks it for more than one of its modules."""

    def __getattr__(self, name: str) -> object:
        module = f"{self.__name__}.{name}"
        if not name.startswith("__") and find_spec(module):
            return import_module(module)
        with LOCK:
            if self.__name__ in RUNNING:
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} yet")
            if type(self) is Package:  # no other thread was faster
                _execute(self)
        return getattr(self, name)


def imported(*names: str) -> None:
    """Let the packages `names`, parents first, be imported in parts; no matter if they are already.

    It holds for the whole process: only a program's start should ask for it.
    """
    for name in names:
        spec = None if name in sys.modules else _spec(name)
        if spec:
            package = module_from_spec(spec)
            package.__class__ = Package
            sys.modules[name] = package
            parent, _, own = name.rpartition(".")
            setattr(sys.modules[parent], own, package)


def ahead(*names: str) -> None:
    """Import these modules in a thread, while this one waits for something else."""

    def imports() -> None:
        with suppress(ImportError):  # who needs it says so
            for name in names:
                import_module(name)

    threading.Thread(target=imports, name="imports").start()


def _spec(name: str) -> ModuleSpec | None:
    """Where the package is; None where it is not installed: some verbs need no packages."""
    try:
        return find_spec(name)
    except ModuleNotFoundError:
        return None


def _execute(package: types.ModuleType) -> None:
    """Run the package's own code; from then on it is as any other. One that fails stays as it was."""
    spec, before = package.__spec__, dict(vars(package))
    assert spec is not None
    assert spec.loader is not None
    RUNNING.add(package.__name__)
    try:
        spec.loader.exec_module(package)
        package.__class__ = types.ModuleType
    except BaseException:
        vars(package).clear()
        vars(package).update(before)
        raise
    finally:
        RUNNING.discard(before["__name__"])
