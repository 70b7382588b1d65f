"""`./scripts/due`: which flows train.yml submits, as a JSON list in the last line.

A push trains a flow where what its `retrain_on` names has changed since the commit that it was last
trained at, which its newest pipeline job's label says. That needs the whole history: `fetch-depth: 0`.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from delivery import changes, git, settings
from delivery.command import run
from delivery.jobs import OVERRIDDEN, Jobs
from delivery.settings import Environment
from flows import config
from flows.errors import InputError, RetrainError

LOOKED_AT = 20  # newest jobs, among which one is of the commit as it is, without overrides
ALL = "*"
OUTPUT = "GITHUB_OUTPUT"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/due", description=__doc__)
    main.add_argument("--environment", "--env", default="", help="(default: settings.toml's)")
    main.add_argument(
        "--flow", default="", help="just these, whatever their retrain_on says; several by a space, or *"
    )
    main.add_argument(
        "--github-output",
        action="store_true",
        help="set the step's outputs `flows`, `images` (flows whose images are built) and `environment`",
    )
    return main


def main(argv: list[str]) -> int:
    """Decide, and say why on standard error."""
    arguments = parser().parse_args(argv)
    environment = settings.load().environment(arguments.environment)
    flows = asked(arguments.flow, environment) if arguments.flow else due(environment)
    if arguments.github_output:
        with Path(os.environ[OUTPUT]).open("a") as file:
            built = json.dumps(built_for(flows, environment))
            file.write(f"flows={json.dumps(flows)}\nimages={built}\nenvironment={environment.name}\n")
    print(json.dumps(flows))
    return 0


def asked(text: str, environment: Environment) -> list[str]:
    """The flows that somebody asked for: one, several by spaces or commas, or all by a `*`.

    One that cannot be read is among all: so its own submit fails and says why, and no other's. Raises
    InputError where one that is named, or the environment, cannot train.
    """
    if not environment.train:
        what = f"settings.toml: environment '{environment.name}' does not train"
        raise InputError(what, "see its `train`")
    names = text.replace(",", " ").split()
    if names == [ALL]:
        return config.names()
    if not names or ALL in names:
        raise InputError(f"'{text}' names no flows", f"one, several by spaces or commas, or just {ALL}")
    return list(dict.fromkeys(config.load(name).name for name in names))


def built_for(flows: list[str], environment: Environment) -> list[str]:
    """The flows whose images train.yml makes when it submits `flows`.

    Where images are attested, those of all flows: the schedule's tick then only tags what is there.
    """
    is_all = environment.attest != "off" and environment.retrains
    return config.names() if is_all else flows


def due(environment: Environment) -> list[str]:
    """The flows that a push trains in `environment`.

    A flow that cannot be read is among them: so its own submit fails and says why, and no other's.
    """
    if not environment.retrains:
        print(f"due           nothing: '{environment.name}' does not train by itself", file=sys.stderr)
        return []
    jobs, commit, found = Jobs(environment), git.head(settings.ROOT), []
    for name in config.names():
        why = _reason(jobs, name, commit)
        print(f"due           {name}: {why or 'no, nothing of it has changed'}", file=sys.stderr)
        found += [name] if why else []
    return found


def _reason(jobs: Jobs, name: str, commit: str) -> str:
    """Why the flow is due; "" where it is not."""
    try:
        flow = config.load(name)
    except Exception as error:  # its config.py is the flow's own code
        what = error.what if isinstance(error, RetrainError) else f"{type(error).__name__}: {error}"
        return f"yes, so that its submit fails: {what}"
    if flow.retrain_on == "never":
        return ""
    last = _last_trained(jobs, name)
    if last is None:
        return "yes, it was never trained here"
    if not git.knows(settings.ROOT, last):
        return f"yes, commit {last[:7]} is not known here: a force push, or not `fetch-depth: 0`"
    if git.contains(settings.ROOT, last, commit):
        return ""  # trained at this commit or at a later one
    file = next(changes.of_flow(settings.ROOT, flow, last, commit), None)
    return f"yes, {file} has changed since {last[:7]}" if file else ""


def _last_trained(jobs: Jobs, flow: str) -> str | None:
    """The commit of the flow's newest pipeline job; one with overrides trained something else."""
    labels = [dict(job.labels) for job in jobs.newest(flow, LOOKED_AT)]
    commits = [one["commit"] for one in labels if OVERRIDDEN not in one and "commit" in one]
    return commits[0] if commits else None


if __name__ == "__main__":
    sys.exit(run(main))
