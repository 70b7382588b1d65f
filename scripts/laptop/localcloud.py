"""`./scripts/localcloud`: the local cloud's own command, with this project's world and contents."""

import sys

from delivery.command import run
from laptop import provision, samples
from laptop.world import CLOUD, told, world
from localcloud import __main__ as own

STARTS = {"up", "env"}
parser = own.parser


def main(argv: list[str]) -> int:
    """The command; where it started the local cloud, what settings.toml names is put into it.

    Before a tick, also what the samples of the flows name that may be due.
    """
    names = world()
    flags = [
        *("--root", str(CLOUD), "--project", names.project, "--project-number", names.project_number),
        *("--region", names.region, "--repository", names.repository, "--aws-region", names.aws_region),
    ]
    if parser().parse_args([*flags, *argv]).verb == "tick":
        with told():
            provision.enter()
            samples.needed(samples.scheduled())
    code = own.main([*flags, *argv])
    if code == 0 and STARTS & set(argv[:1]):
        with told():
            provision.enter()
    return code


if __name__ == "__main__":
    sys.exit(run(main))
