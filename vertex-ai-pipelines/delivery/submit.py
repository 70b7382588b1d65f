"""`./scripts/submit FLOW`: compile the flow's pipeline and start it on Vertex AI."""

import argparse
import json
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from delivery import (
    compiled,
    components,
    follow,
    image,
    lock,
    pipeline,
    provenance,
    releases,
    result,
    settings,
    summary,
    workflow_run,
)
from delivery.builder import Builder
from delivery.command import run
from delivery.git import head
from delivery.jobs import OVERRIDDEN, Jobs
from delivery.registry import Registry
from delivery.settings import Environment
from delivery.window import moment, window
from flows import config
from flows.config import FlowConfig
from flows.errors import InputError, RetrainError

MOMENT = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Trigger:
    """What made a run: its time and commit name the model version."""

    time: datetime
    commit: str
    attempt: int = 1

    @property
    def version(self) -> str:
        """v20261121-084500-abc1234, with -2, -3, … for a run made again."""
        again = f"-{self.attempt}" if self.attempt > 1 else ""
        return f"v{self.time.astimezone(UTC):{MOMENT}}-{self.commit[:7]}{again}"

    def job_id(self, flow: str, prefix: str = "") -> str:
        """The pipeline job's id: the same trigger gives the same job."""
        return f"{prefix}{flow.replace('_', '-')}-{self.version}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/submit", description=__doc__)
    main.add_argument("flow", metavar="FLOW", type=config.existing)
    main.add_argument("--environment", "--env", default="", help="(default: settings.toml's)")
    main.add_argument(
        "--trigger", type=moment_in, help="the trigger's time, for example 2026-11-21T08:45:00Z"
    )
    main.add_argument("--again", action="store_true", help="a new job, though this trigger has one")
    main.add_argument("--overrides", default="", help="for this job: train.factors=16 data.days=30")
    main.add_argument("--wait", action="store_true", help="follow the job to its end")
    main.add_argument(
        "--comment", action="store_true", help="an experiment's result to its branch's pull request"
    )
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """Submit, follow where asked; exit code 1 where the followed job failed."""
    arguments = parser().parse_args(argv)
    environment = settings.load().environment(arguments.environment)
    flow = components.load(arguments.flow, arguments.overrides)
    trigger = Trigger(arguments.trigger or present(), head(settings.ROOT))
    jobs = Jobs(environment)
    plan = planned(jobs, flow, environment, trigger, arguments.again)
    tells = arguments.comment and environment.ends_at is not None
    with cancelling(jobs, [plan["pipeline_job"]]):
        is_new = submit(jobs, flow, environment, plan)
        known = "" if is_new else " · there already"
        print(f"pipeline      {plan['pipeline_job'].rsplit('/', 1)[1]}{known}", file=sys.stderr)
        is_followed = arguments.wait or tells
        outcome = follow.follow(jobs, plan["pipeline_job"]) if is_followed else None
    shown = result.body(flow, plan["pipeline_job"], outcome)
    summary.append(shown)
    if tells:
        result.comment(flow.name, shown)
    if arguments.json:
        print(json.dumps(plan | (asdict(outcome) if outcome else {})))
    return 1 if outcome and outcome.state in ("FAILED", "CANCELLED") else 0


def present() -> datetime:
    """The moment of this workflow run, which a re-run shares with it; outside of a workflow, now."""
    return workflow_run.created_at() or datetime.now(UTC)


@contextmanager
def cancelling(jobs: Jobs, names: Iterable[str]) -> Iterator[None]:
    """Who stops waiting with Ctrl-C stops the jobs of `names`, as they are then, that are there."""
    from google.api_core.exceptions import NotFound

    try:
        yield
    except KeyboardInterrupt:
        # Cancelling has limits of its own; a second Ctrl-C would leave the job running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for name in names:
            with suppress(NotFound):
                jobs.cancel(name)
                print(f"\ncancelled     {name.rsplit('/', 1)[1]}", file=sys.stderr)
        raise


def planned(
    jobs: Jobs, flow: FlowConfig, environment: Environment, trigger: Trigger, again: bool
) -> dict[str, Any]:
    """The run that `trigger` asks for: its job's resource name, version, commit and image.

    Raises InputError for a missing image or environment, and for a gate that is not the commit's;
    RetrainError for an image that nobody vouches for, where the environment wants that, and InputError
    for one that does not hold what this commit does.
    """
    if not environment.train:
        raise InputError(
            f"settings.toml: environment '{environment.name}' does not train", "see its `train`"
        )
    refuse_another_gate(flow, environment)
    ran, serves = (_image(environment, group, trigger) for group in (flow.image, lock.BASE))
    # Experiments may share a project with what is released.
    prefix = f"{environment.name}-" if environment.ends_at else ""
    trigger = _next_attempt(jobs, flow, trigger, prefix) if again else trigger
    return {
        "pipeline_job": f"{jobs.parent}/pipelineJobs/{trigger.job_id(flow.name, prefix)}",
        "version": trigger.version,
        "commit": trigger.commit,
        "image": ran,
        "serving_image": serves,
    }


