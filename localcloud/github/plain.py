"""A folder's name as one word for any shell: act splits the paths of its scripts at spaces."""

import hashlib
import re
import tempfile
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


def plain(folder: Path) -> Path:
    """`folder`, or a link to it in the system's folder for temporary files."""
    if PLAIN.fullmatch(str(folder)):
        return folder
    link = _link(folder)
    link.unlink(missing_ok=True)
    link.symlink_to(folder)
    return link


def forget(folder: Path) -> None:
    """Take that link away, if there is one."""
    _link(folder).unlink(missing_ok=True)


def _link(folder: Path) -> Path:
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"localcloud-{name}"
