"""What the code imports is named in pyproject.toml, in the group of the place where it runs."""

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import distributions

import pytest

from delivery import lock
from flows import config
from tests.clone import ROOT, tracked
from tests.test_layers import PLACES, imports, modules

SAMPLE = "sample.py"  # of a flow: no step runs it, and no image holds it
GROUPS = {
    "flows": ["main"],
    "samples": ["main", "delivery", "local"],
    "delivery": ["main", "delivery"],
    "localcloud": ["main", "delivery", "local"],
    "laptop": ["main", "delivery", "local"],
    "tests": ["main", "delivery", "local", "dev"],
}
FOLDER = re.compile(r"vertex-ai-pipelines/flows/(\w+)/")
OWN = {*PLACES, "benchmarks", "tests"}
MODULE = re.compile(r"([\w/]+?)(?:/__init__)?(?:\.[\w-]+)?\.(?:py|so),")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def named() -> dict[str, set[str]]:
    """The packages of each group, as pyproject.toml names them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {"main": project["project"]["dependencies"], **project["dependency-groups"]}
    found = {group: [re.match(r"[\w.-]+", line) for line in lines] for group, lines in groups.items()}
    return {group: {canonical(one[0]) for one in names if one} for group, names in found.items()}


@cache
def owners() -> dict[str, str]:
    """Installed module → package: google.cloud.storage is of google-cloud-storage."""
    found = dict[str, str]()
    for one in distributions():
        name = canonical(one.name)  # parsed anew each time that it is asked for
        modules = (MODULE.match(line) for line in (one.read_text("RECORD") or "").splitlines())
        found |= {module[1].replace("/", "."): name for module in modules if module}
    return found


def owner(module: str) -> str | None:
    """The package that a module, or a name in a module, comes from; None for one of Python's own."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names | OWN:
        return None
    known = (owners().get(".".join(parts[:size])) for size in range(len(parts), 0, -1))
    return next((one for one in known if one), f"nobody's {module}")


@cache
def added(name: str) -> frozenset[str]:
    """What a file may import besides: of a flow, what its own image adds; of a test, what any adds."""
    own = FOLDER.match(name)
    flows = {own[1]} if own else set(config.names()) if name.startswith("tests/") else set[str]()
    images = {config.load(flow).image for flow in flows & set(config.names())}
    return frozenset(package.name for image in images for package in lock.added(ROOT, image))


@pytest.mark.parametrize("place", GROUPS)
def test_what_is_imported_is_named(place: str) -> None:
    files = {
        "tests": [name for name in tracked() if name.startswith("tests/") and name.endswith(".py")],
        "flows": [name for name in modules("flows") if not name.endswith(f"/{SAMPLE}")],
        "samples": [name for name in modules("flows") if name.endswith(f"/{SAMPLE}")],
    }
    known = {package for group in GROUPS[place] for package in named()[group]}
    wrong = {
        f"{name}:{line}: {module} is of {package}"
        for name in files.get(place) or modules(place)
        for line, module in imports(ROOT / name)
        if (package := owner(module))
        and package not in known
        and module.partition(".")[0] not in added(name)
    }
    assert sorted(wrong) == []
