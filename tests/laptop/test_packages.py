"""Packages of an image's own group: installed once, by hash, whole or not at all, in no way twice."""

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from delivery import requirements
from delivery.kept import PART
from flows.errors import RetrainError
from laptop import packages
from laptop.world import CLOUD

LOCK = '[[package]]\nname = "numpy"\nversion = "2.4.0"\ngroups = ["main"]\nfiles = []\n'


def wheel(folder: Path, name: str, version: str) -> str:
    """A wheel with one module; its hash as pip writes it."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    record = "".join(f"{row}\n" for row in (*rows, f"{info}/RECORD,,"))
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in (*files.items(), (f"{info}/RECORD", record)):
            archive.writestr(place, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def pip() -> Iterator[list[str]]:
    """One for all tests: to make it takes seconds."""
    with packages.pip() as command:
        yield command


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: list[str]) -> Path:
    """A tree whose group `tiny` holds two packages, which pip finds in a folder and nowhere else."""
    found = tmp_path / "wheels"
    found.mkdir()
    lines = [
        f"{name}=={version} --hash=sha256:{wheel(found, name, version)}"
        for name, version in (("alpha", "1.0"), ("beta", "1.0+cpu"))
    ]
    file = tmp_path / requirements.name("tiny")
    file.parent.mkdir(parents=True)
    file.write_text("\n".join(lines))
    (tmp_path / "poetry.lock").write_text(LOCK)
    monkeypatch.setattr(packages, "pip", lambda: nullcontext(pip))
    monkeypatch.setenv("PIP_FIND_LINKS", str(found))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://owner:x@127.0.0.1:9")
    return tmp_path


def kept(root: Path) -> list[Path]:
    """What lies in the group's folder, but for the lock's file."""
    return sorted(path for path in (root / packages.FOLDER / "tiny").iterdir() if path.is_dir())


def test_they_are_installed_once_and_by_one_at_a_time(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    left = root / packages.FOLDER / "tiny" / f"{PART}killed"
    left.mkdir(parents=True)
    (old := left.with_name("of-another-lock")).mkdir()
    both = [threading.Thread(target=packages.ensure, args=("tiny", root)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    (place,) = kept(root)
    assert place != old
    assert {"alpha.py", "beta.py"} <= {path.name for path in place.iterdir()}
    said = capfd.readouterr().err
    assert said.count("2 more for image 'tiny' · once") == 1
    assert "beta-1.0+cpu-py3-none-any.whl" in said
    packages.ensure("tiny", root)
    assert capfd.readouterr().err == ""


def test_another_file_than_the_one_that_was_locked_is_refused_and_nothing_is_left(root: Path) -> None:
    wheel(root / "wheels", "beta", "1.0+cpu")
    path = root / "wheels" / "beta-1.0+cpu-py3-none-any.whl"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(
        RetrainError, match=r"packages of image 'tiny' could not be installed(.|\n)*HASHES"
    ):
        packages.ensure("tiny", root)
    assert kept(root) == []


def test_the_local_cloud_s_proxy_is_no_way_to_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://owner:x@127.0.0.1:8443")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    found = packages.plain()
    assert "https_proxy" not in found
    assert found["HTTPS_PROXY"] == "http://proxy.example.com:3128"


def test_who_has_signed_for_an_index_is_known_beside_the_local_cloud_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CLOUD / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/own.pem")
    found = packages.plain()
    assert found["SSL_CERT_FILE"] == str(CLOUD / "bundle.pem")
    assert found["REQUESTS_CA_BUNDLE"] == "/etc/ssl/own.pem"
