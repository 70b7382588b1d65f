"""No secret's value is in what runs leave behind: logs, pipelines, images, objects, git."""

import subprocess
from pathlib import Path

import pytest

from tests.clone import Clone, Ended
from tests.leaks import lines, places, values

# In pieces: it should look like a key to the code under test, not to whoever searches this file.
EDGE = "-----{} PRIVATE KEY-----"
KEY = f"{EDGE.format('BEGIN')}\nMIIEvQIBADANBgkqhkiG9w0\nAAAA\n{EDGE.format('END')}\n"
KEY_ID = "AKIA" + "0123456789ABCDEF"


@pytest.mark.slow
def test_a_run_leaves_no_secret_behind(newcomer: Clone, first: Ended) -> None:
    assert first.code == 0, first
    assert newcomer.verb("compile").code == 0
    newcomer.settle()
    secret = values(newcomer)
    assert len(secret) > 50, "two App keys of some 26 lines, AWS keys, the owner's"
    root = newcomer.folder / ".local"
    searched = {path.name for path in root.rglob("*")}
    assert {"calls.log", "server.log", "log.txt", "job.json", "train.log", "app", "tree.git"} <= searched
    assert places(root, secret) == []
    assert places(newcomer.folder / ".git", secret) == []


def test_search_finds_what_is_planted(tmp_path: Path) -> None:
    secret = lines([KEY, KEY_ID])
    assert secret == ["MIIEvQIBADANBgkqhkiG9w0", KEY_ID]
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "train.log").write_text(f"key: {secret[0]}")
    (tmp_path / "calls.log").write_bytes(b"\xff\x00 Authorization: ghs_" + b"a" * 36)
    (tmp_path / "harmless").write_text("AKIA and ghs_ are what keys begin with")
    (tmp_path / "cloud.sqlite").write_text(secret[0])
    repository = str(tmp_path / "tree.git")
    subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
    write = ["git", "-C", repository, "hash-object", "-w", "--stdin"]
    subprocess.run(write, input=secret[1].encode(), check=True, stdout=subprocess.DEVNULL)
    found = [Path(name).relative_to(tmp_path).as_posix() for name in places(tmp_path, secret)]
    assert found == ["calls.log", "job/train.log", "tree.git"]
