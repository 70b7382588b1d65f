"""Who uses which image: releases/ in all commits on GitHub, new commits' tags, jobs, model versions."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from delivery import git
from delivery.settings import ROOT, Environment
from flows.errors import InputError, RetrainError

DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})\b")
LONGEST = timedelta(days=60)  # that a pipeline job may run


class Uses(NamedTuple):
    """What may not be deleted, and why: images by digest, and commits, whose tags images have."""

    digests: dict[str, str]
    commits: dict[str, str]


def uses(repository: str, environments: Iterable[Environment], since: datetime) -> Uses:
    """All uses of images by the repository on GitHub and by jobs of the environments.

    Commits and ended jobs count where they are of `since` or later. Raises RetrainError where one of
    them cannot be asked: what is not known to be unused is in use.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone = History(repository, Path(folder))
        digests, commits = clone.released(), clone.commits(since)
    for environment in environments:
        digests |= dict.fromkeys(_of_jobs(environment, since), f"a job in {environment.name} uses it")
        registered = f"a model version in {environment.name} is served by it"
        digests |= dict.fromkeys(_of_models(environment), registered)
    return Uses(digests, commits)


class History:
    """A copy of all branches of a repository on GitHub as they are now, in an empty folder."""

    def __init__(self, repository: str, folder: Path, source: str = "") -> None:
        self._folder, self._what = folder, f"the history of {repository}"
        url = source or f"https://github.com/{repository}.git"
        self._git("clone", "--quiet", "--bare", f"--reference-if-able={ROOT}", url, ".")

    def released(self) -> dict[str, str]:
        """The digests that any version of a file in releases/ names, on any branch, and why they count.

        A release that is proposed is on a branch of its own: merging it must find its image.
        """
        told = self._git("log", "--all", "--full-history", "-m", "-p", "--format=", "--", "releases/")
        return dict.fromkeys(DIGEST.findall(told), "releases/ names it")

    def commits(self, since: datetime) -> dict[str, str]:
        """The branches' newest commits and those since then, and why they count."""
        heads = self._git("for-each-ref", "--format=%(objectname) %(refname:short)", "refs/heads")
        rows = [line.split() for line in self._git("log", "--all", "--format=%H %ct").splitlines()]
        new = {commit: "its commit is new" for commit, at in rows if int(at) >= since.timestamp()}
        named = [line.partition(" ") for line in heads.splitlines()]
        return {**new, **{commit: f"{branch} is at its commit" for commit, _, branch in named}}

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._folder,
            env={**os.environ, **_credentials()},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise RetrainError(
                f"{self._what} cannot be read: {done.stderr.strip()[-300:]}",
                "put a token that may read the repository into GITHUB_TOKEN, or mend settings.toml",
            )
        return done.stdout


def _credentials() -> dict[str, str]:
    """Variables for git: it asks nobody, and shows GITHUB_TOKEN where there is one."""
    quiet = {"GIT_TERMINAL_PROMPT": "0"}
    if not (token := os.environ.get("GITHUB_TOKEN")):
        return quiet
    return {**quiet, **git.credentials(token)}


def _of_jobs(environment: Environment, since: datetime) -> Iterator[str]:
    """The digests of jobs that have not ended, or that were started since then."""
    from delivery.follow import ENDED
    from delivery.jobs import Jobs

    jobs = Jobs(environment)
    for listed in jobs.started(since - LONGEST):
        state = listed.state.name.removeprefix("PIPELINE_STATE_")
        if listed.create_time >= since or state not in ENDED:
            # A list may leave out what each job runs.
            found = listed if listed.pipeline_spec else jobs.find(listed.name)
            yield from images(found)


def _of_models(environment: Environment) -> Iterator[str]:
    """The digests of the versions in the Model Registry: any of them may be rolled back to."""
    from delivery.model_registry import images as registered

    for name in registered(environment):
        if found := DIGEST.search(name):
            yield found[1]


def images(job: Any) -> set[str]:
    """The digests of a job's images. Raises InputError for one without: it may be any."""
    spec = (job.pipeline_spec if job else None) or {}
    executors = spec.get("deploymentSpec", {}).get("executors", {}).values()
    named = {str(one["container"]["image"]) for one in executors if "container" in one}
    if floating := sorted(one for one in named if not DIGEST.search(one)):
        what = f"pipeline job {job.name} uses {floating[0]}, which is no digest"
        raise InputError(what, "wait until it has ended, or is old")
    return {found[1] for one in named if (found := DIGEST.search(one))}
