"""Rules for the workflow files that no linter has; `./scripts/check` runs them.

`python -m delivery.hardening [FOLDER]` prints a line for each break: file:line: what; mend.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from delivery import hardening_conditions, hardening_jobs, hardening_steps
from delivery.command import run
from delivery.settings import ROOT
from delivery.workflow_file import WorkflowFile, files, read
from flows.errors import InputError, RetrainError

Break = tuple[int, str, str]  # the line, what is wrong, how to mend it
Rule = Callable[[WorkflowFile], Iterator[Break]]


class Finding(NamedTuple):
    """A rule that is broken, and where."""

    file: str
    line: int
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; {self.mend}"


def findings(root: Path) -> list[Finding]:
    """What is wrong in the workflows and actions of the repository at `root`."""
    read_all, found = list[WorkflowFile](), list[Finding]()
    for path in files(root):
        try:
            read_all.append(read(root, path))
        except InputError as error:
            name, line, what = error.what.split(":", 2)
            found.append(Finding(name, int(line), what.strip(), "write a workflow"))
    for file in read_all:
        for rule in rules(root, read_all):
            found += [Finding(file.path, *broken) for broken in rule(file)]
    return sorted(found)


def rules(root: Path, others: list[WorkflowFile]) -> list[Rule]:
    """Every rule; some look at the files beside the one that is judged."""
    return [
        hardening_jobs.no_rights_by_default,
        hardening_jobs.rights_have_reasons,
        hardening_jobs.checkouts_may_read,
        hardening_jobs.callees_have_their_callers_rights(others),
        hardening_jobs.groups_are_their_own,
        hardening_jobs.nothing_is_lost_in_a_queue,
        hardening_jobs.runners_are_known,
        hardening_jobs.jobs_end,
        hardening_conditions.identity_is_mains,
        hardening_conditions.no_app_starts_it,
        hardening_jobs.required_needs_all,
        hardening_steps.everything_has_a_name,
        hardening_steps.actions_are_pinned,
        hardening_steps.checkouts_keep_no_token,
        hardening_steps.steps_are_verbs(root),
        hardening_steps.shell_lines_hold_no_expressions,
        hardening_steps.values_are_no_options,
        hardening_steps.no_secrets,
        hardening_steps.nothing_floats,
        hardening_steps.failures_count,
    ]


def main(argv: list[str]) -> int:
    """Print what is wrong. Raises RetrainError where something is."""
    found = findings(Path(argv[0]) if argv else ROOT)
    for finding in found:
        print(finding)
    if found:
        raise RetrainError("rules for workflows are broken", "mend the lines above")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
