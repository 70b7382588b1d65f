"""Packages that import all of their modules: here each one is imported when it is asked for.

`google.cloud.aiplatform_v1` describes a hundred services; of the one that is needed, three quarters of a
second of every verb would go to the others.
"""

import sys
import types
from importlib import import_module
from importlib.util import find_spec, module_from_spec

AIPLATFORM = ("google.cloud.aiplatform_v1", "google.cloud.aiplatform_v1.types")


class Package(types.ModuleType):
    """A package whose own code runs as soon as somebody asks it for more than one of its modules."""

    def __getattr__(self, name: str) -> object:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = f"{self.__name__}.{name}"
        if find_spec(module):
            return import_module(module)
        self.__class__ = types.ModuleType  # type: ignore[assignment] # from here on it is as any other
        spec.loader.exec_module(self)
        return getattr(self, name)


def imported(*names: str) -> None:
    """Let the packages `names`, parents first, be imported in parts; no matter if they are already."""
    for name in names:
        spec = None if name in sys.modules else find_spec(name)
        if spec:
            package = module_from_spec(spec)
            package.__class__ = Package
            sys.modules[name] = package
            parent, _, own = name.rpartition(".")
            setattr(sys.modules[parent], own, package)
