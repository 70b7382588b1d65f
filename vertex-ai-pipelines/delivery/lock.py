"""poetry.lock: the packages of an image's dependency groups, and whether it fits pyproject.toml."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from flows.errors import InputError

LOCK, PROJECT = "poetry.lock", "pyproject.toml"
BASE, MAIN = "base", "main"
RELEVANT = ("requires-python", "dependencies", "optional-dependencies")  # of [project], for poetry
RELEVANT_TO_POETRY = ("dependencies", "source", "extras", "dev-dependencies", "group")


def groups_of(image: str) -> list[str]:
    """The dependency groups of the image `base` or of one named for a group."""
    return [MAIN] if image == BASE else [MAIN, image]


def packages(root: Path, image: str) -> bytes:
    """The locked packages of the image, with hashes. Raises InputError for an unknown group."""
    groups = groups_of(image)
    chosen = [(_requirement(p, groups), p["files"]) for p in _locked(root, groups)]
    lines = sorted(f"{pin} {json.dumps(files, sort_keys=True)}" for pin, files in chosen)
    return "\n".join(lines).encode()


def requirements(root: Path, image: str) -> list[str]:
    """The locked packages of the image as requirements, sorted."""
    groups = groups_of(image)
    return sorted(_requirement(package, groups) for package in _locked(root, groups))


def check(root: Path) -> None:
    """Raises InputError where the lock was not made from this pyproject.toml: poetry's own rule."""
    lock = _load(root, LOCK)
    expected = lock.get("metadata", {}).get("content-hash")
    if expected != _content_hash(_load(root, PROJECT)):
        raise InputError(
            f"{LOCK} does not fit {PROJECT}: dependencies have changed since it was made",
            "run: poetry lock (2.5.1, as ./scripts/setup installs it), and commit both",
        )


def read(root: Path, name: str) -> bytes:
    """A file of the tree. Raises InputError where it is not there."""
    try:
        return (root / name).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file in {root}") from None


def _content_hash(project: dict[str, Any]) -> str:
    """poetry 2's: of what it resolves from, nothing else of the file."""
    own, poetry = project.get("project", {}), project.get("tool", {}).get("poetry", {})
    relevant = {
        "project": {key: own[key] for key in RELEVANT if key in own},
        "dependency-groups": project.get("dependency-groups", {}),
        "tool": {"poetry": {key: poetry[key] for key in RELEVANT_TO_POETRY if key in poetry}},
    }
    if not relevant["dependency-groups"]:
        del relevant["dependency-groups"]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _locked(root: Path, groups: list[str]) -> list[dict[str, Any]]:
    """The lock's packages of any of the groups. Raises InputError for a group that it does not have."""
    locked = _load(root, LOCK)["package"]
    known = {name for package in locked for name in package["groups"]}
    if unknown := set(groups) - known:
        raise InputError(
            f"{LOCK} has no dependency group '{unknown.pop()}'",
            f"name {BASE} or one of: {', '.join(sorted(known))}",
        )
    return [package for package in locked if set(groups) & set(package["groups"])]


def _requirement(package: Mapping[str, Any], groups: list[str]) -> str:
    """A locked package as a requirement; its markers may differ from group to group."""
    found = package.get("markers", "")
    own = set(groups) & set(package["groups"])
    markers = {found} if isinstance(found, str) else {found.get(name, "") for name in own}
    pin = f"{package['name']}=={package['version']}"
    return pin if "" in markers else f"{pin} ; {' or '.join(f'({m})' for m in sorted(markers))}"


def _load(root: Path, name: str) -> dict[str, Any]:
    try:
        return _parsed(read(root, name))
    except ValueError as error:  # of TOML, or of UTF-8
        raise InputError(f"{name}: not valid TOML: {error}") from None


@lru_cache(maxsize=4)  # a build asks for the same lock several times, a tenth of a second each
def _parsed(data: bytes) -> dict[str, Any]:
    return tomllib.loads(data.decode())
