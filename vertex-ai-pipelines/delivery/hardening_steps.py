"""Rules for the steps of workflows and actions."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from delivery.workflow_file import Node, WorkflowFile

Breaks = Iterator[tuple[int, str, str]]

# Third-party actions: the version, and the commit that its tag names. Who takes a newer one in looks
# at it, and writes it here.
ACTIONS = {
    "actions/attest-build-provenance": ("v4.1.0", "a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32"),
    "actions/cache": ("v5.0.5", "27d5ce7f107fe9357f9df03efb73ab90386fccae"),
    "actions/checkout": ("v7.0.1", "3d3c42e5aac5ba805825da76410c181273ba90b1"),
    "actions/setup-python": ("v7.0.0", "5fda3b95a4ea91299a34e894583c3862153e4b97"),
    "google-github-actions/auth": ("v3.0.0", "7c6bc770dae815cd3e89ee6cdf493a5fab2cc093"),
}
VERB = re.compile(r"\./scripts/([a-z][a-z-]*)((?: [^;&|`<>()\n]*)?)( >> \"\$GITHUB_OUTPUT\")?\n?")
VALUE = re.compile(r'--[a-z][a-z0-9-]*="\$[A-Z][A-Z0-9_]*"')
SUBJECT = re.compile(
    r'"\$[A-Z][A-Z0-9_]*"'
)  # what a verb is about comes first; a job of ours has named it
LATEST = re.compile(r"\blatest\b", re.I)
SECRETS = re.compile(r"\bsecrets\s*[.\[]")


def everything_has_a_name(file: WorkflowFile) -> Breaks:
    """What people see on GitHub is a name of ours."""
    if not file.root.say("name"):
        yield 1, "it has no name", "begin it with: name: …"
    for key, job in file.jobs.items():
        if not job.say("name"):
            yield job.line, f"job '{key}' has no name", "give it one"
    for step in file.steps():
        if not step.say("name"):
            yield step.line, "a step has no name", "say what it does: name: …"


def actions_are_pinned(file: WorkflowFile) -> Breaks:
    """An action is a folder of ours, or the commit of a version that somebody has looked at."""
    for used in [found for owner in _owners(file) if (found := owner.at("uses"))]:
        name, _, ref = used.text.partition("@")
        if name.startswith("./"):
            continue
        version, commit = ACTIONS.get(name, ("", ""))
        if not commit:
            yield used.line, f"action '{name}' is not known", "add it to delivery/hardening_steps.py"
        elif ref != commit:
            yield used.line, f"{name} is not pinned to {version}", f"write {name}@{commit} # {version}"
        elif file.comment(used.line) != version:
            yield used.line, f"{name}'s comment is not its version", f"write # {version} behind it"


def checkouts_keep_no_token(file: WorkflowFile) -> Breaks:
    """No step but the check-out itself has the job's token in its git configuration."""
    for step in file.steps():
        checks_out = step.say("uses").startswith("actions/checkout@")
        if checks_out and step.say("with", "persist-credentials") != "false":
            yield step.line, "the check-out keeps its token", "set persist-credentials: false"


def steps_are_verbs(root: Path) -> Callable[[WorkflowFile], Breaks]:
    """The rule that each `run` is one verb that is in scripts/: what a workflow does, a laptop does."""

    def rule(file: WorkflowFile) -> Breaks:
        for run in _runs(file):
            found = VERB.fullmatch(run.text)
            if not found:
                yield run.line, "this is not one verb of scripts/", "write run: ./scripts/VERB …"
            elif not os.access(root / "scripts" / found[1], os.X_OK):
                yield run.line, f"there is no ./scripts/{found[1]}", "name a verb that is there"

    return rule


def shell_lines_hold_no_expressions(file: WorkflowFile) -> Breaks:
    """What comes from outside is an environment variable's value, never a part of a program."""
    for run in _runs(file):
        if "${{" in run.text:
            yield run.line, "a shell line holds an expression", "pass it by env: and quote the variable"


def values_are_no_options(file: WorkflowFile) -> Breaks:
    """What comes from outside is its option's value, also where it is -h and would ask for help."""
    for run in _runs(file):
        found = VERB.fullmatch(run.text)
        for place, word in enumerate(found[2].split() if found else []):
            named = VALUE.fullmatch(word) or (place == 0 and SUBJECT.fullmatch(word))
            if "$" in word and not named:
                yield run.line, f"{word} may be read as an option", 'write --option="$VARIABLE"'


def no_secrets(file: WorkflowFile) -> Breaks:
    """GitHub keeps no secret of ours: identities are federated, keys are in Secret Manager."""
    for key, job in file.jobs.items():
        if (found := job.at("secrets")) and found.text == "inherit":
            yield found.line, f"job '{key}' hands all secrets on", "pass what it needs by name"
    for scalar in file.root.scalars():
        if SECRETS.search(scalar.text):
            yield scalar.line, "it reads a secret of GitHub's", "use the job's identity, or github.token"


def nothing_floats(file: WorkflowFile) -> Breaks:
    """The same commit does the same tomorrow."""
    for scalar in file.root.scalars():
        if LATEST.search(scalar.text):
            yield scalar.line, f"'{scalar.text.strip()}' names latest", "name a version"


def failures_count(file: WorkflowFile) -> Breaks:
    """A step or job that cannot fail proves nothing."""
    for owner in _owners(file):
        if found := owner.at("continue-on-error"):
            yield found.line, "its failure would be passed over", "take continue-on-error out"


def _runs(file: WorkflowFile) -> list[Node]:
    return [found for step in file.steps() if (found := step.at("run"))]


def _owners(file: WorkflowFile) -> list[Node]:
    """Jobs and steps."""
    return [*file.jobs.values(), *file.steps()]
