"""`python -m laptop.inside VERB …`: a verb of delivery; for `local`, in the local cloud."""

import sys
from importlib import import_module

from delivery import settings
from delivery.command import run
from laptop import provision
from laptop.run import enter_cloud
from laptop.world import ENVIRONMENT, told


def main(argv: list[str]) -> int:
    """The verb's own exit code."""
    verb = import_module(argv[0])
    named = verb.parser().parse_args(argv[1:]).environment
    if settings.load().environment(named).name == ENVIRONMENT:
        with told():
            enter_cloud()
            provision.enter()
    return int(verb.main(argv[1:]))


if __name__ == "__main__":
    sys.exit(run(main))
