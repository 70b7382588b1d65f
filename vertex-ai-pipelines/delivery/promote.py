"""`./scripts/promote`: the challenger one rung up its ladder, or champion, as a pull request."""

import argparse
import sys

from delivery import edit_verb, releases
from delivery.command import run
from delivery.edit_verb import Asked


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return edit_verb.parser("promote", __doc__)


def main(argv: list[str]) -> int:
    """Propose the next rung of the flow's ladder."""
    arguments = parser().parse_args(argv)
    asked = Asked.of(arguments.flow, arguments.environment)
    ladder = asked.serving.ladder
    return edit_verb.carry_out(
        asked, lambda current: releases.promote(current, ladder), f"promote {asked.flow}", arguments
    )


if __name__ == "__main__":
    sys.exit(run(main))
