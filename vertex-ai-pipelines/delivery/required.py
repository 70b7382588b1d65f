"""`./scripts/required`: one answer for all jobs of a workflow. The standard library alone."""

import argparse
import json
import sys
from typing import Any

from delivery.command import run
from flows.errors import InputError, RetrainError

PLAN = "plan"
MEND = "pass GitHub's own: toJSON(needs)"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/required", description=__doc__)
    main.add_argument("needs", metavar="NEEDS", help="GitHub's `needs`, as JSON")
    return main


def main(argv: list[str]) -> int:
    """Say how each job ended. Raises RetrainError where one did not come out well."""
    needs = read(parser().parse_args(argv).needs)
    for job, need in needs.items():
        print(f"{job:<14}{need['result']}")
    wrong = failures(needs)
    if wrong:
        raise RetrainError("; ".join(wrong), "mend what failed, or start the run again")
    return 0


def read(text: str) -> dict[str, dict[str, Any]]:
    """Job → its result and outputs. Raises InputError where `text` is something else."""
    try:
        needs = json.loads(text)
    except ValueError as error:
        raise InputError(f"NEEDS is not JSON: {error}", MEND) from None
    if not isinstance(needs, dict) or not all(
        isinstance(need, dict) and "result" in need for need in needs.values()
    ):
        raise InputError("NEEDS holds no results of jobs", MEND)
    if PLAN not in needs:
        raise InputError(f"NEEDS holds no job '{PLAN}'", "let this job need all the others")
    return needs


def failures(needs: dict[str, dict[str, Any]]) -> list[str]:
    """What did not come out well: a skip is right only where the plan itself says false."""
    allowed = needs[PLAN].get("outputs") or {}
    return [
        f"job '{job}' ended as {need['result']}" + (_why(job) if need["result"] == "skipped" else "")
        for job, need in needs.items()
        if need["result"] != "success"
        and not (job != PLAN and need["result"] == "skipped" and allowed.get(job) == "false")
    ]


def _why(job: str) -> str:
    return f", and the plan does not say {job}=false"


if __name__ == "__main__":
    sys.exit(run(main))
