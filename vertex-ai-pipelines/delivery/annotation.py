"""An error that names a file's line, shown beside that line in the pull request."""

import os
import re

from flows.errors import RetrainError

PLACE = re.compile(r"(?P<file>[\w./-]+):(?P<line>\d+): ")
ESCAPED = {"%": "%25", "\r": "%0D", "\n": "%0A"}


def show(error: RetrainError) -> None:
    """Print the error as GitHub Actions wants it, where that listens and the error names a line."""
    place = PLACE.match(error.what)
    if place and os.environ.get("GITHUB_ACTIONS") == "true":
        words = "".join(ESCAPED.get(one, one) for one in str(error).removeprefix(place[0]))
        print(f"::error file={place['file']},line={place['line']}::{words}", flush=True)
