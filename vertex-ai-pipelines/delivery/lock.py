"""What an image's dependency groups hold: poetry.lock, and files of packages that poetry cannot lock."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from delivery import requirements as files
from delivery.requirements import Package
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
    lines = [f"{pin} {json.dumps(found, sort_keys=True)}" for pin, found in chosen]
    lines += [package.line for package in _filed(root, groups)]
    return "\n".join(sorted(lines)).encode()


def requirements(root: Path, image: str) -> list[str]:
    """The locked packages of the image as requirements, sorted."""
    groups = groups_of(image)
    locked = [_requirement(package, groups) for package in _locked(root, groups)]
    return sorted(locked + [package.requirement for package in _filed(root, groups)])


def added(root: Path, image: str) -> list[Package]:
    """What the image holds besides `base`'s packages, by name. Raises InputError as `packages` does."""
    groups = groups_of(image)
    main = {(package["name"], package["version"]) for package in _locked(root, [MAIN])}
    found = [_package(package, groups) for package in _locked(root, groups)]
    own = [package for package in found if (package.name, package.version) not in main]
    return sorted(own + _filed(root, groups), key=lambda package: package.name)


def group_with(root: Path, package: str) -> str:
    """A dependency group that has `package`, by its name in the lock; nothing where none has."""
    found = {one["name"]: one["groups"] for one in _load(root, LOCK)["package"]}
    found |= {one.name: [group] for group in files.groups(root) for one in files.load(root, group)}
    return str(min(found.get(package, [""])))


def for_poetry(root: Path, image: str) -> list[str]:
    """The image's groups that the lock has; the other one has a file of its own."""
    known = _known(_load(root, LOCK)["package"])
    return [group for group in groups_of(image) if group in known]


def counts(path: Path) -> bool:
    """Whether a file, relative to the tree, counts by an image's packages alone, not by its bytes."""
    return str(path) in (LOCK, PROJECT) or path.parent == files.FOLDER


def check(root: Path) -> None:
    """Raises InputError where the lock was not made from this pyproject.toml: poetry's own rule.

    So it does where a file of requirements has a package of main: there would be two of it.
    """
    lock = _load(root, LOCK)
    expected = lock.get("metadata", {}).get("content-hash")
    if expected != _content_hash(_load(root, PROJECT)):
        raise InputError(
            f"{LOCK} does not fit {PROJECT}: dependencies have changed since it was made",
            "run: poetry lock (2.5.1, as ./scripts/setup installs it), and commit both",
        )
    main = {package["name"] for package in lock["package"] if MAIN in package["groups"]}
    for group in files.groups(root):
        files.indexes(root, group)
        if double := {package.name for package in files.load(root, group)} & main:
            what = f"{files.name(group)}: {min(double)} is in the main group of {LOCK}, too"
            raise InputError(what, f"run: ./scripts/lock {group}")


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
    """The lock's packages of any of the groups. Raises InputError for a group that there is not."""
    locked = _load(root, LOCK)["package"]
    known = _known(locked) | set(files.groups(root))
    if unknown := set(groups) - known:
        raise InputError(
            f"{LOCK} has no dependency group '{unknown.pop()}'",
            f"name {BASE} or one of: {', '.join(sorted(known))}",
        )
    return [package for package in locked if set(groups) & set(package["groups"])]


def _known(locked: list[dict[str, Any]]) -> set[str]:
    return {name for package in locked for name in package["groups"]}


def _filed(root: Path, groups: list[str]) -> list[Package]:
    """The packages of the groups' own files."""
    return [package for group in groups for package in files.load(root, group)]


def _package(package: Mapping[str, Any], groups: list[str]) -> Package:
    pin, _, marker = _requirement(package, groups).partition(" ; ")
    name, _, version = pin.partition("==")
    return Package(name, version, marker, tuple(file["hash"] for file in package["files"]))


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
