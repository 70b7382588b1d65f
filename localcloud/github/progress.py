"""What act reports, line by line, made into jobs, steps, outputs, summaries and lines of logs."""

import re
import threading
from collections.abc import Callable, Collection, Container, Mapping
from typing import Any

from localcloud.github import legs
from localcloud.github.act import Event
from localcloud.github.hidden import Hidden
from localcloud.github.jobs import Job, Jobs
from localcloud.github.legs import SET_UP, Leg
from localcloud.github.prepared import MARK, Planned
from localcloud.github.runs import Run
from localcloud.github.startup import needs

MOST_MINUTES = 360  # of a job, as GitHub's
SHOWN = ("group", "endgroup", "error", "warning", "notice")
EXIT = re.compile(r"exit(?:ed with)? (?:status|code) (\d+)$")
NO_RUNNER = "Skipping unsupported platform"
FORGIVEN = "Failed but continue next step"
BEGINS = re.compile(r"⭐ Run (?:Main )?(.*)", re.DOTALL)
NEVER = "##[error]This job never ran: act ended before it, or left it out."

Told = Callable[[Leg, str], None]


class Progress:
    """Takes events. `say` gets the lines of a job's log, `on_late` a job whose time is up."""

    def __init__(self, run: Run, jobs: Jobs, plans: Mapping[str, Planned], say: Told) -> None:
        self._run, self._jobs, self._plans, self._say = run, jobs, plans, say
        self.on_late: Callable[[Leg], None] = lambda _: None
        self.legs: dict[str, Leg] = {}
        self.hidden: Collection[str] = ()  # what all jobs hide: act hides it in its own words alone
        self.settled: Container[str] = ()  # the keys of jobs that are not run again
        self._callers: dict[str, str] = {}
        self._skipped = set[str]()
        self._lock = threading.RLock()

    def keep(self, record: Job) -> Job:
        """A job of the attempt before that is not run again; returns it as one of this attempt."""
        fields = {name: value for name, value in record.items() if name not in ("id", "attempt")}
        leg = self._leg(self._plans[record["key"]], fields)
        self.legs[f"{record['id']}"] = leg
        return leg.record

    def take(self, event: Event) -> None:
        """One event."""
        marks = list(MARK.finditer(event.get("job", "")))
        plan = self._plans.get(marks[-1][1]) if marks else None
        if plan is None or plan.key in self.settled:
            return
        name = event["job"].strip()
        with self._lock:
            leg = self.legs.get(name)
            if leg is None:
                leg = self._first(event, plan, marks[-1])
            if leg is not None:
                self.legs[name] = leg
                if event.get("command") == "add-mask":
                    leg.hidden.add(event["arg"])
                self._note(leg, event)
                self._change(leg, event)

    def _first(self, event: Event, plan: Planned, mark: re.Match[str]) -> Leg | None:
        """A job that begins, or never will."""
        skipped = event.get("jobResult") == "skipped"
        if skipped:
            self._skipped.add(plan.key)
        begins = event.get("stepid") == [SET_UP] or NO_RUNNER in event["msg"]
        if not skipped and (plan.called or not begins):
            return None
        leg = self._new(plan, legs.job_name(event, plan, self._callers), event.get("matrix") or {})
        leg.may_fail, leg.record["environment"] = mark[3] == "true", mark[2]
        if not skipped:
            self._limit(leg, mark[4])
        return leg

    def _new(self, plan: Planned, name: str, matrix: Mapping[str, Any]) -> Leg:
        labels = plan.content.get("runs-on") or []
        fields = {
            "key": plan.key,
            "name": name,
            "matrix": dict(matrix),
            "labels": labels if isinstance(labels, list) else [str(labels)],
            "steps": [] if plan.called else legs.steps(plan),
            "environment": "",
        }
        return self._leg(plan, fields)

    def _leg(self, plan: Planned, fields: Mapping[str, Any]) -> Leg:
        record = self._jobs.create(self._run, fields)
        return Leg(plan, record, fields["matrix"], Hidden(self.hidden))

    def _limit(self, leg: Leg, minutes: str) -> None:
        minutes = minutes or f"{MOST_MINUTES}"
        leg.timer = threading.Timer(60 * float(minutes), self._late, [leg, minutes])
        leg.timer.daemon = True
        leg.timer.start()

    def _late(self, leg: Leg, minutes: str) -> None:
        with self._lock:
            if not leg.running:
                return
            leg.late = True
        self._say(leg, f"##[error]The job has exceeded the maximum execution time of {minutes} minutes.")
        self.on_late(leg)

    def _change(self, leg: Leg, event: Event) -> None:
        """What an event changes in the record."""
        step, msg, result = leg.step(event), event["msg"], event.get("stepResult")
        command, main = event.get("command"), event.get("stage") in ("Main", None)
        if msg == FORGIVEN and step:
            leg.forgiven = True
        elif result and step and main:
            self._step_ended(leg, step, result)
        elif result == "failure" and step:
            leg.failed = True
        elif step and main and (begins := BEGINS.match(msg)) and not event.get("raw_output"):
            self._step_begins(leg, step, begins[1])
        elif command == "set-output" and step:
            self._put_out(leg, str(event["stepID"][0]), event)
        elif command == "summary":
            leg.record["summary"] += leg.hidden.hide(event.get("content", ""))
        elif NO_RUNNER in msg:
            self._end(leg, "failure")
        elif "jobResult" in event:
            self._end(leg, event["jobResult"])
        else:
            return
        self._jobs.save(leg.record)

    @staticmethod
    def _put_out(leg: Leg, step: str, event: Event) -> None:
        """Keep an output for the next attempt; one that holds a secret is left out, as at GitHub."""
        if leg.hidden.hide(event["arg"]) == event["arg"]:
            leg.record["outputs"].setdefault(step, {})[event["name"]] = event["arg"]

    def _step_begins(self, leg: Leg, step: legs.Step, shown: str) -> None:
        number = step["number"] - 2
        if 0 <= number < len(leg.plan.steps):
            step["name"] = legs.step_name(leg.plan.steps[number], shown)
        legs.begin(step)

    @staticmethod
    def _step_ended(leg: Leg, step: legs.Step, result: str) -> None:
        failed = result == "failure" and not leg.forgiven
        leg.failed, leg.forgiven = leg.failed or failed, False
        bad = "cancelled" if leg.late else "failure"
        legs.end(step, bad if failed else result.replace("failure", "success"))

    def _end(self, leg: Leg, told: str) -> None:
        if leg.running:
            if leg.timer:
                leg.timer.cancel()
            leg.finish(told)
            self._jobs.save(leg.record)

    def _note(self, leg: Leg, event: Event) -> None:
        """The lines of its log that an event is worth."""
        msg, command = event["msg"].rstrip("\r\n"), event.get("command")
        if leg.closing and not event.get("raw_output") and ("jobResult" in event or BEGINS.match(msg)):
            self._say(leg, leg.closing)
            leg.closing = ""
        if event.get("raw_output"):
            self._say(leg, msg)
        elif command in SHOWN:
            self._say(leg, f"##[{command}]{event.get('arg', '')}")
        elif command:
            return
        elif NO_RUNNER in msg:
            self._say(leg, f"##[error]No runner has the label of this job: {leg.record['labels']}")
        elif event.get("level") == "error":
            code = EXIT.search(msg)
            if code:
                leg.closing = f"##[error]Process completed with exit code {code[1]}."
            else:
                self._say(leg, f"##[error]{msg}")
        elif event.get("stage") == "Main" and (begins := BEGINS.match(msg)):
            first = begins[1].strip().partition("\n")[0]
            inner = len(event["stepID"]) > 1 and "$GITHUB_ACTION_PATH/" not in first
            if inner or leg.step(event):  # how a stand-in does it is of no interest
                self._say(leg, f"##[group]Run {first}\n##[endgroup]")

    def stop(self) -> None:
        """Whatever runs is cancelled: act tells it as failed."""
        with self._lock:
            for leg in self.legs.values():
                leg.late = leg.late or leg.running

    def close(self, stopped: bool) -> None:
        """act has ended: what still runs is cancelled; what never ran has failed or was skipped."""
        with self._lock:
            if stopped:
                self.stop()
            for leg in self.legs.values():
                self._end(leg, "failure")
            for plan in [] if stopped else self._plans.values():
                if not (plan.called or self._ran(plan) or self._above_skipped(plan)):
                    self._never(plan)

    def _ran(self, plan: Planned) -> bool:
        return any(leg.plan.key == plan.key for leg in self.legs.values())

    def _above_skipped(self, plan: Planned) -> bool:
        return any(plan.key.startswith(f"{key}/") for key in self._skipped)

    def _never(self, plan: Planned) -> None:
        """A job without a result: its needs' failure explains it, unless it has its own condition."""
        above = plan.key.rpartition("/")[0]
        waits = {f"{above}/{one}".strip("/") for one in needs(plan.content)}
        bad = [leg for leg in self.legs.values() if leg.record["conclusion"] != "success"]
        failed = {key for leg in bad for key in _up(leg)}
        explained = "if" not in plan.content and bool(waits & failed)
        leg = self._new(plan, str(plan.content.get("name") or plan.key), {})
        self.legs[plan.key] = leg
        if not explained:
            self._say(leg, NEVER)
        self._end(leg, "skipped" if explained else "failure")

    @property
    def conclusion(self) -> str:
        """The run's, as its jobs ended."""
        ended = [(leg.record["conclusion"], leg.may_fail) for leg in self.legs.values()]
        if not ended or ("failure", False) in ended:
            return "failure"
        found = {conclusion for conclusion, _ in ended}
        return "cancelled" if "cancelled" in found else "skipped" if found == {"skipped"} else "success"

    @property
    def summary(self) -> str:
        """All that the jobs wrote as their summaries."""
        return "".join(leg.record["summary"] for leg in self.legs.values())


def _up(leg: Leg) -> list[str]:
    """A job's key and those of its callers."""
    parts = leg.plan.key.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
