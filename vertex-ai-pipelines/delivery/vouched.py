"""Who has looked at the manifests that a change of releases/ names: a pull request has no identity.

release-pr.yml has one. It looks at the model store and the pipeline job before it proposes anything, and
the titles of its runs say at what. What main has declared before needs no second look. That an entry's
image is the manifest's, deploy.yml sees on main, before anything serves.
"""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from delivery import git, grants, releases, workflow_run
from delivery.branch import MAIN
from delivery.declared import TAKE, Declared
from delivery.releases import Entry
from flows.errors import InputError, RetrainError

WORKFLOW = f"{grants.RELEASE}.yml"
FACTS = ("version", "manifest", "sha256", "image")  # as Entry.model has them
LOOKED_AT = 1000  # newest runs: GitHub lists no more
WAIT, PERIOD = 120.0, 2.0  # seconds, for runs that are at work: one of them may be what proposes this


def title(environment: str, manifest: str, sha256: str) -> str:
    """The title of the run that looks at a manifest, as the workflow's run-name makes it."""
    return f"release-pr {environment} {manifest} {sha256}"


def problems(
    root: Path, good: list[Declared], main: str, environments: list[str]
) -> Iterator[RetrainError]:
    """Every entry that `main`, a commit, has never declared, and no run of its own code vouches for.

    GitHub is asked for new entries alone.
    """
    new = dict[str, tuple[str, Entry]]()
    for one in good:
        declared = _declared(root, main, one.flow, environments)
        for role, entry in one.roles():
            if entry.model not in declared:
                where = one.at(role, _blamed(entry, declared))
                new[title(one.environment, entry.manifest, entry.sha256)] = (where, entry)
    seen = _seen(root, main, set(new)) if new else set()
    for wanted, (where, entry) in new.items():
        if wanted not in seen:
            what = f"{entry.manifest} with sha256 = '{entry.sha256}'"
            yield InputError(
                f"{where} no run of {WORKFLOW} on {MAIN} has seen {what}",
                f"{TAKE}, or start {WORKFLOW} for it",
            )


def _blamed(entry: Entry, declared: set[tuple[str, ...]]) -> str:
    """The key that is wrong: the first one that is not as main has declared that version."""
    known = next((model for model in sorted(declared) if model[0] == entry.version), entry.model)
    pairs = zip(FACTS, entry.model, known, strict=True)
    return next((key for key, ours, theirs in pairs if ours != theirs), FACTS[0])


def _declared(root: Path, main: str, flow: str, environments: list[str]) -> set[tuple[str, ...]]:
    """The models of a flow that main has ever declared, in whatever environment and with what share."""
    paths = [releases.path(environment, flow) for environment in environments]
    return {
        entry.model
        for commit in git.history(root, main, paths)
        for path in paths
        for entry in _entries(git.text(root, commit, path), path)
    }


def _entries(text: str | None, path: str) -> tuple[Entry, ...]:
    """The entries of a file as it was; none where it was not valid."""
    try:
        found = releases.parse(text, path)
    except InputError:
        return ()
    return found.entries if found else ()


def _seen(root: Path, main: str, wanted: set[str]) -> set[str]:
    """Which of these titles a run that has succeeded has, once none is at work that may be one."""
    workflow = workflow_run.repository().get_workflow(WORKFLOW)
    deadline = time.monotonic() + WAIT
    while True:
        ends = _ends(root, main, workflow, wanted)
        seen = {title for title, conclusion in ends if conclusion == "success"}
        is_waiting = any(title not in seen and conclusion is None for title, conclusion in ends)
        if not is_waiting or time.monotonic() > deadline:
            return seen
        time.sleep(PERIOD)


def _ends(root: Path, main: str, workflow: Any, wanted: set[str]) -> set[tuple[str, str | None]]:
    """Titles and conclusions of the runs, None while one is at work. A tag may be called main, too: the
    code that ran must have been main's.
    """
    return {
        (run.display_title, run.conclusion)
        for run in islice(workflow.get_runs(branch=MAIN, event="workflow_dispatch"), LOOKED_AT)
        if run.display_title in wanted and git.contains(root, main, run.head_sha)
    }