def submit(
    jobs: Jobs,
    flow: FlowConfig,
    environment: Environment,
    plan: dict[str, str],
    more: Mapping[str, str] = {},
) -> bool:
    """Start the job of `plan`, with `more` labels than its own; False where it is there already.

    Raises InputError for a missing table, RetrainError where Vertex AI refuses the job.
    """
    name = plan["pipeline_job"]
    if jobs.find(name):
        return False
    values = parameters(flow, environment, plan)
    own = {"flow": flow.name, "environment": environment.name, "commit": plan["commit"]}
    own |= {"run": number} if (number := workflow_run.number()) else {}
    spec = compiled.spec(flow, plan["image"], ends_at=environment.ends_at)
    if flow.assignments:  # told where people and release-pr read it: a label cannot hold them
        own |= {OVERRIDDEN: "yes"}
        spec["pipelineInfo"]["description"] = flow.assignments
    jobs.create(name.rsplit("/", 1)[1], spec, values, {**more, **own})
    return True


def parameters(flow: FlowConfig, environment: Environment, plan: dict[str, str]) -> dict[str, Any]:
    """The values of all pipeline parameters of one run."""
    rows = window(flow.data, environment.project)
    champions = environment.champions or environment.name
    released = releases.read(settings.ROOT / releases.path(champions, flow.name))
    champion = released.champion if released else None
    values = {
        "project": environment.project,
        "environment": environment.name,
        "query": flow.query,
        "window_from": moment(rows.start),
        "window_until": moment(rows.end),
        "snapshot": moment(rows.snapshot),
        "champion": champion.manifest if champion else "",
        "champion_sha256": champion.sha256 if champion else "",
        "model_store": environment.model_store,
        "s3_reader": _s3(environment, environment.secrets.s3_reader),
        "s3_writer": _s3(environment, environment.secrets.s3_writer),
        "github": _github(environment),
    }
    return values | plan | pipeline.options(flow)


def _image(environment: Environment, group: str, trigger: Trigger) -> str:
    """The commit's image of the group, by digest. Raises as `planned` does."""
    registry = Registry(f"{environment.artifact_registry}/{group}")
    digest = image.resolve(registry, trigger.commit)
    _refuse_unvouched(environment, registry, digest, group, trigger)
    return f"{registry.name}@{digest}"


def _refuse_unvouched(
    environment: Environment, registry: Registry, digest: str, group: str, trigger: Trigger
) -> None:
    """An image that train.yml has built is still another commit's, if somebody moved the tag."""
    provenance.check(environment, registry, digest)
    if environment.attest != "off" and trigger.commit == head(settings.ROOT):
        by = Builder(environment.builder)
        image.refuse_other_content(registry, digest, settings.ROOT, group, by)


def refuse_another_gate(flow: FlowConfig, environment: Environment) -> None:
    """What is released passes the gate that was reviewed; an experiment releases nothing."""
    if environment.ends_at or not flow.assignments:
        return
    if flow.gate != config.load(flow.name).gate:
        raise InputError(
            f"--overrides: '{environment.name}' releases what passes its gate, so nobody changes [gate]",
            "change it in flow.toml by a pull request, or submit to an environment with ends_at",
        )


def _next_attempt(jobs: Jobs, flow: FlowConfig, trigger: Trigger, prefix: str = "") -> Trigger:
    """The first attempt at `trigger` that has no job."""
    for attempt in range(2, 100):
        following = Trigger(trigger.time, trigger.commit, attempt)
        if jobs.find(f"{jobs.parent}/pipelineJobs/{following.job_id(flow.name, prefix)}") is None:
            return following
    raise RetrainError(f"{trigger.job_id(flow.name)} was made again 99 times", "use a new --trigger")


def _s3(environment: Environment, secret: str | None) -> str:
    """How a step reaches the model store, as one JSON table."""
    access = {"region": environment.aws_region, "auth": environment.s3_auth}
    if environment.s3_auth == "secret":
        access |= {"secret": secret or ""}
    else:
        access |= {"role": str(environment.s3_role), "audience": str(environment.s3_audience)}
    return msgspec.json.encode(access).decode()


def _github(environment: Environment) -> str:
    repository = settings.load().repository
    table = {"repository": repository, "secret": environment.secrets.github_notify}
    return msgspec.json.encode(table).decode()


def moment_in(text: str) -> datetime:
    """The time that a command line's `text` says; UTC where it names no zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        what = f"'{text}' is not a time; it looks like 2026-11-21T08:45:00Z"
        raise argparse.ArgumentTypeError(what) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(run(main))
