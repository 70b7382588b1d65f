"""References to images: one by a digest or by a commit's tag, and never any other."""

import re

from flows.errors import InputError

DIGEST = r"@sha256:[0-9a-f]{64}"
COMMIT = r":[0-9a-f]{40}"
PINNED = re.compile(rf"[^\s@]+?(?::[\w.-]+)?{DIGEST}|[^\s@]+{COMMIT}")


def pinned(reference: str, where: str) -> str:
    """`reference` itself. Raises InputError, that names `where`, for one that may change its meaning."""
    if not PINNED.fullmatch(reference):
        raise InputError(
            f"{where}: image '{reference}' is named by neither a digest nor a commit's tag",
            "write NAME@sha256:… : what a tag such as latest means changes",
        )
    return reference
