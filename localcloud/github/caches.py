"""What jobs keep from run to run: actions/cache's entries, as folders that jobs link to."""

import hashlib
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from localcloud.errors import ApiError


class Caches:
    """Entries below `root`/cache, by the key's hash; the stand-in for actions/cache makes them."""

    def __init__(self, root: Path) -> None:
        self.root = root  # every job's RUNNER_TOOL_CACHE
        self._entries = root / "cache"
        self._lock = threading.Lock()  # two may seed a key at once
        # Another Python may have been installed since the last start.
        shutil.rmtree(root / "python", ignore_errors=True)

    def seed(self, key: str, paths: Mapping[str, str]) -> None:
        """An entry whose paths are links to folders of this machine, in place of what it was."""
        wrong = [path for path in paths if not _inside(path)]
        if not key or wrong:
            raise ApiError("INVALID_ARGUMENT", f"a key and relative paths are needed: {wrong or key!r}")
        entry = self._entries / _hash(key)
        with self._lock:
            if _links(entry) != dict(paths):
                self._replace(entry, paths)

    def forget(self, repository: str, ref: str) -> None:
        """Take away what the jobs at a pull request's ref have made for themselves alone."""
        shutil.rmtree(self.root / "cache-of" / _hash(f"{repository} {ref}"), ignore_errors=True)

    def _replace(self, entry: Path, paths: Mapping[str, str]) -> None:
        """Make the entry beside its place, and put it there as a whole."""
        part, old = (entry.with_name(f"{entry.name}.{os.urandom(4).hex()}") for _ in range(2))
        for path, target in paths.items():
            (part / path).parent.mkdir(parents=True, exist_ok=True)
            (part / path).symlink_to(target)
        with suppress(FileNotFoundError):
            entry.rename(old)
        part.rename(entry)
        shutil.rmtree(old, ignore_errors=True)


def _links(entry: Path) -> dict[str, str]:
    """The paths of an entry that are links, and where each leads."""
    found = [path for path in entry.rglob("*") if path.is_symlink()]
    return {str(path.relative_to(entry)): str(path.readlink()) for path in found}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts
