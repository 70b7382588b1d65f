"""`./scripts/deploy`: what releases/ declares, once all of it holds. It changes nothing yet."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from delivery import access, annotation, declared, git, markdown, settings, summary, vouched
from delivery.command import run
from delivery.declared import Declared
from delivery.model_store import ModelStore
from delivery.settings import ROOT, Settings
from flows import config
from flows.errors import InputError, RetrainError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/deploy", description=__doc__)
    main.add_argument("--environment", "--env", help="one environment (default: all that have releases)")
    main.add_argument("--check", action="store_true", help="without the model store")
    main.add_argument(
        "--base",
        metavar="COMMIT",
        help="with --check, main's: what it has never declared must have been seen by release-pr.yml",
    )
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """Check every release, and show them; the exit code says who has to mend what does not hold."""
    arguments = parser().parse_args(argv)
    if arguments.base is not None and not arguments.check:
        raise InputError("--base is for --check: deploy itself looks at the model store")
    found = settings.load()
    if arguments.environment:
        found.environment(arguments.environment)
    good, wrong = read(ROOT, found, arguments.environment)
    if not arguments.check:
        wrong += list(problems(good, found))
    elif arguments.base is not None:
        wrong += list(unseen(ROOT, good, arguments.base, found))
    for error in wrong:
        print(f"error: {error}", file=sys.stderr)
        annotation.show(error)
    if not wrong:
        show(good)
    if arguments.json:
        print(json.dumps({"releases": [as_json(one) for one in good], "failed": len(wrong)}))
    return max((error.exit_code for error in wrong), default=0)


def read(
    root: Path, found: Settings, environment: str | None
) -> tuple[list[Declared], list[RetrainError]]:
    """What the files declare, and what is wrong with those that declare nothing."""
    good, wrong = list[Declared](), list[RetrainError]()
    for name in declared.files(root, environment):
        try:
            good.append(declared.read(root, name, found, config.names()))
        except InputError as error:
            wrong.append(error)
    return good, wrong


def problems(good: list[Declared], found: Settings) -> Iterator[RetrainError]:
    """Every declared model that the model store does not hold as declared."""
    for environment in dict.fromkeys(one.environment for one in good):
        store = ModelStore(access.objects(found.environment(environment)))
        for one in good:
            if one.environment == environment:
                yield from declared.problems(one, store)


def unseen(root: Path, good: list[Declared], base: str, found: Settings) -> Iterator[RetrainError]:
    """Every model that main, at the commit `base`, has never declared, and that nobody has looked at."""
    if not git.knows(root, base):
        raise InputError(f"this checkout does not have the commit '{base}'", "fetch the whole history")
    with access.named(f"the runs of {vouched.WORKFLOW}", "start this job again"):
        yield from vouched.problems(root, good, base, list(found.environments))


def show(releases: list[Declared]) -> None:
    """A line for each model that is to serve, and the same as a table in the job's summary."""
    rows = [
        (f"{one.environment}/{one.flow}", role, entry.version, f"{entry.traffic} %", entry.sha256[:12])
        for one in releases
        for role, entry in one.roles()
    ]
    for name, role, version, traffic, sha256 in rows:
        print(f"{name:<30}{role:<12}{version:<32}{traffic:>5}  {sha256}")
    if rows:
        head = ("release", "role", "version", "traffic", "manifest")
        summary.append(markdown.table(head, [[markdown.text(cell) for cell in row] for row in rows]))
    else:
        print("nothing is released")


def as_json(one: Declared) -> dict[str, object]:
    """A release as programs read it."""
    return {"environment": one.environment, "flow": one.flow, **msgspec.to_builtins(one.release)}


if __name__ == "__main__":
    sys.exit(run(main))
