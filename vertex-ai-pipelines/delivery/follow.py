"""Following a pipeline job: one line a step as it ends, and what the job says when it has ended."""

import shutil
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from delivery.components import STEPS
from delivery.jobs import Jobs
from delivery.work import Work, alone
from flows.errors import RetrainError

FIRST_PERIOD, LONGEST_PERIOD, GROWTH = 0.1, 5.0, 1.15  # seconds between two looks
CLEAR = "\r\033[K"  # what the terminal's present line holds
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}
ENDED_TASK = {*ENDED, "SKIPPED"}


@dataclass(frozen=True)
class Step:
    """One step's end: its name, state, seconds, whether its outputs came from the cache."""

    name: str
    state: str
    seconds: float
    cached: bool
    summary: str
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """What an ended job says. `release` is upload_model's state, None where it did not run."""

    state: str
    steps: list[Step]
    metrics: dict[str, float | None] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)
    release: str | None = None
    manifest: str | None = None
    sha256: str | None = None
    error: str = ""


class Screen:
    """Standard error: a line a fact and, on a terminal, below it what runs just now."""

    def say(self, text: str) -> None:
        """A line that stays."""
        clear = CLEAR if sys.stderr.isatty() else ""
        print(f"{clear}{text}", file=sys.stderr, flush=True)

    def show(self, text: str) -> None:
        """A line that the next one replaces; on a terminal alone."""
        if sys.stderr.isatty():
            room = max(shutil.get_terminal_size().columns - 3, 0)  # what is wrapped stays
            sys.stderr.write(f"{CLEAR}  {text[:room]}" if text else CLEAR)
            sys.stderr.flush()


def follow(jobs: Jobs, name: str) -> Outcome:
    """Print each step as it ends, to standard error, until the job has ended.

    Raises RetrainError where there is no such job.
    """
    return alone(watch(jobs, name, Screen()))


def watch(jobs: Jobs, name: str, screen: Screen) -> Work[Outcome]:
    """The same as work that waits between its looks, for who has several jobs to follow.

    It looks more seldom while nothing changes.
    """
    shown, period, seen = set[str](), FIRST_PERIOD, ""
    while True:
        job = jobs.find(name)
        if job is None:
            raise RetrainError(
                f"there is no pipeline job {name}", "it was deleted while it was followed"
            )
        for task in job.job_detail.task_details:
            if _has_ended(task) and task.task_name not in shown:
                shown.add(task.task_name)
                screen.say(line(step(task)))
        screen.show(running(job))
        if _state(job) in ENDED:
            return outcome(job)
        before = seen
        seen = str([(task.task_name, task.state.name) for task in job.job_detail.task_details])
        period = min(period * GROWTH, LONGEST_PERIOD) if seen == before else FIRST_PERIOD
        yield period


def running(job: Any) -> str:
    """The steps that run, and for how long."""
    now = [t for t in job.job_detail.task_details if t.state.name == "RUNNING" and _is_step(t)]
    return " · ".join(f"{_name(task):<14}{_age(task):>5.1f} s" for task in now)


def outcome(job: Any) -> Outcome:
    """What an ended job says of itself."""
    tasks = {_name(task): task for task in job.job_detail.task_details if _has_ended(task)}
    evaluate = outputs(tasks.get("evaluate"))
    upload = outputs(tasks.get("upload_model"))
    metrics = _artifact_metadata(tasks.get("evaluate"), "metrics")
    metrics.pop("summary", None)
    return Outcome(
        state=_state(job),
        steps=[step(tasks[name]) for name in STEPS if name in tasks],
        metrics=metrics,
        verdict=msgspec.json.decode(evaluate["verdict"]) if "verdict" in evaluate else {},
        release=upload.get("state"),
        manifest=upload.get("manifest"),
        sha256=upload.get("sha256"),
        error=job.error.message,
    )


def step(task: Any) -> Step:
    """A task's end as a Step."""
    seconds = (task.end_time - task.start_time).total_seconds() if task.end_time else 0.0
    metadata = dict(task.execution.metadata) if task.execution else {}
    return Step(
        name=_name(task),
        state=task.state.name,
        seconds=round(max(seconds, 0.0), 2),  # a clock may jump
        # Vertex AI calls a step whose outputs come from the cache skipped.
        cached=task.state.name == "SKIPPED" or bool(metadata.get("vertex-ai-pipelines-cached", False)),
        summary=_summary(task),
        error=task.error.message,
    )


def task_of(job: Any, step: str) -> Any:
    """The task of a step that ran."""
    return next(task for task in job.job_detail.task_details if _is_step(task) and _name(task) == step)


def line(step: Step) -> str:
    """A step as a person reads it."""
    bad = step.state in ("FAILED", "CANCELLED")
    what = " · ".join(filter(None, (step.state, step.error))) if bad else step.summary
    return (
        f"  {step.name:<14}{step.seconds:>5.1f} s{' (cached)' if step.cached else ''}   {what}".rstrip()
    )


def outputs(task: Any | None) -> dict[str, Any]:
    """A task's output parameters, which Vertex AI keeps as `output:NAME` of its execution."""
    metadata = dict(task.execution.metadata) if task and task.execution else {}
    return {k.removeprefix("output:"): v for k, v in metadata.items() if k.startswith("output:")}


def _state(job: Any) -> str:
    return str(job.state.name).removeprefix("PIPELINE_STATE_")


def _name(task: Any) -> str:
    return str(task.task_name).replace("-", "_")


def _is_step(task: Any) -> bool:
    """Whether a task is a component's that ran; the pipeline and its condition are listed too."""
    return _name(task) in STEPS and bool(task.start_time)


def _has_ended(task: Any) -> bool:
    return _is_step(task) and task.state.name in ENDED_TASK


def _summary(task: Any) -> str:
    found = [
        str(artifact.metadata["summary"])
        for artifacts in task.outputs.values()
        for artifact in artifacts.artifacts
        if artifact.metadata and "summary" in artifact.metadata
    ]
    return found[0] if found else str(outputs(task).get("manifest", "")).removesuffix("/manifest.json")


def _artifact_metadata(task: Any | None, name: str) -> dict[str, Any]:
    found = task.outputs[name].artifacts if task and name in task.outputs else []
    return dict(found[0].metadata or {}) if found else {}


def _age(task: Any) -> float:
    return float(max((datetime.now(UTC) - task.start_time).total_seconds(), 0.0))
