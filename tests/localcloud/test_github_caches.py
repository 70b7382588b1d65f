"""Entries for actions/cache that are made from this machine's folders."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localcloud.errors import ApiError
from localcloud.github.caches import Caches


@pytest.fixture
def caches(tmp_path: Path) -> Caches:
    return Caches(tmp_path / "tools")


def entries(caches: Caches) -> list[Path]:
    return list((caches.root / "cache").iterdir())


def test_the_same_again_leaves_the_entry_alone(caches: Caches) -> None:
    caches.seed("key", {".venv": "/one", ".local/tool": "/two"})
    [entry] = entries(caches)
    before = entry.stat().st_ino
    caches.seed("key", {".local/tool": "/two", ".venv": "/one"})
    assert entry.stat().st_ino == before


@pytest.mark.parametrize("paths", [{".venv": "/other"}, {"venv": "/one"}, {".venv": "/one", "a": "/b"}])
def test_another_one_takes_its_place(caches: Caches, paths: dict[str, str]) -> None:
    caches.seed("key", {".venv": "/one"})
    caches.seed("key", paths)
    [entry] = entries(caches)
    assert {path.name: str(path.readlink()) for path in entry.iterdir()} == paths


def test_what_a_job_has_kept_is_replaced(caches: Caches) -> None:
    caches.seed("key", {".venv": "/one"})
    [entry] = entries(caches)
    (entry / ".venv").unlink()
    (entry / ".venv" / "bin").mkdir(parents=True)
    caches.seed("key", {".venv": "/one"})
    assert str((entry / ".venv").readlink()) == "/one"


def test_two_at_once(caches: Caches) -> None:
    def seed(number: int) -> None:
        caches.seed("key", {".venv": f"/folder-{number}"})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(seed, range(300)))
    [entry] = entries(caches)
    assert str((entry / ".venv").readlink()).startswith("/folder-")


def test_what_leads_out_of_the_workspace_is_refused(caches: Caches) -> None:
    with pytest.raises(ApiError, match="relative paths"):
        caches.seed("key", {"../other": "/one"})
