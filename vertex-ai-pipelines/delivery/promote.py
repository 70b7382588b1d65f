"""`./scripts/promote`: the challenger one rung up, or a model elsewhere, as a pull request."""

import argparse
import sys
from typing import Any

from delivery import branch, edit_verb, person, releases
from delivery.command import run
from delivery.edit_verb import Asked
from delivery.markdown import code
from delivery.releases import Release
from flows.errors import InputError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = edit_verb.parser("promote", __doc__, "--to")
    main.add_argument(
        "--from",
        dest="source",
        default="",
        metavar="ENV",
        help="release what is champion there, as it is, instead of a larger share",
    )
    return main


def main(argv: list[str]) -> int:
    """Propose the next rung of the flow's ladder, or another environment's champion."""
    arguments = parser().parse_args(argv)
    asked = Asked.of(arguments.flow, arguments.environment)
    if arguments.source:
        return copied(asked, arguments)
    ladder = asked.serving.ladder
    return edit_verb.carry_out(
        asked, lambda current: releases.promote(current, ladder), f"promote {asked.flow}", arguments
    )


def copied(asked: Asked, arguments: argparse.Namespace) -> int:
    """Propose the champion of another environment: version, manifest, hash and image, as they are."""
    source, target = asked.settings.environment(arguments.source).name, asked.environment
    if source not in target.origins:
        raise InputError(
            f"'{target.name}' takes no models of '{source}'",
            f'promotes_from = "{source}" below [environments.{target.name}] in settings.toml',
        )
    share = next(iter(asked.serving.ladder), 100)
    repository = person.repository(asked.settings.repository)

    def change(current: Release | None) -> Release:
        return releases.propose(current, _champion(repository, source, asked.flow), share)

    note = f"It is champion in {code(source)}, and released as it is: nothing is trained again."
    command = f"promote {asked.flow} --from {source}"
    return edit_verb.carry_out(asked, change, command, arguments, note)


def _champion(repository: Any, environment: str, flow: str) -> releases.Model:
    """The champion that main declares. Raises InputError where there is none."""
    path = releases.path(environment, flow)
    found = releases.parse(branch.text_on_main(repository, path), f"{branch.MAIN}:{path}")
    if found is None:
        raise InputError(f"{path}: nothing is released", "release a model there first")
    return found.champion


if __name__ == "__main__":
    sys.exit(run(main))
