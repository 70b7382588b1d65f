"""The private certificate authority's files."""

from pathlib import Path

import pytest

from localcloud.authority import Authority
from localcloud.environment import LOCAL, WHOLE


@pytest.mark.parametrize("name", [LOCAL, WHOLE])
def test_one_that_its_client_starts_again_knows_the_outer_authorities_of_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer, root = tmp_path / "outer.pem", tmp_path / "root"
    root.mkdir()
    outer.write_bytes(b"a company's own")
    monkeypatch.setenv("SSL_CERT_FILE", str(outer))
    Authority(root)
    first = (root / WHOLE).read_bytes()
    assert first == outer.read_bytes() + b"\n" + (root / LOCAL).read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(root / name))
    Authority(root)
    assert (root / WHOLE).read_bytes() == first
