"""What an image weighs, by layer and by distribution."""

import io
import tarfile
from pathlib import Path

import pytest

from delivery import layout, sizes
from delivery.layout import Image

SITE = "packages/lib/python3.12/site-packages"
RECORD = """wide/__init__.py,sha256=x,10
wide/deep.so,,
"wide/a, b.py",,
wide-1.0.dist-info/RECORD,,
../../../bin/wide,,
"""
WIDE = 10 + 5 + 1000 + 1 + 2 + len(RECORD)


def layer(files: dict[str, bytes], mode: str) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return whole.getvalue()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A base, packages in a compressed layer, and the program."""
    packages = {
        f"{SITE}/wide/__init__.py": b"0123456789",
        f"./{SITE}/wide/__pycache__/__init__.cpython-312.pyc": b"01234",
        f"{SITE}/wide/deep.so": bytes(1000),
        f"{SITE}/wide/a, b.py": b"1",
        f"{SITE}/wide-1.0.dist-info/RECORD": RECORD.encode(),
        "packages/bin/wide": b"12",
        f"{SITE}/thin.py": b"1",
        f"{SITE}/thin-2.0.dist-info/RECORD": b"thin.py,,\n",
        f"{SITE}/nobody.py": b"1",
    }
    made = [
        layer({"etc/os": b"base"}, "w"),
        layer(packages, "w:gz"),
        layer({"app/main.py": b"main"}, "w"),
    ]
    layers = [layout.descriptor(layout.LAYER_TYPE, one) for one in made]
    manifest, config = layout.manifest_of({}, layers)
    blobs = {layout.digest_of(one): one for one in (config, *made)}
    layout.write(Image(manifest, blobs), tmp_path)
    return tmp_path


def test_a_distribution_has_the_weight_of_its_files_and_of_what_is_compiled(image: Path) -> None:
    found = sizes.measure(image)
    assert found.distributions == {"wide": WIDE, "thin": 1}
    assert found.largest(1) == [("wide", WIDE)]


def test_layers_from_the_base_upwards(image: Path) -> None:
    base, packages, program = sizes.measure(image).layers
    assert (base.files, program.files) == (4, 4)
    assert packages.files == WIDE + 1 + 1 + len("thin.py,,\n")
    assert packages.pushed < packages.files


def test_what_people_read_is_what_stands_above_the_base(image: Path) -> None:
    base = sizes.measure(image).layers[0]
    made = sizes.Sizes((base, sizes.Layer("a", 1_500_000, 3_000_000)), {"wide": 2_000_000})
    assert made.line(1) == "3.0 of files, 1.5 in a registry; wide 2.0"
