"""What a step finds in its image: files, settings, and the Python that has its packages."""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from localcloud.packages import Base, Environments, PackagesError
from localcloud.registry import Registry


@dataclass(frozen=True)
class Image:
    """`root` is "" for an image that is not in the registry; `refused` says why no step can run."""

    root: str = ""
    workdir: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable
    base: Base | None = None
    refused: str = ""

    @classmethod
    def find(cls, reference: str, registry: Registry, environments: Environments) -> "Image":
        """The image that a component names."""
        found = registry.folder(reference)
        if found is None:
            return cls()
        root, config = str(found[0]), found[1]
        base = Base.of(config.get("Labels") or {})
        own = cls(root, config.get("WorkingDir", ""), _variables(root, config.get("Env") or []))
        if base is None:
            return own
        try:
            python = str(environments.python(base))
        except PackagesError as error:
            return cls(own.root, own.workdir, own.variables, base=base, refused=str(error))
        return cls(own.root, own.workdir, own.variables, python, base)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Image":
        """The inverse of `facts`."""
        base = facts["base"]
        return cls(**{**facts, "base": Base(**base) if base else None})

    def environment(self) -> dict[str, str]:
        """The image's own variables; only programs of its Python and of the system are found."""
        path = f"{Path(self.python).parent}:/usr/local/bin:/usr/bin:/bin"
        return {"PATH": path, "LANG": "C.UTF-8", **self.variables}

    def code(self) -> list[Path]:
        """The folders of its own modules."""
        own = self.variables.get("PYTHONPATH", "").split(os.pathsep)
        return [Path(part) for part in (self.root + self.workdir, *own) if part]


def _variables(root: str, pairs: list[str]) -> dict[str, str]:
    named = dict(pair.split("=", 1) for pair in pairs)
    return {key: _below(root, value) for key, value in named.items() if key != "PATH"}


def _below(root: str, value: str) -> str:
    """A variable of the image: the paths in it that are the image's own, as they lie here."""
    parts = value.split(":")
    return ":".join(root + p if p.startswith("/") and Path(root + p).exists() else p for p in parts)
