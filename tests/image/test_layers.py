"""What the layers hold, and that equal content is equal bytes."""

import re
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from uuid import uuid4

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.engine import Engine
from delivery import context, image, layout, lock, sizes
from delivery.builder import Builder
from tests.clone import ROOT, tracked

Record = Callable[[str, object], None]
COMPILERS = re.compile(
    r"(.*-)?(gcc|g\+\+|cc|c\+\+|cpp|clang|clang\+\+|ld|as|make|cmake|ninja|cargo|rustc|nvcc|gfortran)(-\d+)?"
)
METADATA = re.compile(
    r".*/python(?P<python>\d\.\d+)/.*/(?P<name>[^/]+)-(?P<version>[^/-]+)\.dist-info/METADATA"
)
PACKAGE_MANAGERS = ("*/.cache/*", "var/cache/*", "var/lib/apt/*", "*/pip/_vendor/*", "poetry/*")
SOURCES = ("*.pyx", "*.pxd", "*.h", "*.hpp", "*.cc", "*.cpp", "*.c", "*.a")
# The words alone are in libraries that read keys, and the documentation's own keys in botocore.
SECRETS = re.compile(
    rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[\w+/=\s]{64}|\bghp_\w{36}"
    rb"|\b(?:AKIA|ASIA)(?!\w{9}EXAMPLE)[0-9A-Z]{16}\b"
)
WORDS = (b"PRIVATE KEY", b"ghp_", b"AKIA", b"ASIA")  # found much faster than the forms
SECRET_NAMES = ("*.env", "*.netrc", "*.git", "*id_rsa", "*id_ed25519", "*credentials.json", "*.pypirc")


@pytest.fixture(scope="module")
def own(made: Path, engine: Engine, builder: Builder) -> dict[str, bytes]:
    """The files of all layers above the base's, by their place; compiled modules without content."""
    below = len(layout.read(engine.layout(builder.base)).layers)
    found = dict[str, bytes]()
    for one in layout.read(made).layers[below:]:
        for entry, data in sizes.members(layout.blob(made, one["digest"])):
            is_compiled = entry.name.endswith(".pyc")
            found[entry.name.removeprefix("./").rstrip("/")] = b"" if is_compiled else data
    return found


def matching(names: dict[str, bytes], *patterns: str) -> list[str]:
    return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]


def test_no_compiler_and_no_cache(own: dict[str, bytes]) -> None:
    programs = [name for name in own if PurePosixPath(name).parent.name in ("bin", "sbin")]
    assert [name for name in programs if COMPILERS.fullmatch(PurePosixPath(name).name)] == []
    assert matching(own, *PACKAGE_MANAGERS) == []


def test_no_test_and_no_source_of_what_is_compiled(own: dict[str, bytes]) -> None:
    parts = {part for name in own for part in PurePosixPath(name).parts}
    assert parts & {"tests", "conftest.py", "pytest", "_pytest"} == set()
    assert matching(own, *SOURCES) == []


def test_every_module_of_the_packages_is_compiled(own: dict[str, bytes]) -> None:
    modules = {name for name in own if name.startswith("packages/") and name.endswith(".py")}
    compiled = {re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", name) for name in own}
    assert modules
    assert modules <= compiled, "a step's start would compile them again and again"


def test_no_secret(own: dict[str, bytes]) -> None:
    assert matching(own, *SECRET_NAMES) == []
    named = {name: data for name, data in own.items() if any(word in data for word in WORDS)}
    assert [name for name, data in named.items() if SECRETS.search(data)] == []


def test_of_the_tree_only_what_the_dockerfile_copies(own: dict[str, bytes]) -> None:
    ours = {f"/{name}": data for name, data in own.items() if name.startswith("app/") and data}
    copied = {name: path.read_bytes() for name, path in context.files(ROOT).items()}
    assert ours == {name: data for name, data in copied.items() if data}


def test_it_holds_what_is_locked(own: dict[str, bytes]) -> None:
    named = [found for name in own if (found := METADATA.fullmatch(name))]
    (python,) = {found["python"] for found in named}
    lines = map(Requirement, lock.requirements(ROOT, "base"))
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    wanted = {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in lines
        if one.marker is None or one.marker.evaluate(here)
    }
    assert {canonicalize_name(found["name"]): found["version"] for found in named} == wanted


def test_a_source_change_is_one_new_layer(made: Path, builder: Builder, tmp_path: Path) -> None:
    changed = copy(tmp_path / "changed")
    file = changed / "vertex-ai-pipelines/flows/linnerud/metrics.py"
    file.write_text(file.read_text() + "\n# changed\n")
    # What is below the flows' layer is taken as it is, not built.
    (changed / ".local").symlink_to(ROOT / ".local")
    layout.write(image.make(changed, "base", builder), tmp_path / "made")
    old, new = layout.read(made).layers, layout.read(tmp_path / "made").layers
    assert [one for one in old if one not in new] == old[-1:]
    assert [one for one in new if one not in old] == new[-1:]
    assert new[-1]["size"] < 100_000


@pytest.mark.parametrize("path", ["README.md", "vertex-ai-pipelines/flows/linnerud/flow.toml"])
def test_what_is_not_copied_changes_nothing(
    made: Path, builder: Builder, tmp_path: Path, path: str
) -> None:
    changed = copy(tmp_path / "changed")
    (changed / path).write_text((changed / path).read_text() + "\n# changed\n")
    (changed / ".local").symlink_to(ROOT / ".local")
    again = image.make(changed, "base", builder)
    assert again.digest == layout.read(made).digest


def test_two_builds_of_one_commit_have_one_digest(
    made: Path, engine: Engine, builder: Builder, tmp_path: Path
) -> None:
    """In another place, at another time; of the first build, no layer that has the packages is taken.

    They stand on a copy of pyproject.toml, whose new comment is no part of the content.
    """
    folder = copy(tmp_path / "again")
    with (folder / "pyproject.toml").open("a") as project:
        project.write(f"# {uuid4()}\n")
    before, containers = stored(engine), engine.run("buildah", "containers", "--quiet")
    with engine.alone():
        again = image.make(folder, "base", builder)
    new = [one for one in stored(engine) if one not in before]
    for one in new:  # nobody takes them: no other pyproject.toml has that comment
        engine.run("buildah", "rmi", "--force", one)
    assert new, "it was built"
    assert again.digest == layout.read(made).digest
    assert engine.run("buildah", "containers", "--quiet") == containers


def stored(engine: Engine) -> list[str]:
    """The images in the engine's store, those of single layers too, the newest first."""
    return engine.run("buildah", "images", "--all", "--quiet", "--no-trunc").split()


def test_what_base_weighs_is_said(
    made: Path, engine: Engine, builder: Builder, record_property: Record
) -> None:
    """In the last lines of the tests' output. What other groups weigh, ./scripts/bench image says."""
    found = sizes.measure(made)
    below = len(layout.read(engine.layout(builder.base)).layers)
    record_property("weighs", f"image base, megabytes: {found.line(below)}")
    assert len(found.largest()) == 5


def copy(folder: Path) -> Path:
    """The working tree's files, in another place and with other times."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder
