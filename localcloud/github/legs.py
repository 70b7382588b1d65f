"""A job as it runs: one of those that a matrix makes of a job in the file."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.github.act import Event
from localcloud.github.hidden import Hidden
from localcloud.github.jobs import Job
from localcloud.github.prepared import MARK, Planned
from localcloud.github.repository import timestamp
from localcloud.github.runs import Run

SET_UP, COMPLETE = "--setup-job", "--complete-job"
NUMBER = re.compile(r"-\d+$")  # what act puts behind the name of a matrix's job

Step = dict[str, Any]


@dataclass
class Leg:
    """Its record, and what else has to be known of it while it runs."""

    plan: Planned
    record: Job
    matrix: Mapping[str, Any]
    hidden: Hidden
    may_fail: bool = False
    timer: threading.Timer | None = None
    failed: bool = False  # by a step of its own: act tells the worst of a whole matrix
    forgiven: bool = False
    late: bool = False
    closing: str = ""  # a step's last line, which act may tell before others of it

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return bool(self.record["status"] != "completed")

    def step(self, event: Event) -> Step | None:
        """The step of the file (or the first, or the last) that an event is about, and not its parts."""
        found = [str(one) for one in event.get("stepID") or event.get("stepid") or []]
        place = places(self.plan).get(found[0]) if len(found) == 1 else None
        return None if place is None else self.record["steps"][place]

    def finish(self, told: str) -> None:
        """Its end; `told` is act's word for it. A step that never began was skipped."""
        if told == "skipped":
            self.record["steps"] = []
        for step in self.record["steps"]:
            if step["status"] != "completed":
                ended = "cancelled" if self.late and step["status"] == "in_progress" else "skipped"
                end(step, ended)
        blameless = self.matrix and not self.failed  # act's word is that of the whole matrix
        word = "success" if told == "failure" and blameless else told
        conclusion = "cancelled" if self.late else word
        self.record |= {"status": "completed", "conclusion": conclusion, "completed_at": timestamp()}


def mark(run: Run, job: Planned, matrix: str) -> str:
    """What tells the processes of one job from all others; `matrix` is its matrix as JSON."""
    varies = "matrix" in (job.content.get("strategy") or {})
    return f"{run['id']}.{run['attempt']}.{job.key}.{matrix if varies else ''}"


def matrix_text(matrix: Mapping[str, Any]) -> str:
    """A job's matrix as act's toJSON writes it."""
    return json.dumps(matrix, indent=2, sort_keys=True)


def places(plan: Planned) -> dict[str, int]:
    """Where a job's steps stand in its record, by the names that act has for them."""
    named = [str(step.get("id") or index) for index, step in enumerate(plan.steps)]
    return {name: place for place, name in enumerate([SET_UP, *named, COMPLETE])}


def steps(plan: Planned) -> list[Step]:
    """The steps of a job that has not begun."""
    names = ["Set up job", *(step_name(step) for step in plan.steps), "Complete job"]
    times = {"started_at": None, "completed_at": None}
    return [
        {"name": name, "number": number, "status": "pending", "conclusion": None, **times}
        for number, name in enumerate(names, 1)
    ]


def step_name(step: Mapping[str, Any], shown: str = "") -> str:
    """A step's name as GitHub shows it; `shown` is what act has made of its expressions."""
    if "name" in step:
        return shown or str(step["name"])
    text = shown or str(step.get("uses") or step.get("run") or "")
    return f"Run {text.strip().splitlines()[0]}" if text.strip() else "Run"


def begin(step: Step) -> None:
    """A step begins."""
    step |= {"status": "in_progress", "started_at": timestamp()}


def end(step: Step, conclusion: str) -> None:
    """A step ends; one that is skipped begins and ends at once."""
    now = timestamp()
    started = step["started_at"] or now
    step |= {"status": "completed", "conclusion": conclusion, "started_at": started, "completed_at": now}


def job_name(event: Event, plan: Planned, callers: dict[str, str]) -> str:
    """A job's name as GitHub shows it; `callers` holds those of the jobs that call workflows."""
    text, matrix = event["job"], event.get("matrix") or {}
    marks = list(MARK.finditer(text))
    own = text[marks[-1].end() :].strip()
    parent = plan.key.rpartition("/")[0]
    if len(marks) > 1:
        between = text[marks[-2].end() : marks[-1].start()].rsplit("/", 2)[0]
        callers[parent] = _above(parent, callers) + (NUMBER.sub("", between).strip() or _last(parent))
    name = NUMBER.sub("", own) if matrix or plan.content.get("strategy") else own
    told = "matrix." in str(plan.content.get("name") or "")
    values = [] if told else [str(value) for value in _ordered(plan, matrix)]
    suffix = f" ({', '.join(values)})" if values else ""
    return _above(plan.key, callers) + (name or _last(plan.key)) + suffix


def _above(key: str, callers: Mapping[str, str]) -> str:
    parent = key.rpartition("/")[0]
    return f"{callers.get(parent, parent)} / " if parent else ""


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _ordered(plan: Planned, matrix: Mapping[str, Any]) -> list[Any]:
    """A matrix's values in the file's order."""
    named = (plan.content.get("strategy") or {}).get("matrix")
    order = list(named) if isinstance(named, dict) else []
    return [
        matrix[key] for key in sorted(matrix, key=lambda key: order.index(key) if key in order else 99)
    ]
