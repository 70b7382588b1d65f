"""`./scripts/deploy`: make what releases/ on main declares true, or say what that would change."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from delivery import (
    access,
    annotation,
    declared,
    git,
    lazy,
    main_head,
    markdown,
    settings,
    summary,
    vouched,
)
from delivery.command import run
from delivery.declared import Declared
from delivery.main_head import Head
from delivery.rollouts import Done, Rollouts
from delivery.settings import ROOT, Settings
from flows import config
from flows.errors import InputError, RetrainError

CLIENTS = (
    "google.auth.transport.requests",
    "google.cloud.aiplatform_v1.services.model_service",
    "boto3",
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/deploy", description=__doc__)
    one = "one flow (default: all)"
    main.add_argument("flow", nargs="?", metavar="FLOW", type=config.existing, help=one)
    main.add_argument("--environment", "--env", help="one environment (default: all that have releases)")
    main.add_argument("--plan", action="store_true", help="say what would change, and change nothing")
    main.add_argument(
        "--prune",
        action="store_true",
        help="undeploy what of a flow serves that nothing declares, and empty its channel",
    )
    main.add_argument("--check", action="store_true", help="this checkout's files alone")
    main.add_argument(
        "--base",
        metavar="COMMIT",
        help="with --check, main's: what it has never declared must have been seen by release-pr.yml",
    )
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """Check, plan or deploy; the exit code says who has to mend what does not hold."""
    arguments = parser().parse_args(argv)
    if arguments.base is not None and not arguments.check:
        raise InputError("--base is for --check: deploy itself looks at the model store")
    found = settings.load()
    if arguments.environment:
        found.environment(arguments.environment)
    if arguments.check:
        return checked(arguments, found)
    lazy.ahead(*CLIENTS)  # most of a second
    with main_head.checked_out(found.repository) as head:
        return rolled_out(arguments, head)


def checked(arguments: argparse.Namespace, found: Settings) -> int:
    """Look at this checkout's files, and show what they declare."""
    good, wrong = read(ROOT, found, arguments.environment)
    if arguments.base is not None:
        wrong += list(unseen(ROOT, good, arguments.base, found))
    for error in wrong:
        told(error)
    if not wrong:
        show(good)
    if arguments.json:
        print(json.dumps({"releases": [as_json(one) for one in good], "failed": len(wrong)}))
    return max((error.exit_code for error in wrong), default=0)


def rolled_out(arguments: argparse.Namespace, head: Head) -> int:
    """Plan or deploy what main's head declares; whatever goes wrong with one, the next has its turn."""
    good, bad = head.all(arguments.environment, arguments.flow)
    rollouts = Rollouts(head)
    errors, results = list[RetrainError](bad), list[Done]()
    for done in rollouts.each(good, rollouts.plan if arguments.plan else rollouts.deploy):
        results.append(done)
        errors += [done.error] if done.error else []
        if arguments.plan:
            print("\n".join(done.lines), end="\n" if done.lines else "")
        summarized(done)
    for error in errors:
        told(error)
    alone = list[str]()
    for place in rollouts.undeclared(good, arguments.environment, arguments.flow):
        alone += rollouts.prune(*place) if arguments.prune else rollouts.left(*place)
    print("\n".join(alone), end="\n" if alone else "")
    if not (good or bad or alone):
        print("nothing is released")
    if arguments.json:
        changes = {done.name: done.lines for done in results}
        releases = [as_json(one) for one in good]
        print(json.dumps({"releases": releases, "changes": changes, "failed": len(errors)}))
    return max((error.exit_code for error in errors), default=0)


def summarized(done: Done) -> None:
    """What came of one flow, in the job's summary."""
    lines = [*done.lines, *(str(done.error).splitlines() if done.error else [])]
    summary.append(f"### {markdown.text(done.name)}\n\n{markdown.block(lines)}")


def told(error: RetrainError) -> None:
    """An error for people, and at its line in the pull request."""
    print(f"error: {error}", file=sys.stderr)
    annotation.show(error)


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
