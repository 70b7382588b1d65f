"""What came of a run, in Markdown: for the job's summary, and for an experiment's pull request."""

import sys
from itertools import islice
from typing import Any

from delivery import access, git, markdown, metrics, settings, workflow_run
from delivery.follow import Outcome
from delivery.jobs import console
from flows.config import FlowConfig
from flows.manifest import Comparison, Verdict
from flows.tables import convert

MOST = 300  # comments of a pull request that are looked at


def body(flow: FlowConfig, job: str, outcome: Outcome | None) -> str:
    """The run with its link; where it has ended, how: metrics against the champion, verdict, error."""
    title = f"### {flow.name}: [{job.rsplit('/', 1)[1]}]({console(job)})"
    given = f"With {markdown.code(flow.assignments)}." if flow.assignments else ""
    parts = [title, given, *(_ended(flow, outcome) if outcome else ["It was started."])]
    return "\n\n".join(part for part in parts if part)


def comment(flow: str, shown: str) -> str | None:
    """Put `shown` on the open pull request of this branch, in the place of what stands there of `flow`.

    Its address; None where the branch has no pull request. Raises RetrainError where GitHub refuses.
    """
    branch, repository = workflow_run.branch() or git.branch(settings.ROOT), workflow_run.repository()
    with access.named(f"the pull request of {branch}", "submit again: it finds the job there"):
        owner = repository.full_name.split("/")[0]
        pulls = repository.get_pulls(state="open", head=f"{owner}:{branch}") if branch else []
        found = next(iter(pulls), None)
        if found is None:
            print(f"comment       none: {branch} has no open pull request", file=sys.stderr)
            return None
        address = _put(found, f"<!-- retrain experiment {flow} -->", shown)
    print(f"comment       {address}", file=sys.stderr)
    return address


def _ended(flow: FlowConfig, outcome: Outcome) -> list[str]:
    verdict = convert(outcome.verdict, Verdict, "the verdict") if outcome.verdict else None
    comparison = verdict.comparison if verdict else None
    parts = [_verdict(outcome, verdict)]
    if outcome.metrics:
        parts += [_metrics(flow, outcome, comparison)]
    return [*parts, *(markdown.block(step.error.splitlines()) for step in outcome.steps if step.error)]


def _verdict(outcome: Outcome, verdict: Verdict | None) -> str:
    if verdict is None:
        return f"It ended as {outcome.state}. {markdown.text(outcome.error)}".strip()
    said = "passed" if verdict.passed else "refused"
    against = f", against {markdown.code(verdict.champion)}" if verdict.champion else ""
    reasons = [f"- {markdown.text(reason)}" for reason in verdict.reasons]
    return "\n".join([f"The gate: **{said}**{against}.", "", *reasons])


def _metrics(flow: FlowConfig, outcome: Outcome, comparison: Comparison | None) -> str:
    theirs = metrics.of_champion(outcome.metrics) if comparison else {}
    return metrics.compared(outcome.metrics, theirs, comparison, flow.gate.metric)


def _put(pull: Any, mark: str, shown: str) -> str:
    """The one comment with that mark says `shown`; of two that were made at once the first one stays.

    Only a workflow's own: anybody may write a mark.
    """
    text = f"{shown}\n\n{mark}"
    ours = (one for one in islice(pull.get_issue_comments(), MOST) if access.by_app(one))
    there = [one for one in ours if mark in (one.body or "")]
    if not there:
        return str(pull.create_issue_comment(text).html_url)
    if there[0].body != text:
        there[0].edit(text)
    for other in there[1:]:
        other.delete()
    return str(there[0].html_url)
