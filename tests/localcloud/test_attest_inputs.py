"""What the local cloud's attest-build-provenance makes of its inputs."""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.clone import ROOT

FILE = ROOT / "localcloud/github/standins/actions/attest-build-provenance/attest.py"
NONE = dict.fromkeys(("subject-path", "subject-digest", "subject-checksums", "subject-name"), "")


@pytest.fixture(scope="module")
def attest() -> Any:
    """The action's program."""
    spec = importlib.util.spec_from_file_location("attest", FILE)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_files_are_attested_by_their_globs(attest: Any, tmp_path: Path) -> None:
    for name in ("a.whl", "b.whl", "deep/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    paths = f"{tmp_path}/*.whl, {tmp_path}/a.whl\n{tmp_path}/**/c.txt"
    found = attest.subjects({**NONE, "subject-path": paths})
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.whl", "b.whl")}
    digests["c.txt"] = hashlib.sha256(b"deep/c.txt").hexdigest()
    assert {one["name"]: one["digest"]["sha256"] for one in found} == digests
    with pytest.raises(OSError, match="Could not find subject at path"):
        attest.subjects({**NONE, "subject-path": f"{tmp_path}/*.gz"})
    with pytest.raises(OSError, match="exclusions"):
        attest.subjects({**NONE, "subject-path": f"{tmp_path}/*.whl\n!{tmp_path}/b.whl"})


def test_pushing_to_a_registry_is_refused_by_name(attest: Any) -> None:
    with pytest.raises(OSError, match="push-to-registry is not served"):
        attest.attested({**NONE, "push-to-registry": "true"})
