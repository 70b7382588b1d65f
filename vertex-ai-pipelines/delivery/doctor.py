"""`./scripts/doctor [ENV]`: what would fail, before it fails."""

import argparse
import json
import sys
from dataclasses import asdict

from delivery import checks, settings
from delivery.command import run
from delivery.finding import Finding
from flows.errors import RetrainError

WORDS = {"ok": "ok", "note": "note", "failed": "FAILED"}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/doctor", description=__doc__)
    main.add_argument("environment", nargs="?", default="local", metavar="ENV")
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """All checks; exit code 1 where one failed."""
    arguments = parser().parse_args(argv)
    environment = settings.load().environment(arguments.environment)
    found = []
    for finding in checks.findings(environment):
        found.append(finding)
        show(finding)
    failed = sum(finding.state == "failed" for finding in found)
    print(f"{len(found)} looked at, {failed} failed", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"environment": environment.name, "findings": [asdict(f) for f in found]}))
    return RetrainError.exit_code if failed else 0


def show(finding: Finding) -> None:
    """One finding as people read it; what was expected and how to mend it below."""
    print(f"{finding.check:<14}{WORDS[finding.state]:<8}{finding.found}", file=sys.stderr, flush=True)
    for word, text in (("expected", finding.expected), ("mend", finding.mend)):
        if text:
            print(f"{'':<22}{word}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
