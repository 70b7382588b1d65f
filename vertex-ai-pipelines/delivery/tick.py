"""`./scripts/tick`: submit the flows that are due by their schedule, and report what is wrong."""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from delivery import (
    access,
    build,
    components,
    git,
    health,
    markdown,
    promoting,
    proposing,
    releases,
    report,
    schedule,
    settings,
    standby,
    submit,
    summary,
    workflow_run,
)
from delivery.command import run
from delivery.edit_verb import Asked
from delivery.health import Problem, Run
from delivery.jobs import Jobs, console
from delivery.report import Mark
from delivery.settings import Environment
from delivery.submit import Trigger, moment_in
from delivery.window import moment
from flows import config, serving_config
from flows.errors import RetrainError, explained
from flows.serving_config import Serving


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/tick", description=__doc__)
    main.add_argument("--environment", "--env", default="", help="(default: settings.toml's)")
    main.add_argument("--released", action="store_true", help="submit nothing: see to what is released")
    main.add_argument(
        "--elsewhere",
        action="store_true",
        help="print the other environments that have releases, as a workflow's output",
    )
    main.add_argument("--at", type=moment_in, help="the present, for example 2026-11-23T03:00:00+09:00")
    return main


def main(argv: list[str]) -> int:
    """Look at each flow; exit code 1 where one could not be submitted or reported."""
    arguments = parser().parse_args(argv)
    environment = settings.load().environment(arguments.environment)
    if arguments.elsewhere:
        print(f"environments={json.dumps(elsewhere(environment))}")
        return 0
    if environment.ends_at:
        say(f"'{environment.name}' is for experiments: people start them")
        return 0
    present = arguments.at or submit.present()
    submits = environment.retrains and not arguments.released
    tick = Tick(environment, Jobs(environment), workflow_run.repository(), present, submits)
    looks = [look(tick, name) for name in config.names()]
    rows = [[one.flow, one.run, one.words] for one in looks]
    summary.append(markdown.table(["flow", "newest run", ""], rows))
    return 0 if all(one.good for one in looks) else 1


def elsewhere(here: Environment) -> list[str]:
    """The environments beside `here` that main has released models to, but those of experiments."""
    others = (one for one in settings.load().environments.values() if one.name != here.name)
    names = (releases.path(one.name, "*") for one in others if not one.ends_at)
    return sorted({path.parent.name for name in names for path in settings.ROOT.glob(name)})


@dataclass(frozen=True)
class Tick:
    """One look at an environment at its present, with the repository's issues; whether it submits."""

    environment: Environment
    jobs: Jobs
    repository: Any
    present: datetime
    submits: bool


class Step(NamedTuple):
    """Something that a tick does with each flow, and what is told where it cannot."""

    key: str
    failed: str
    do: Callable[[Tick, str], list[Problem]]


@dataclass(frozen=True)
class Look:
    """What was seen of a flow, in Markdown for the job's summary; `good`: nothing failed on the way."""

    flow: str
    run: str = "–"
    words: str = ""
    good: bool = True


def look(tick: Tick, name: str) -> Look:
    """Submit the flow where it is due, and bring its issue up to date.

    Whatever goes wrong with it, the next flow has its turn.
    """
    problems, good = list[Problem](), True
    for step in STEPS:
        try:
            problems += step.do(tick, name)
        except Exception as error:  # its config.py is the flow's own code
            problems.append(_undone(step, name, error))
            good = False
    try:
        with access.named(f"the issues of {name}", "the next tick does it again"):
            return reported(tick, name, problems, good)
    except Exception as error:
        say(f"{name}: {_words(error)}")
        return Look(name, words=markdown.text(_words(error)), good=False)


def submitted(tick: Tick, name: str) -> list[Problem]:
    """Submit the flow where a moment of its schedule is due, once; what was missed before that."""
    if not tick.submits:
        return []
    _submit(tick, name)
    return late(tick, name)


def _submit(tick: Tick, name: str) -> None:
    flow = components.load(name)
    due = schedule.due(flow, tick.jobs, tick.present)
    if due is None:
        return
    trigger = Trigger(due.moment, git.head(settings.ROOT))
    # A push that trains nothing makes no image; content that is there is only tagged.
    for group in build.groups_of([name]):
        build.publish(tick.environment, group)
    plan = submit.planned(tick.jobs, flow, tick.environment, trigger, again=False)
    submit.submit(tick.jobs, flow, tick.environment, plan, due.labels(flow))
    say(f"{name}: {moment(due.moment)} · {plan['pipeline_job'].rsplit('/', 1)[1]}")


