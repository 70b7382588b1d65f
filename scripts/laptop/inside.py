"""`python -m laptop.inside VERB …`: a verb of delivery; for `local`, in the local cloud."""

import argparse
import os
import sys
from importlib import import_module

from delivery import settings
from delivery.command import run
from delivery.edit import Edit
from laptop.world import ENVIRONMENT, client, told


def main(argv: list[str]) -> int:
    """The verb's own exit code."""
    verb = import_module(argv[0])
    arguments = verb.parser().parse_args(argv[1:])
    is_here = is_local(arguments)
    with told():
        if is_here and not is_inside():
            enter()
    code = int(verb.main(argv[1:]))
    if is_here and code == 0 and not getattr(arguments, "dry_run", True):
        show(arguments.flow)
    return code


def show(flow: str) -> None:
    """How the pull request of a flow's edit is read and merged here: its page is nobody's."""
    from laptop.report import standing

    if number := standing(flow, Edit.branch_of(ENVIRONMENT, flow)):
        read, merge = (f"./scripts/localcloud {verb} {number}" for verb in ("pr", "merge"))
        print(f"{'look':<14}{read} · merge it: {merge}", file=sys.stderr)


def is_local(arguments: argparse.Namespace) -> bool:
    """Whether it is about `local`; with --check, `deploy` asks nobody."""
    if getattr(arguments, "check", False):
        return False
    return settings.load().environment(arguments.environment or "").name == ENVIRONMENT


def is_inside() -> bool:
    """Whether this process stays whom it is taken for: a workflow's job, or a client of the local cloud.

    Such a client is what `./scripts/localcloud env` has told where it is.
    """
    if os.environ.get("GITHUB_ACTIONS"):
        return True
    status = client().status()
    proxy = os.environ.get("HTTPS_PROXY", "")
    return status is not None and proxy.endswith(f"@127.0.0.1:{status['port']}")


def enter() -> None:
    """Start the local cloud, unless it runs, and become its owner."""
    from laptop import provision
    from laptop.run import enter_cloud

    enter_cloud()
    provision.enter()


if __name__ == "__main__":
    sys.exit(run(main))
