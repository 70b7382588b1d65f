"""The image: what a build, a change of the source and a tag cost, and what it weighs."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.engine import Engine
from benchmarks.peers import HERE
from benchmarks.tools import lacks
from delivery import build, image, layout, lock, sizes
from delivery.builder import Builder
from delivery.registry import Registry
from delivery.settings import ROOT
from flows import config
from flows.errors import InputError

SOURCE, OTHER = "vertex-ai-pipelines/flows/gate.py", "README.md"


def measure(rounds: int) -> dict[str, Any]:
    """Ours and a naive image of the same packages on the same base; seconds and bytes.

    Raises InputError where no image can be built.
    """
    if why := lacks():
        raise InputError(
            f"bench image: no whole image can be built: {why}", "install it, or become root"
        )
    engine = Engine(ROOT / ".local" / "image")
    base = engine.base()
    with tempfile.TemporaryDirectory(prefix="bench-image-") as place:
        groups = build.groups_of(config.names())
        rows = [_kept(ours, group, base, engine, Path(place), rounds) for group in groups]
        rows.append(naive(base, engine, Path(place)))
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "rounds": rounds}
    return {"machine": machine, "images": rows}


def _kept(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What it returns; the local cloud's environment, which reaches no package index, goes with it."""
    before = dict(os.environ)
    try:
        return function(*arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)


def ours(group: str, base: str, engine: Engine, place: Path, rounds: int) -> dict[str, Any]:
    """`./scripts/build --push` of commits: a first one, then changes of the source, and of the docs."""
    tree, builder = _tree(place / group), Builder("buildah", base=base)
    os.environ |= _empty_store(engine, base, place / f"{group}-store").variables
    start = time.perf_counter()
    layout.write(image.make(tree, group, builder), place / f"{group}-image")
    cold = time.perf_counter() - start
    publisher = _Publisher(tree, group, builder)
    first = publisher.publish()
    source, tags = list[_Published](), list[_Published]()
    for number in range(rounds):
        _append(tree / SOURCE, f"# {number}")
        source.append(publisher.publish())
        _append(tree / OTHER, f"{number}")
        tags.append(publisher.publish())
    if any(one.digest != other.digest for one, other in zip(source, tags, strict=True)):
        raise RuntimeError("a change of the docs made another image")
    facts = {"cold": round(cold, 2), "push": first.seconds, "source_only": _median(source)}
    pushed = max(one.bytes for one in source)
    facts |= {"source_only_pushed": pushed, "retag": _median(tags)}
    weights = _weights(place / f"{group}-image", base, engine)
    return {"name": f"Retrain's {group}", "group": group, **facts, **weights}


def naive(base: str, engine: Engine, place: Path) -> dict[str, Any]:
    """One stage that copies all and then installs: each change of the source installs again."""
    store, tree = _empty_store(engine, base, place / "naive-store"), place / "naive"
    shutil.copytree(ROOT / "vertex-ai-pipelines" / "flows", tree / "flows")
    shutil.copy(HERE / "naive.Dockerfile", tree / "Dockerfile")
    (tree / "requirements.txt").write_text("\n".join(lock.requirements(ROOT, lock.BASE)) + "\n")
    cold, before = _naive(store, base, tree, place / "naive-1")
    _append(tree / "flows/gate.py", "# changed")
    again, after = _naive(store, base, tree, place / "naive-2")
    pushed = sum(size for digest, size in after.items() if digest not in before)
    facts = {
        "cold": cold,
        "push": None,
        "source_only": again,
        "source_only_pushed": pushed,
        "retag": None,
    }
    return {"name": "one naive stage", **facts, **_weights(place / "naive-2", base, engine)}


