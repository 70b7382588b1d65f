"""`./scripts/rollback`: back to what served before, or to a version by name, as a pull request."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from delivery import edit_verb, history, person, releases
from delivery.command import run
from delivery.edit_verb import Asked
from delivery.releases import Model, Release
from flows.errors import InputError

KNOWN = 5  # versions that an error names


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = edit_verb.parser("rollback", __doc__)
    main.add_argument(
        "version",
        nargs="?",
        default="",
        metavar="VERSION",
        help="one that main has declared here (default: without the challenger, or the champion before)",
    )
    return main


def main(argv: list[str]) -> int:
    """Propose what is to serve alone."""
    arguments = parser().parse_args(argv)
    asked, version = Asked.of(arguments.flow, arguments.environment), arguments.version
    if version:
        releases.age(version)  # refused before anything is asked
    path = releases.path(asked.environment.name, asked.flow)

    def change(current: Release | None) -> Release:
        if current and (found := here(current, version)):
            return releases.alone(found)
        url = history.address(asked.settings.repository)
        with history.of_main(url, person.token()) as root:
            return releases.alone(earlier(current, version, root, path))

    command = " ".join(["rollback", asked.flow, *([version] if version else [])])
    return edit_verb.carry_out(asked, change, command, arguments)


def here(current: Release, version: str) -> Model | None:
    """What is to serve alone where that is declared now: the version, or the challenger's champion."""
    if version:
        return current.entry(version)
    return current.champion if current.challenger else None


def earlier(current: Release | None, version: str, root: Path, path: str) -> Model:
    """The version, or the champion before now's, as main declared it. Raises InputError."""
    declared = history.declared(root, path)
    if not version:
        if current is None:
            raise InputError(
                f"{path}: nothing is released", "name a version that main has declared here"
            )
        if found := releases.before(current, declared):
            return found
        prune = releases.prune(Path(path).parent.name, Path(path).stem)
        what = f"{path}: main has declared no champion before {current.champion.version}"
        raise InputError(what, f"revert the merge that released it, then {prune}")
    entries = {entry.version: entry for release in declared for entry in reversed(release.entries)}
    if version not in entries:
        raise InputError(f"{path}: main has never declared {version}", _known(entries))
    return entries[version]


def _known(versions: Iterable[str]) -> str:
    newest = sorted(versions, key=releases.age, reverse=True)[:KNOWN]
    return f"name one of: {', '.join(newest)}" if newest else "release a model first"


if __name__ == "__main__":
    sys.exit(run(main))
