"""What changed between two trees, as GitHub lists files."""

import re
from dataclasses import dataclass

from localcloud.github.git import Git

STATUSES = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
LIMIT = 300  # files, as GitHub's


@dataclass(frozen=True)
class Change:
    """One file's change; `patch` is empty for a binary file."""

    path: str
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str
    previous: str | None


def changes(git: Git, old: str, new: str) -> list[Change]:
    """The files that differ from `old` to `new`."""
    flags = ["-r", "-M", "-z", "--no-commit-id", "--full-index", old, new]
    raw = git.raw("diff-tree", "--raw", *flags).decode(errors="surrogateescape")
    files = _raw(raw.split("\0"))[:LIMIT]
    patches = _patches(git.raw("diff-tree", "-p", *flags[:2], *flags[3:]).decode(errors="replace"))
    return [_change(record, patches[index]) for index, record in enumerate(files)]


def _raw(fields: list[str]) -> list[tuple[str, str, str, str | None]]:
    files, rest = [], iter(fields)
    for meta in rest:
        if not meta:
            continue
        _, _, old, new, letter = meta.split()
        first = next(rest)
        path, previous = (next(rest), first) if letter[0] in "RC" else (first, None)
        files.append((path, letter[0], old if letter == "D" else new, previous))
    return files


def _patches(text: str) -> list[str]:
    parts = re.split(r"^diff --git .*\n", text, flags=re.MULTILINE)[1:]
    return [part[found.start() :] if (found := re.search(r"^@@ ", part, re.M)) else "" for part in parts]


def _change(record: tuple[str, str, str, str | None], patch: str) -> Change:
    path, letter, sha, previous = record
    lines = patch.splitlines()
    added = sum(line.startswith("+") for line in lines)
    removed = sum(line.startswith("-") for line in lines)
    return Change(
        path, STATUSES.get(letter, "changed"), sha, added, removed, patch.rstrip("\n"), previous
    )
