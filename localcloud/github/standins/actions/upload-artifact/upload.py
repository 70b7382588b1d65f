"""Pack the files of $PATHS into a zip file that the local GitHub lists and hands out."""

import glob
import hashlib
import os
import sys
import zipfile
import zlib
from itertools import takewhile
from pathlib import Path


def fixed(pattern: Path) -> Path:
    """What of a pattern comes before its first wildcard."""
    return Path(*takewhile(lambda part: glob.escape(part) == part, pattern.parts))


def matched(pattern: Path) -> set[Path]:
    """All files that are named, or are in folders that are named; hidden ones only where asked for."""
    root = fixed(pattern)
    named = [root] if root == pattern else root.glob(str(pattern.relative_to(root)))
    found = {path for one in named for path in (one, *one.rglob("*")) if path.is_file()}
    return {path for path in found if os.environ["HIDDEN"] == "true" or not hidden(path, root.parent)}


def hidden(path: Path, above: Path) -> bool:
    """Whether a file, or a folder that it is in below `above`, is hidden."""
    return any(part.startswith(".") for part in path.relative_to(above).parts)


def chosen(lines: list[str]) -> tuple[list[Path], Path]:
    """The files that patterns name, less what those with a `!` do, and the folder of their names."""
    found, roots = set[Path](), list[Path]()
    for line in lines:
        given = Path.cwd() / Path(line.removeprefix("!").strip()).expanduser()
        pattern = given.parent.resolve() / given.name
        if line.startswith("!"):
            found -= matched(pattern)
        else:
            found |= matched(pattern)
            roots.append(fixed(pattern))
    base = Path(os.path.commonpath([str(root) for root in roots] or ["/"]))
    return sorted(found), base.parent if base.is_file() else base


def main() -> int:
    """Do it; returns the exit code."""
    name, run = os.environ["NAME"], os.environ["GITHUB_RUN_ID"]
    lines = [line.strip() for line in os.environ["PATHS"].splitlines()]
    found, base = chosen([line for line in lines if line and not line.startswith("#")])
    if not found:
        word = os.environ["NOTHING"].replace("warn", "warning").replace("ignore", "debug")
        print(f"::{word}::No files were found with the provided path: {os.environ['PATHS']}.")
        return int(word == "error")
    target = Path(os.environ["RUNNER_TOOL_CACHE"]) / "artifacts" / run / f"{name}.zip"
    if target.exists() and os.environ["OVERWRITE"] != "true":
        print(f"::error::an artifact with this name already exists on the workflow run: {name}")
        return 1
    pack(found, base, target)
    number = zlib.crc32(f"{run}/{name}".encode())
    address = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{run}"
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"artifact-id={number}\nartifact-url={address}/artifacts/{number}\n")
        outputs.write(f"artifact-digest={hashlib.sha256(target.read_bytes()).hexdigest()}\n")
    print(f"Artifact {name} has been uploaded: {len(found)} files")
    return 0


def pack(found: list[Path], base: Path, target: Path) -> None:
    """A zip file of the files, named from the folder `base`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in found:
            archive.write(path, path.relative_to(base))
    part.replace(target)


if __name__ == "__main__":
    sys.exit(main())
