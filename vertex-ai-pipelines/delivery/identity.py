"""`./scripts/identity WORKFLOW`: by which provider a workflow becomes which Google account."""

import argparse
import sys

from delivery import federation, grants, settings
from delivery.command import run
from delivery.settings import Environment
from flows.errors import InputError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/identity", description=__doc__)
    main.add_argument("workflow", metavar="WORKFLOW")
    main.add_argument("--environment", "--env", default="", help="(default: settings.toml's)")
    return main


def main(argv: list[str]) -> int:
    """Two lines, as $GITHUB_OUTPUT takes them."""
    arguments = parser().parse_args(argv)
    environment = settings.load().environment(arguments.environment)
    who = account(environment, arguments.workflow)
    print(f"provider={federation.provider(environment)}\naccount={who}")
    return 0


def account(environment: Environment, workflow: str) -> str:
    """The workflow's account. Raises InputError for a workflow that has none there."""
    known = (grants.TRAIN,) if grants.is_experiment(environment) else grants.WORKFLOWS
    if workflow not in known:
        raise InputError(
            f"workflow '{workflow}' has no account in environment '{environment.name}'",
            f"name one of: {', '.join(known)}",
        )
    return grants.account(environment, workflow)


if __name__ == "__main__":
    sys.exit(run(main))
