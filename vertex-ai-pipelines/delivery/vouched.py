"""Who has looked at the manifests that a change of releases/ names: a pull request has no identity.

release-pr.yml has one. It looks at the model store and the pipeline job before it proposes anything, and
the titles of its runs say at what. What main has declared before needs no second look.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from delivery import git, grants, releases, workflow_run
from delivery.branch import MAIN
from delivery.declared import TAKE, Declared
from delivery.releases import Entry
from flows.errors import InputError, RetrainError

WORKFLOW = f"{grants.RELEASE}.yml"
LOOKED_AT = 1000  # newest runs: GitHub lists no more
WAIT, PERIOD = 180.0, 2.0  # seconds, for a run that is at work: it may be the one that proposes this

Known = Callable[[Declared, Entry], bool]


def title(environment: str, manifest: str, sha256: str) -> str:
    """The title of the run that looks at a manifest, as the workflow's run-name makes it."""
    return f"release-pr {environment} {manifest} {sha256}"


def problems(good: list[Declared], is_known: Known) -> Iterator[RetrainError]:
    """Every entry that is not known, and that no run vouches for. GitHub is asked for new ones alone."""
    new = [(one, role, entry) for one in good for role, entry in one.roles() if not is_known(one, entry)]
    repository = workflow_run.repository() if new else None
    for one, role, entry in new:
        if not _is_seen(repository, title(one.environment, entry.manifest, entry.sha256)):
            what = f"{entry.manifest} with sha256 = '{entry.sha256}'"
            yield InputError(
                f"{one.file} [{role}]: no run of {WORKFLOW} on {MAIN} has seen {what}",
                f"{TAKE}, or start {WORKFLOW} for it",
            )


def known(root: Path, base: str, environments: list[str]) -> Known:
    """Whether the commit `base`, or one before it, declared that model of that flow anywhere."""

    def is_known(one: Declared, entry: Entry) -> bool:
        paths = [releases.path(environment, one.flow) for environment in environments]
        return any(
            _same(entry, earlier)
            for commit in git.history(root, base, paths)
            for path in paths
            for earlier in _entries(git.text(root, commit, path), path)
        )

    return is_known


def _entries(text: str | None, path: str) -> tuple[Entry, ...]:
    """The entries of a file as it was; none where it was not valid."""
    try:
        found = releases.parse(text, path)
    except InputError:
        return ()
    return found.entries if found else ()


def _same(entry: Entry, earlier: Entry) -> bool:
    return msgspec.structs.replace(entry, traffic=earlier.traffic) == earlier


def _is_seen(repository: Any, wanted: str) -> bool:
    """Whether a run of that title has succeeded, once none is at work that may be the one."""
    deadline = time.monotonic() + WAIT
    while None in (states := _states(repository, wanted)) and time.monotonic() < deadline:
        time.sleep(PERIOD)
    return "success" in states


def _states(repository: Any, wanted: str) -> set[str | None]:
    """The conclusions of all runs of that title; None for one that has not ended."""
    runs = repository.get_workflow(WORKFLOW).get_runs(branch=MAIN, event="workflow_dispatch")
    return {run.conclusion for run in islice(runs, LOOKED_AT) if run.display_title == wanted}
