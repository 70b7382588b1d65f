"""The job summary: what GitHub shows on a workflow run's page."""

import os
from pathlib import Path

VARIABLE = "GITHUB_STEP_SUMMARY"


def append(markdown: str) -> None:
    """Add `markdown` to the summary; nothing happens where nobody collects one."""
    if path := os.environ.get(VARIABLE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(markdown.rstrip("\n") + "\n\n")