def _naive(engine: Engine, base: str, tree: Path, folder: Path) -> tuple[float, dict[str, int]]:
    start = time.perf_counter()
    fixed = [
        "--layers",
        "--force-rm",
        "--isolation",
        "chroot",
        "--build-arg",
        f"BASE={base}",
        "--iidfile",
        f"{folder}.id",
    ]
    engine.run("buildah", "bud", *fixed, str(tree))
    made = Path(f"{folder}.id").read_text().strip()
    engine.run("buildah", "push", "--format", "oci", made, f"oci:{folder}:image")
    spent = round(time.perf_counter() - start, 2)
    found = json.loads(layout.read(folder).manifest)
    return spent, {one["digest"]: one["size"] for one in (found["config"], *found["layers"])}


def _empty_store(engine: Engine, base: str, folder: Path) -> Engine:
    """A store that has the base, and nothing of any build."""
    made = Engine(folder)
    made.copy_base(engine, base)
    return made


@dataclass(frozen=True)
class _Published:
    """One commit's image: how long it took, and the bytes that the registry did not have."""

    digest: str
    seconds: float
    bytes: int


class _Publisher:
    """Puts a tree's image into the local cloud's registry, one commit after another."""

    def __init__(self, tree: Path, group: str, builder: Builder) -> None:
        from laptop import provision
        from laptop.world import client, local_environment, world

        own = os.environ["CONTAINERS_STORAGE_CONF"]
        client().up(world(), None)
        provision.enter()
        os.environ["CONTAINERS_STORAGE_CONF"] = own
        name = f"{local_environment().artifact_registry}/bench-{time.time_ns()}"
        self._tree, self._group, self._builder = tree, group, builder
        self._registry = Registry(name)
        self._known, self._commits = set[str](), 0

    def publish(self) -> _Published:
        """Build and push, as `./scripts/build --push` does for a commit."""
        self._commits += 1
        commit = f"{self._commits:040x}"
        start = time.perf_counter()
        digest, _ = image.publish(self._registry, self._tree, self._group, commit, self._builder)
        seconds = time.perf_counter() - start
        found = self._registry.manifest(commit)
        assert found is not None
        manifest = json.loads(found[0])
        blobs = {one["digest"]: one["size"] for one in (manifest["config"], *manifest["layers"])}
        blobs[digest] = len(found[0])
        new = sum(size for one, size in blobs.items() if one not in self._known)
        self._known |= blobs.keys()
        return _Published(digest, round(seconds, 3), new)


def _tree(folder: Path) -> Path:
    """The working tree's files."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def _append(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text()}\n{text}\n")


def _median(published: list[_Published]) -> float:
    return statistics.median(one.seconds for one in published)


def _weights(folder: Path, base: str, engine: Engine) -> dict[str, Any]:
    """What an image weighs; the base is not ours to cut, so it stands by itself."""
    found = sizes.measure(folder)
    below = len(layout.read(engine.layout(base)).layers)
    return {
        "files": sum(layer.files for layer in found.layers[below:]),
        "pushed": sum(layer.pushed for layer in found.layers[below:]),
        "base_files": sum(layer.files for layer in found.layers[:below]),
        "largest": dict(found.largest()),
    }


def show(found: dict[str, Any]) -> list[str]:
    """The table's lines, as people read them."""
    machine = found["machine"]
    lines = [
        f"the image · {machine['cpus']} cores · Python {machine['python']} · seconds, medians; megabytes"
    ]
    heads = ("cold", "push", "source only", "pushed", "tag only", "files", "registry")
    lines.append(f"{'':<18}" + "".join(f"{head:>13}" for head in heads))
    for row in found["images"]:
        values = [row["cold"], row["push"], row["source_only"], row["source_only_pushed"] / 1e6]
        values += [row["retag"], row["files"] / 1e6, row["pushed"] / 1e6]
        cells = ["–" if value is None else f"{value:,.2f}" for value in values]
        lines.append(f"{row['name']:<18}" + "".join(f"{cell:>13}" for cell in cells))
    for row in [row for row in found["images"] if "group" in row]:
        largest = " · ".join(f"{name} {size / 1e6:.1f}" for name, size in row["largest"].items())
        lines.append(f"largest of {row['group']}: {largest}")
    return lines
