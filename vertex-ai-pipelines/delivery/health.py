"""What is wrong with a flow in an environment: its last run, or a candidate without a pull request."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from delivery import follow, logs, markdown, pull, releases, settings
from delivery.candidate import Candidate, claimed
from delivery.follow import ENDED, Outcome
from delivery.jobs import OVERRIDDEN, Jobs, console
from delivery.settings import Environment
from flows import config

LOOKED_AT = 20  # newest jobs


@dataclass(frozen=True)
class Problem:
    """What is wrong. `key` is the same as long as it is the same problem; `text` is Markdown."""

    key: str
    title: str
    text: str


@dataclass(frozen=True)
class Run:
    """The flow's newest run that has ended."""

    job: Any
    outcome: Outcome

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.job.name.rsplit("/", 1)[1])

    @property
    def state(self) -> str:
        """How it ended: its state, or "rejected" by the gate."""
        refused = self.outcome.state == "SUCCEEDED" and not self.outcome.verdict.get("passed", True)
        return "rejected" if refused else self.outcome.state.lower()


class Newest(NamedTuple):
    """The newest run that tells of the flow's health, and the newest one that made a candidate."""

    ended: Run | None = None
    made: Run | None = None


def newest(jobs: Jobs, flow: str) -> Newest:
    """The flow's newest runs that have ended.

    One with overrides is an attempt of somebody's: it says nothing of the flow, but what it made counts.
    """
    found = Newest()
    for listed in jobs.newest(flow, LOOKED_AT):
        if listed.state.name.removeprefix("PIPELINE_STATE_") not in ENDED:
            continue
        job = jobs.find(listed.name)
        if job is None:
            continue
        run = Run(job, follow.outcome(job))
        if found.ended is None and OVERRIDDEN not in job.labels:
            found = found._replace(ended=run)
        if found.made is None and run.outcome.release:
            found = found._replace(made=run)
        if found.ended and found.made:
            break
    return found


def of_run(run: Run) -> Problem | None:
    """What is wrong with the newest run; None where it is well."""
    if run.state == "succeeded":
        return None
    step = next((one for one in run.outcome.steps if one.state in ("FAILED", "CANCELLED")), None)
    commit = str(run.job.labels.get("commit", ""))[:7]
    link = f"[{run.id}]({console(run.job.name)}), commit {markdown.code(commit)}"
    if run.state == "rejected":
        reasons = [f"- {markdown.text(why)}" for why in run.outcome.verdict.get("reasons", ())]
        text = "\n".join([f"The gate said no to {link}:", "", *reasons])
        return Problem(run.id, "the gate said no", text)
    where = f" at `{step.name}`" if step else ""
    words = logs.tail(run.job, step) if step else run.outcome.error.splitlines()
    text = f"{run.state.capitalize()}{where}: {link}.\n\n{markdown.block(words)}"
    return Problem(run.id, f"{step.name if step else 'the run'} {run.state}", text)


def candidate(environment: Environment, run: Run) -> Candidate | None:
    """The candidate that a run made; None where its model is the champion's, or it made none."""
    made = run.outcome
    if made.state != "SUCCEEDED" or made.release != "proposed":
        return None
    return claimed(environment, str(made.manifest), str(made.sha256), config.names())


def is_settled(repository: Any, found: Candidate) -> bool:
    """Whether the candidate has its pull request, or a newer one or people have decided on it.

    One that conflicts with main, as another's share was merged meanwhile, its workflow has to mend.
    """
    path = releases.path(found.environment, found.flow)
    age, current = releases.age(found.version), releases.read(settings.ROOT / path)
    if current and releases.age(current.newest.version) >= age:
        return True
    pulls = pull.find(repository, found.branch)
    if found.version in pulls.closed:
        return True
    there = pull.proposed(pulls.open)
    if pulls.open is None or there is None:
        return False
    conflicts = there.version == found.version and pulls.open.mergeable is False
    is_there = releases.age(there.version) >= age and not conflicts
    return is_there or pull.under_review(pulls.open) is not None
