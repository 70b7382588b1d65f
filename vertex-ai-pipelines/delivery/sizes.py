"""What an image weighs: its layers, and each Python distribution in them."""

import csv
import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from delivery.layout import blob, read

COMPILED = re.compile(r"(?P<folder>.*/)?__pycache__/(?P<stem>[^/]+?)\.cpython-\d+(\.opt-\d)?\.pyc")


@dataclass(frozen=True)
class Layer:
    """One layer: the bytes that are pushed, and those of its files."""

    digest: str
    pushed: int
    files: int


@dataclass(frozen=True)
class Sizes:
    """Layers from the base upwards, and bytes a distribution, compiled modules included."""

    layers: tuple[Layer, ...]
    distributions: dict[str, int]

    def largest(self, number: int = 5) -> list[tuple[str, int]]:
        """The heaviest distributions, the first one first."""
        return Counter(self.distributions).most_common(number)

    def line(self, below: int) -> str:
        """What stands above the lowest `below` layers, and the heaviest distributions: megabytes."""
        own = self.layers[below:]
        heads = f"{sum(layer.files for layer in own) / 1e6:.1f} of files"
        heads += f", {sum(layer.pushed for layer in own) / 1e6:.1f} in a registry"
        named = " · ".join(f"{name} {size / 1e6:.1f}" for name, size in self.largest())
        return f"{heads}; {named}"


def members(layer: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """A layer's entries and the content of those that are files."""
    with tarfile.open(layer, "r:*") as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isreg() else None
            yield entry, file.read() if file else b""


def measure(folder: Path) -> Sizes:
    """The sizes of the image in an OCI layout folder."""
    layers, files, records = list[Layer](), dict[str, int](), dict[str, str]()
    for one in read(folder).layers:
        own = dict[str, int]()
        for entry, data in members(blob(folder, one["digest"])):
            name = entry.name.removeprefix("./")
            own[name] = entry.size
            if name.endswith(".dist-info/RECORD"):
                records |= _record(name, data.decode())
        layers.append(Layer(one["digest"], one["size"], sum(own.values())))
        files |= own
    weights = Counter[str]()
    for name, size in files.items():
        if owner := records.get(_source(name)):
            weights[owner] += size
    return Sizes(tuple(layers), dict(weights))


def _record(path: str, text: str) -> dict[str, str]:
    """The files of a distribution, as it lists them itself → its name."""
    folder = PurePosixPath(path).parent
    owner = folder.name.removesuffix(".dist-info").rpartition("-")[0]
    rows = [row[0] for row in csv.reader(io.StringIO(text)) if row]
    return {_plain(folder.parent / row): owner for row in rows}


def _plain(path: PurePosixPath) -> str:
    """Without the steps up that scripts are listed with: `../../../bin/f2py`."""
    parts = list[str]()
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _source(name: str) -> str:
    """The module that a compiled one was made of: only that one is listed."""
    found = COMPILED.fullmatch(name)
    return f"{found['folder'] or ''}{found['stem']}.py" if found else name
