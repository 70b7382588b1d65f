"""`./scripts/plan`: what a change needs, by the files that it touches. The standard library alone."""

import argparse
import json
import sys
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from delivery.command import run
from delivery.git import changed, knows, text

ROOT = Path(__file__).resolve().parents[2]
JOBS = ("check", "test", "build", "releases")  # of ci.yml; `required` lets no other one be left out
RELEASES = "releases"
FLOWS = "vertex-ai-pipelines/flows"
DOCS = (".md", "LICENSE")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/plan", description=__doc__)
    main.add_argument("--base", default="", metavar="COMMIT", help="the commit before the change")
    return main


def main(argv: list[str]) -> int:
    """Print the plan as a workflow's outputs."""
    arguments = parser().parse_args(argv)
    files = since(arguments.base)
    wanted = set(JOBS) if files is None else needed(files)
    for job in JOBS:
        print(f"{job}={str(job in wanted).lower()}")
    named = released() if files is None else [*files, *served_otherwise(arguments.base, files)]
    print(f"rollouts={json.dumps(rollouts(ROOT, named))}")
    return 0


def since(base: str) -> list[str] | None:
    """The files that have changed since the commit `base`.

    None where it is not here: a new branch's, or one that a force push has dropped.
    """
    return changed(ROOT, base, "HEAD") if base and knows(ROOT, base) else None


def needed(files: list[str]) -> set[str]:
    """The jobs that a change of `files` needs."""
    return {job for name in files for job in _needed(name)}


def _needed(name: str) -> set[str]:
    if name.startswith(f"{RELEASES}/"):
        return {"releases"}  # data with a schema: no code reads it but what that job runs
    if name.endswith(DOCS):
        return {"check", "test"}  # tests compare the docs with what they describe; no image holds them
    return {"check", "test", "build"}


def rollouts(root: Path, files: list[str]) -> list[dict[str, str]]:
    """The environments and flows whose releases are among `files`; not where file and flow are gone."""
    parts = {PurePosixPath(name).with_suffix("").parts for name in files if name.endswith(".toml")}
    return [
        {"environment": environment, "flow": flow}
        for folder, environment, flow in sorted(part for part in parts if len(part) == 3)
        if folder == RELEASES
        and ((root / FLOWS / flow).is_dir() or (root / folder / environment / f"{flow}.toml").exists())
    ]


def served_otherwise(base: str, files: list[str]) -> list[str]:
    """The releases of flows whose [serving] is not as at the commit `base`: another machine, say."""
    flows = {
        PurePosixPath(name).parent.name
        for name in files
        if PurePosixPath(name).match(f"{FLOWS}/*/flow.toml")
        and _serving(base, name) != _serving("HEAD", name)
    }
    return [name for name in released() if PurePosixPath(name).stem in flows]


def _serving(commit: str, name: str) -> Any:
    """[serving] of a flow.toml at a commit; all of it where it is no TOML."""
    found = text(ROOT, commit, name) or ""
    try:
        return tomllib.loads(found).get("serving", {})
    except tomllib.TOMLDecodeError:
        return found


def released() -> list[str]:
    """Every file that declares a release."""
    return [path.relative_to(ROOT).as_posix() for path in ROOT.glob(f"{RELEASES}/*/*")]


if __name__ == "__main__":
    sys.exit(run(main))
