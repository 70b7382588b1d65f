"""Pack the files of $PATHS into a zip file that the local GitHub lists and hands out."""

import hashlib
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path


def files(patterns: list[str]) -> Iterator[Path]:
    """All files that are named, or are in folders that are named."""
    for pattern in patterns:
        found = [Path(pattern)] if pattern.startswith("/") else sorted(Path().glob(pattern))
        for path in found:
            yield from sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []


def wanted(path: Path) -> bool:
    """Whether a file counts: hidden ones only where asked for."""
    hidden = any(part.startswith(".") and part != ".." for part in path.parts)
    return path.is_file() and (os.environ["HIDDEN"] == "true" or not hidden)


def main() -> int:
    """Do it; returns the exit code."""
    name, run = os.environ["NAME"], os.environ["GITHUB_RUN_ID"]
    lines = [line.strip().removeprefix("./") for line in os.environ["PATHS"].splitlines()]
    found = [path for path in files([line for line in lines if line]) if wanted(path)]
    if not found:
        word = os.environ["NOTHING"].replace("warn", "warning").replace("ignore", "debug")
        print(f"::{word}::No files were found with the provided path: {os.environ['PATHS']}.")
        return int(word == "error")
    target = Path(os.environ["RUNNER_TOOL_CACHE"]) / "artifacts" / run / f"{name}.zip"
    if target.exists() and os.environ["OVERWRITE"] != "true":
        print(f"::error::an artifact with this name already exists on the workflow run: {name}")
        return 1
    pack(found, target)
    number = zlib.crc32(f"{run}/{name}".encode())
    address = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{run}"
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"artifact-id={number}\nartifact-url={address}/artifacts/{number}\n")
        outputs.write(f"artifact-digest={hashlib.sha256(target.read_bytes()).hexdigest()}\n")
    print(f"Artifact {name} has been uploaded: {len(found)} files")
    return 0


def pack(found: list[Path], target: Path) -> None:
    """A zip file of the files, named from the folder that they have in common."""
    base = os.path.commonpath([path.parent for path in found])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in found:
            archive.write(path, path.relative_to(base))
    part.replace(target)


if __name__ == "__main__":
    sys.exit(main())
