"""Refuse a wrong command line before the set-up: `early.py VERB ARGUMENT …`, by a Python on the PATH.

It is the verb's own parser that does. The packages that its module imports are not there yet: stand-ins
are, of which classes, defaults and annotations can be made. What takes more than that is seen later.
"""

import re
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATHS = [ROOT / "vertex-ai-pipelines", ROOT / "scripts", ROOT]
STARTS = re.compile(r'^exec "\$python" -m (?:laptop\.inside )?([\w.]+) "\$@"$', re.M)


class Kind(type):
    """The class of whatever a package has; it is a metaclass, as msgspec's own is."""

    is_done = False  # importing

    def __new__(cls, name: str, bases: Any, fields: Any, **_: Any) -> Any:
        return super().__new__(cls, name, bases, fields)

    def __init__(cls, name: str, bases: Any, fields: Any, **_: Any) -> None:
        super().__init__(name, bases, fields)

    def __call__(cls, *_: Any, **__: Any) -> Any:
        if Kind.is_done:
            raise ModuleNotFoundError("no package is installed yet")
        kind: Any = cls
        return kind.__new__(kind)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Thing

    def __getitem__(cls, _: Any) -> Any:
        return cls


class Thing(Exception, metaclass=Kind):  # noqa: N818
    """Anything of a package, errors among them."""


class Missing(ModuleType):
    """A package, or a module of one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Kind if name == "StructMeta" else Thing


class StandIns(MetaPathFinder, Loader):
    """Finds what nothing else does."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec:
        """A package of that name."""
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Nothing is in it."""
        return Missing(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run."""


def module_of(verb: str) -> str:
    """The module with a verb's `parser`, as its script starts it; nothing where that has another one."""
    found = STARTS.search((ROOT / "scripts" / verb).read_text())
    if not found:
        return ""
    name = found[1]
    return f"{name}.__main__" if any((path / name).is_dir() for path in PATHS) else name


def main(verb: str, *arguments: str) -> int:
    """2 where the command line is wrong, which is said then."""
    name = module_of(verb)
    if not name:
        return 0
    sys.path[:0] = map(str, PATHS)
    sys.meta_path.append(StandIns())
    from flows.errors import RetrainError

    try:
        parser = import_module(name).parser()
        Kind.is_done = True
        parser.parse_args(arguments)
    except RetrainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception:
        return 0  # a stand-in was not enough
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
