"""Which process is at the other end of a connection on this machine, by Linux's /proc."""

import os
from collections.abc import Iterator
from pathlib import Path

# 127.0.0.1 as /proc writes it, also through a socket of IP version 6, as gRPC's are.
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")
PROC = Path("/proc")


def holders(port: int, to: int) -> list[int]:
    """The processes, other than this one, that hold the connection from `port` to `to` on loopback."""
    inode = _inode(port, to)
    wanted = f"socket:[{inode}]"
    found = (p for p in PROC.iterdir() if p.name.isdigit() and int(p.name) != os.getpid())
    return [int(p.name) for p in found if inode and wanted in _open(p)]


def _inode(port: int, to: int) -> str:
    ends = [[f"{address}:{one:04X}" for one in (port, to)] for address in LOOPBACK]
    files = (PROC / "net" / name for name in ("tcp", "tcp6"))
    tables = (file.read_text().splitlines()[1:] for file in files if file.exists())
    lines = (line.split() for table in tables for line in table)
    return next((fields[9] for fields in lines if fields[1:3] in ends), "")


def _open(process: Path) -> Iterator[str]:
    """What a process has open; nothing where it has ended or is another user's."""
    try:
        files = list((process / "fd").iterdir())
    except OSError:
        return
    for file in files:
        try:
            yield str(file.readlink())
        except OSError:
            continue


def marked(*texts: str) -> list[int]:
    """The processes, zombies left out, in whose environment all the texts stand."""
    wanted = [text.encode() for text in texts]
    found = (p for p in PROC.glob("[0-9]*"))
    return [int(p.name) for p in found if _holds(p, wanted)]


def _holds(process: Path, wanted: list[bytes]) -> bool:
    try:
        environment = (process / "environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return False
    return bool(environment) and all(text in environment for text in wanted)
