"""`./scripts/lock`, apart from pip's choice: where hashes are looked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from delivery import requirements
from delivery.requirements import Package
from laptop import locking

DIGEST = f"sha256:{'1' * 64}"
EXTRA = "https://extra.example.com/cpu"


@pytest.mark.parametrize(
    ("variable", "configured", "index", "made"),
    [
        (
            "https://one.example.com/simple/",
            "https://two.example.com",
            "https://one.example.com/simple",
            0,
        ),
        ("", "https://two.example.com/", "https://two.example.com", 1),
        ("", "", "https://usual.example.com/simple", 1),
    ],
)
def test_pip_is_asked_once_for_its_index_and_its_variable_comes_first(
    variable: str, configured: str, index: str, made: int,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pips, asked = list[int](), list[tuple[str, str]]()

    @contextmanager
    def pip() -> Iterator[list[str]]:
        pips.append(1)
        yield ["pip"]

    def hashes(page: str, package: Package) -> list[str]:
        asked.append((package.name, page))
        return [DIGEST]

    (tmp_path / requirements.FOLDER).mkdir(parents=True)
    (tmp_path / requirements.FOLDER / "some.in").write_text(f"--extra-index-url {EXTRA}\na\nb\nc\n")
    chosen = [
        Package(name, version, "", ()) for name, version in (("a", "1"), ("b", "2+cpu"), ("c", "3"))
    ]
    monkeypatch.setenv("PIP_INDEX_URL", variable)
    monkeypatch.setattr(locking, "ROOT", tmp_path)
    monkeypatch.setattr(locking, "pip", pip)
    monkeypatch.setattr(locking, "resolved", lambda *_: chosen)
    monkeypatch.setattr(locking, "_hashes", hashes)
    said = {locking.USUAL: "https://usual.example.com/simple\n"}
    monkeypatch.setattr(
        locking,
        "_said",
        lambda command: CompletedProcess(command, 0, said.get(command[-1], configured), ""),
    )
    assert locking.main(["some"]) == 0
    assert asked == [("a", index), ("b", EXTRA), ("c", index)]
    assert len(pips) == made
    assert [one.hashes for one in requirements.load(tmp_path, "some")] == [(DIGEST,)] * 3
