"""`./scripts/ab`: a share of the traffic for the challenger, for an A/B test, as a pull request."""

import argparse
import sys

from delivery import edit_verb, releases
from delivery.command import run
from delivery.edit_verb import Asked


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = edit_verb.parser("ab", __doc__)
    main.add_argument("share", metavar="SHARE", help="the challenger's, in percent: 1 to 99")
    return main


def main(argv: list[str]) -> int:
    """Propose that share for the challenger."""
    arguments = parser().parse_args(argv)
    share = releases.share(arguments.share)
    asked = Asked.of(arguments.flow, arguments.environment)
    command = f"ab {asked.flow} {share}"
    return edit_verb.carry_out(asked, lambda current: releases.split(current, share), command, arguments)


if __name__ == "__main__":
    sys.exit(run(main))
