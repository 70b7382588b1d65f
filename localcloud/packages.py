"""What the base of a files-only image would hold, as a Python environment of links to what is here.

An image without a base says in its labels what to find below it; see `Base`.
"""

import csv
import hashlib
import re
import shutil
import sys
import threading
import venv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import Distribution, distributions
from itertools import accumulate
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

LABEL = "python.requirements"
NO_MODULE = re.compile(r"No module named '([\w.]+)'")
NO_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)' \(unknown location\)")


class PackagesError(Exception):
    """The packages that an image names are not installed on this machine."""


@dataclass(frozen=True)
class Base:
    """Labels of an image: `python.requirements`, pinned, one a line; `….group`, their name for people;
    `….mend`, how one more gets in; `….install`, what installs those that are missing here."""

    requirements: tuple[str, ...]
    group: str
    mend: str
    install: str = ""

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> "Base | None":
        """What the labels say; None where they say nothing: then all that is installed is there."""
        if LABEL not in labels:
            return None
        lines = tuple(sorted(labels[LABEL].splitlines()))
        return cls(lines, *(labels.get(f"{LABEL}.{name}", "") for name in ("group", "mend", "install")))

    def facts(self) -> dict[str, Any]:
        """For JSON; `Base(**facts)` is its inverse."""
        return asdict(self)

    def holds(self, distribution: str) -> bool:
        """Whether the base has this distribution."""
        return canonicalize_name(distribution) in self._wanted()

    def _wanted(self) -> dict[NormalizedName, Requirement]:
        """By name, those whose markers are true of this Python."""
        found = [Requirement(line) for line in self.requirements]
        return {canonicalize_name(r.name): r for r in found if not r.marker or r.marker.evaluate()}

    def distributions(self, more: Path) -> dict[NormalizedName, Distribution]:
        """The installed distributions by name: this Python's first, then those in `more`.

        Raises PackagesError where one is another or none.
        """
        wanted = self._wanted()
        here = [d for d in _installed(more) if canonicalize_name(d.name) in wanted]
        found = {name: _fitting(requirement, here) for name, requirement in wanted.items()}
        for name, requirement in wanted.items():
            if found[name] is None:
                versions = [d.version for d in here if canonicalize_name(d.name) == name]
                raise PackagesError(
                    f"the image holds {requirement.name}{requirement.specifier},"
                    f" this machine has {versions[0] if versions else 'none'}"
                    f"\n  mend: {self.install or 'install the locked packages here again'}"
                )
        return {name: chosen for name, chosen in found.items() if chosen}


def _installed(more: Path) -> Iterator[Distribution]:
    """The distributions of this Python, then those in `more`, as `pip --target` fills."""
    yield from distributions()
    for folder in sorted(more.glob("*/*/")):
        yield from distributions(path=[str(folder)])


def _fitting(requirement: Requirement, here: list[Distribution]) -> Distribution | None:
    """The first of the distributions that the requirement is true of."""
    named = (d for d in here if canonicalize_name(d.name) == canonicalize_name(requirement.name))
    fits = (d for d in named if requirement.specifier.contains(d.version, prereleases=True))
    return next(fits, None)


class Environments:
    """Below `folder`, one environment for each set of packages, made once; `more` has further ones."""

    def __init__(self, folder: Path, more: Path) -> None:
        self._folder, self._more, self._making = folder, more, threading.Lock()

    def python(self, base: Base) -> Path:
        """The interpreter that imports what `base` holds and nothing else. Raises PackagesError."""
        named = "\n".join((sys.version, sys.prefix, *base.requirements))
        root = self._folder / hashlib.sha256(named.encode()).hexdigest()[:16]
        with self._making:
            if not _is_whole(root):
                shutil.rmtree(root, ignore_errors=True)
                self._make(base.distributions(self._more), root)
        return root / "bin" / "python"

    def _make(self, chosen: Mapping[NormalizedName, Distribution], root: Path) -> None:
        part = root.with_name(f"{root.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        venv.EnvBuilder(symlinks=True).create(part)
        site = next(part.glob("lib/python*/site-packages"))
        for place, source in _links(chosen).items():
            (site / place).parent.mkdir(parents=True, exist_ok=True)
            (site / place).symlink_to(source)
        part.rename(root)


def _is_whole(root: Path) -> bool:
    """Whether it is there, and nothing that it links to was since replaced."""
    links = list(root.glob("lib/python*/site-packages/*.dist-info"))
    return root.exists() and all(link.exists() for link in links)


def _links(chosen: Mapping[NormalizedName, Distribution]) -> dict[str, Path]:
    """Where in the environment → what is there: whole packages where no other has a part."""
    others = [d for d in distributions() if canonicalize_name(d.name) not in chosen]
    shared = {folder for d in others for path in _files(d) for folder in _folders(path)}
    packages = {
        folder
        for d in chosen.values()
        for folder, _, name in (path.rpartition("/") for path in _files(d))
        if name == "__init__.py" or folder.endswith(".dist-info")
    }
    whole, links = packages - shared, dict[str, Path]()
    for distribution in chosen.values():
        for path in _files(distribution):
            place = next((folder for folder in _folders(path) if folder in whole), path)
            if place not in links:
                links[place] = Path(str(distribution.locate_file(place)))
    return links


def _files(distribution: Distribution) -> list[str]:
    """What a distribution has in its site-packages; its programs lie outside."""
    record = (distribution.read_text("RECORD") or "").splitlines()
    return [row[0] for row in csv.reader(record) if row and not row[0].startswith(("../", "/"))]


def _folders(path: str) -> Iterator[str]:
    """The folders that a path is in, outermost first."""
    return accumulate(path.split("/")[:-1], "{}/{}".format)


def explain(words: str, base: Base, code: list[Path]) -> str:
    """Why a step's last import failed, where the base lacks a package that it needs; otherwise "".

    `code` are the folders of the image's own modules.
    """
    modules = _missing(words)
    if not modules or any((folder / modules[-1].split(".")[0]).exists() for folder in code):
        return ""
    module = modules[-1]
    owners = _owners(module)
    if any(base.holds(owner) for owner in owners or _owners(module.split(".")[0])):
        return ""
    owner = owners[0] if owners else module
    name = f"'{owner}'" if owner in (module, module.split(".")[0]) else f"'{owner}' ({module})"
    group = f"its dependency group '{base.group}'" if base.group else "its base"
    mend = f"\n  mend: {base.mend}" if base.mend else ""
    return f"error: {name} is not in this image: {group} does not hold it{mend}\n"


def _missing(words: str) -> list[str]:
    found = [(m.start(), m[1]) for m in NO_MODULE.finditer(words)]
    found += [(m.start(), f"{m[2]}.{m[1]}") for m in NO_NAME.finditer(words)]
    return [module for _, module in sorted(found)]


def _owners(module: str) -> list[str]:
    """The distributions of this machine that have the module."""
    stem = module.replace(".", "/")
    return [
        d.name
        for d in distributions()
        if any(path.startswith((f"{stem}/", f"{stem}.")) for path in _files(d))
    ]
