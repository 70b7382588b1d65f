"""`./scripts/doctor`: for the environment `local` inside of the local cloud, for others as you are."""

import sys

from delivery import doctor
from delivery.command import run
from laptop import provision
from laptop.run import enter_cloud
from laptop.world import ENVIRONMENT

parser = doctor.parser


def main(argv: list[str]) -> int:
    """The same checks in either case."""
    if parser().parse_args(argv).environment == ENVIRONMENT:
        enter_cloud()
        provision.enter()
    return doctor.main(argv)


if __name__ == "__main__":
    sys.exit(run(main))
