"""Unpack what jobs of this run have uploaded."""

import fnmatch
import os
import sys
import zipfile
from pathlib import Path


def main() -> int:
    """Do it; returns the exit code."""
    name, to = os.environ["NAME"], Path(os.environ["TO"]).expanduser()
    folder = Path(os.environ["RUNNER_TOOL_CACHE"]) / "artifacts" / os.environ["GITHUB_RUN_ID"]
    found = [
        path
        for path in sorted(folder.glob("*.zip"))
        if path.stem == name or (not name and fnmatch.fnmatch(path.stem, os.environ["PATTERN"]))
    ]
    if name and not found:
        print(f"::error::Unable to download artifact(s): Artifact not found for name: {name}")
        return 1
    for path in found:
        apart = not name and os.environ["MERGE"] != "true"
        with zipfile.ZipFile(path) as archive:
            archive.extractall(to / path.stem if apart else to)
        print(f"Artifact {path.stem} has been downloaded")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"download-path={to.resolve()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
