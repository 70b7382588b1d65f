"""What jobs keep from run to run: actions/cache's entries, as folders that jobs link to."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from localcloud.errors import ApiError


class Caches:
    """Entries below `root`/cache, by the key's hash; the stand-in for actions/cache makes them."""

    def __init__(self, root: Path) -> None:
        self.root = root  # every job's RUNNER_TOOL_CACHE
        self._entries = root / "cache"

    def seed(self, key: str, paths: Mapping[str, str]) -> None:
        """An entry whose paths are links to folders of this machine, in place of what it was."""
        wrong = [path for path in paths if not _inside(path)]
        if not key or wrong:
            raise ApiError("INVALID_ARGUMENT", f"a key and relative paths are needed: {wrong or key!r}")
        entry = self._entries / _hash(key)
        part = self._entries / f"{entry.name}.{os.urandom(4).hex()}"
        for path, target in paths.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).symlink_to(target)
        shutil.rmtree(entry, ignore_errors=True)
        part.rename(entry)


def hash_files(*files: Path) -> str:
    """What the expression hashFiles gives for these files, in the order in which it names them."""
    each = (hashlib.sha256(file.read_bytes()).digest() for file in files)
    return hashlib.sha256(b"".join(each)).hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
