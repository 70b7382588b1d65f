"""What jobs keep from run to run: actions/cache's entries, as folders that jobs work in by links."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from localcloud.errors import ApiError

PENDING = "pending"
WORKSPACE = re.compile(rb"^#!/\S+/hostexecutor/")  # as act calls it


class Caches:
    """Entries below `root`/cache, by the key's hash; what a job makes counts once it has succeeded."""

    def __init__(self, root: Path) -> None:
        self.root = root  # every job's RUNNER_TOOL_CACHE
        self._entries = root / "cache"

    def seed(self, key: str, paths: Mapping[str, str]) -> None:
        """An entry whose paths are links to folders of this machine, in place of what it was."""
        wrong = [path for path in paths if not _inside(path)]
        if not key or wrong:
            raise ApiError("INVALID_ARGUMENT", f"a key and relative paths are needed: {wrong or key!r}")
        entry = self._entries / _hash(key)
        part = self._entries / PENDING / f"{entry.name}.{os.urandom(4).hex()}"
        for path, target in paths.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).symlink_to(target)
        shutil.rmtree(entry, ignore_errors=True)
        part.rename(entry)

    def settle(self, job: str, good: bool) -> None:
        """A job's end: what it has cached is kept if it succeeded, and was not made by another since."""
        made = self._entries / PENDING / _hash(job)
        for entry in made.iterdir() if good and made.is_dir() else ():
            kept = self._entries / entry.name
            if not kept.exists():
                _rehouse(entry, kept)
                entry.rename(kept)
        shutil.rmtree(made, ignore_errors=True)


def _rehouse(entry: Path, kept: Path) -> None:
    """Programs of an environment name the workspace that it was made in, which is gone: at GitHub,
    every job has the same."""
    for program in entry.rglob("bin/*"):
        if program.is_file() and not program.is_symlink():
            text = program.read_bytes()
            if text.startswith(b"#!"):
                program.write_bytes(WORKSPACE.sub(lambda _: f"#!{kept}/".encode(), text))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
