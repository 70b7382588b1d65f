"""What an image weighs, by layer and by distribution."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from delivery import sizes

SITE = "packages/lib/python3.12/site-packages"
RECORD = """wide/__init__.py,sha256=x,10
wide/deep.so,,
"wide/a, b.py",,
wide-1.0.dist-info/RECORD,,
../../../bin/wide,,
"""
WIDE = 10 + 5 + 1000 + 1 + 2 + len(RECORD)


def put(layout: Path, data: bytes) -> dict[str, object]:
    """A blob in a layout folder, as a manifest names it."""
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    place = sizes.blob(layout, digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return {"digest": digest, "size": len(data)}


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
    manifest = put(tmp_path, json.dumps({"layers": [put(tmp_path, one) for one in made]}).encode())
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [manifest]}))
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
    assert sizes.measure(image).pushed == base.pushed + packages.pushed + program.pushed
    assert sizes.measure(image).files == packages.files + 8
