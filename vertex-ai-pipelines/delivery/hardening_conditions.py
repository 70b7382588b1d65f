"""Rules for the conditions of jobs: which branch, and who may start or repeat them."""

import re
from collections.abc import Iterator

from delivery.workflow_file import Node, WorkflowFile

Breaks = Iterator[tuple[int, str, str]]

MAIN = "github.ref == 'refs/heads/main'"
MAINS = {
    MAIN,
    f"({MAIN} || inputs.environment == 'experiment')",
}  # experiments have an account of their own
# Apps press no button and repeat no run: the notify App's key is in the reach of a pipeline's steps.
NO_APP = "!endsWith(github.triggering_actor || github.actor, '[bot]')"
NO_APP_AGAIN = f"(github.run_attempt == 1 || {NO_APP})"
BUTTONS = {NO_APP} | {
    f"(github.event_name == '{event}' && github.run_attempt == 1 || {NO_APP})"
    for event in ("push", "schedule")
}
NO_BUTTON = {"push", "schedule", "pull_request", "merge_group"}  # events that are nobody's request
FOR_APPS = {"release-pr"}  # what the notify App is for
JUDGE = "required"  # it says again what the others came to, whoever asks
# A job that runs though one that it needs did not.
ANYWAY = re.compile(r"\b(always|failure|cancelled)\(")
PARTS = re.compile(r"'[^']*'|&&|\|\||[()]")


def identity_is_mains(file: WorkflowFile) -> Breaks:
    """Only what main has becomes an account; the federation's conditions demand it, too."""
    for key, job in file.jobs.items():
        right = job.at("permissions", "id-token")
        if right is None or right.text != "write":
            continue
        if not _is_mains(file, job):
            yield right.line, f"job '{key}' becomes an account on any branch", f"set if: {MAIN}"
        if "pull_request" in file.triggers:
            yield right.line, f"job '{key}' gives a pull request an identity", "move it elsewhere"


def no_app_starts_it(file: WorkflowFile) -> Breaks:
    """Each job refuses Apps by itself, in every workflow that is not for one.

    What comes first is not enough: who repeats a run's failed jobs skips the ones that succeeded.
    """
    for key, job in file.jobs.items():
        condition = job.say("if")
        first = not job.at("needs") or ANYWAY.search(condition)
        asked = first and not file.triggers <= NO_BUTTON
        allowed = BUTTONS if asked else BUTTONS | {NO_APP_AGAIN}
        if file.stem not in FOR_APPS and key != JUDGE and allowed.isdisjoint(terms(condition)):
            mend = f"set if: … && {NO_APP if asked else NO_APP_AGAIN}"
            yield job.line, f"job '{key}' lets an App start it", mend


def terms(condition: str) -> list[str]:
    """What must all be true for a condition to be: its parts between `&&`; with an `||`, the whole."""
    whole = " ".join(condition.split())
    depth, start, found = 0, 0, list[str]()
    for part in PARTS.finditer(whole):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if part[0] == "||" and not depth:
            return [whole]
        if part[0] == "&&" and not depth:
            found, start = [*found, whole[start : part.start()].strip()], part.end()
    return [*found, whole[start:].strip()]


def _is_mains(file: WorkflowFile, job: Node) -> bool:
    """Whether the job runs on main alone: by its own condition, or as it needs a job that does."""
    condition, needs = job.say("if"), job.at("needs")
    if not MAINS.isdisjoint(terms(condition)):
        return True
    before = [file.jobs[item.text] for item in needs.items if item.text in file.jobs] if needs else []
    return not ANYWAY.search(condition) and any(_is_mains(file, one) for one in before)
