"""What this machine keeps of images, in .local/images/GROUP: for one process at a time."""

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

FOLDER = ".local/images"
PART = "part-"  # begins the names of folders that are not whole yet


def folder(root: Path, group: str) -> Path:
    """Where the group's layouts are."""
    return root / FOLDER / group


@contextmanager
def alone(root: Path, group: str) -> Iterator[None]:
    """One build of the group at a time, until what it made is used; what a killed one left goes."""
    place = folder(root, group)
    place.mkdir(parents=True, exist_ok=True)
    with (place / "alone").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"builder       waits: another build of '{group}' is at work here", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in place.glob(f"{PART}*"):
            shutil.rmtree(left)
        yield


@contextmanager
def replacing(place: Path) -> Iterator[Path]:
    """A folder to fill, which then takes the place of `place`; nothing changes where that fails."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=PART, dir=place.parent))
    try:
        yield part / "image"
        shutil.rmtree(place, ignore_errors=True)
        (part / "image").rename(place)
    finally:
        shutil.rmtree(part)