def ended(tick: Tick, name: str) -> list[Problem]:
    """End the stand-by of former champions whose time is over."""
    if serving := _serving(tick, name):
        for version in standby.end(tick.environment, name, serving, tick.present):
            say(f"{name}: {version}: its stand-by has ended")
    return []


def promoted(tick: Tick, name: str) -> list[Problem]:
    """Open the pull request for the challenger's next share, where flow.toml and the evidence say so."""
    serving = _serving(tick, name)
    if serving and serving.promote == "auto":
        asked = Asked(settings.load(), tick.environment, name, serving)
        app = partial(access.repository, asked.settings, asked.environment)
        with access.named(f"the next rung of {name}", "the next tick does it again"):
            if why := promoting.propose(asked, tick.repository, app, tick.present):
                say(f"{name}: {why}")
    return []


def _serving(tick: Tick, name: str) -> Serving | None:
    """How the flow is served; None where nothing is released."""
    released = settings.ROOT / releases.path(tick.environment.name, name)
    return serving_config.load(name, tick.environment.name) if released.exists() else None


def late(tick: Tick, name: str) -> list[Problem]:
    """The moments that were missed, until the job that came after them has ended."""
    job = schedule.late(name, tick.jobs)
    if job is None:
        return []
    label, missed = job.labels[schedule.LABEL], job.labels[schedule.MISSED]
    when = moment(datetime.strptime(label, schedule.FORM).replace(tzinfo=UTC))
    also = f"; before it, {missed} more came to nothing and are not made up for" if missed != "0" else ""
    link = f"[{job.name.rsplit('/', 1)[1]}]({console(job.name)})"
    text = f"No tick came in time for {when}{also}. It runs now: {link}."
    return [Problem(f"missed-{label}", "its schedule was missed", text)]


def reported(tick: Tick, name: str, problems: list[Problem], good: bool) -> Look:
    """The flow's issue as its runs, its candidate and `problems` want it."""
    last, made = health.newest(tick.jobs, name)
    mark = Mark(flow=name, environment=tick.environment.name)
    there = report.find(tick.repository, mark)
    mark = there.mark or mark
    found = [*problems, health.of_run(last) if last else None]
    candidate = health.candidate(tick.environment, made) if made else None
    missing = proposing.missing(tick.repository, candidate, mark) if candidate else None
    if candidate and missing:
        mark = msgspec.structs.replace(mark, started={candidate.version: missing.started})
        found.append(missing.problem)
    wrong = [one for one in found if one]
    issue = report.report(tick.repository, there, mark, wrong, _well(last))
    if candidate and missing and missing.is_due:
        proposing.start(tick.repository, candidate)  # its count is written
    words = "; ".join(one.title for one in wrong) or "well"
    say(f"{name}: {words}{f' · {issue.html_url}' if issue else ''}")
    link = f"[{words}]({issue.html_url})" if issue else words
    return Look(name, _run(last), link, good)


def say(words: str) -> None:
    """One line of progress."""
    print(f"tick          {words}", file=sys.stderr, flush=True)


def _run(last: Run | None) -> str:
    return f"[{last.id}]({console(last.job.name)}): {last.state}" if last else "–"


def _well(last: Run | None) -> str:
    return f"Well again: {_run(last)}." if last else "Well again."


def _undone(step: Step, name: str, error: Exception) -> Problem:
    words = _words(error)
    say(f"{name}: {words}")
    key = hashlib.sha256(words.encode()).hexdigest()[:8]
    return Problem(f"{step.key}-{key}", step.failed, markdown.block(words.splitlines()))


def _words(error: Exception) -> str:
    known = error if isinstance(error, RetrainError) else explained(error)
    return str(known or f"{type(error).__name__}: {error}")


STEPS = (
    Step("submit", "it could not be submitted", submitted),
    Step("standby", "a stand-by could not be ended", ended),
    Step("promote", "its next rung could not be proposed", promoted),
)

if __name__ == "__main__":
    sys.exit(run(main))
