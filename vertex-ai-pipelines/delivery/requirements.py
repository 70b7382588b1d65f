"""requirements/GROUP.txt: the packages of an image's group that poetry cannot lock, with their hashes.

pip's own format, as ./scripts/lock makes it: one `NAME==VERSION ; MARKER` with its hashes a package, and
the index that has them besides pip's own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flows.errors import InputError

FOLDER = Path("vertex-ai-pipelines/requirements")
# A name as it is compared, and behind a marker no options of pip's.
PIN = re.compile(
    r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[^\s;=*]+)(?:\s*;\s*(?P<marker>(?:(?!\s-).)+))?"
)
HASH = re.compile(r"\s+--hash=(sha256:[0-9a-f]{64})(?=\s|$)")
INDEX = re.compile(r"--extra-index-url[ =](\S+)")


@dataclass(frozen=True)
class Package:
    """One version of a package where its `marker` is true ("": everywhere), and its files' hashes."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """As pip writes it, without hashes."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")

    @property
    def line(self) -> str:
        """As pip reads it, with hashes."""
        return " ".join((self.requirement, *(f"--hash={one}" for one in self.hashes)))


def groups(root: Path) -> list[str]:
    """The groups that have such a file."""
    return sorted(path.stem for path in (root / FOLDER).glob("*.txt"))


def load(root: Path, group: str) -> list[Package]:
    """The group's packages, none where it has no file.

    Raises InputError for a line that does not say which version, or which files.
    """
    return [_package(line, group) for line in _lines(root, group) if not line.startswith("--")]


def indexes(root: Path, group: str) -> list[str]:
    """Where pip finds what its own index does not have: versions such as 2.13.0+cpu.

    Raises InputError for any other option of pip's.
    """
    found = list[str]()
    for line in _lines(root, group):
        if line.startswith("--"):
            if not (named := INDEX.fullmatch(line)):
                raise InputError(f"{name(group)}: '{line}' is not --extra-index-url URL")
            found.append(named[1])
    return found


def name(group: str) -> str:
    """The group's file, relative to the tree."""
    return str(FOLDER / f"{group}.txt")


def _lines(root: Path, group: str) -> Iterator[str]:
    """Without comments, and one a package."""
    try:
        text = (root / name(group)).read_text()
    except FileNotFoundError:
        return
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    whole = kept.replace("\\\n", " ").splitlines()
    yield from (" ".join(line.split()) for line in whole if line.strip())


def _package(line: str, group: str) -> Package:
    hashes = tuple(HASH.findall(line))
    found = PIN.fullmatch(HASH.sub("", line).strip())
    if not found or not hashes:
        what = f"{name(group)}: '{line[:60]}' is not NAME==VERSION with --hash=sha256:…"
        raise InputError(what, f"run: ./scripts/lock {group}")
    return Package(found["name"], found["version"], (found["marker"] or "").strip(), hashes)
