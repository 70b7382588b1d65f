"""`./scripts/submit FLOW`: compile the flow's pipeline and start it on Vertex AI."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from delivery import compiled, components, follow, image, pipeline, releases, settings
from delivery.command import run
from delivery.git import head
from delivery.jobs import Jobs
from delivery.registry import Registry
from delivery.settings import Environment
from delivery.window import moment, window
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

    def job_id(self, flow: str) -> str:
        """The pipeline job's id: the same trigger gives the same job."""
        return f"{flow.replace('_', '-')}-{self.version}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/submit", description=__doc__)
    main.add_argument("flow", metavar="FLOW")
    main.add_argument("--environment", "--env", default="local", help="(default: %(default)s)")
    main.add_argument(
        "--trigger", type=_time, help="the trigger's time, for example 2026-11-21T08:45:00Z"
    )
    main.add_argument("--again", action="store_true", help="a new job, though this trigger has one")
    main.add_argument("--wait", action="store_true", help="follow the job to its end")
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """Submit, follow where asked; exit code 1 where the followed job failed."""
    arguments = parser().parse_args(argv)
    environment = settings.load().environment(arguments.environment)
    flow = components.load(arguments.flow)
    time = arguments.trigger or datetime.now(UTC)
    submitted = submit(flow, environment, Trigger(time, head(settings.ROOT)), arguments.again)
    print(f"pipeline      {submitted['pipeline_job'].rsplit('/', 1)[1]}", file=sys.stderr)
    if arguments.wait:
        submitted |= _follow(Jobs(environment), submitted["pipeline_job"])
    if arguments.json:
        print(json.dumps(submitted))
    return 1 if submitted.get("state") in ("FAILED", "CANCELLED") else 0


def _follow(jobs: Jobs, name: str) -> dict[str, Any]:
    """The job's outcome; who stops waiting stops the job."""
    try:
        return asdict(follow.follow(jobs, name))
    except KeyboardInterrupt:
        jobs.cancel(name)
        print(f"\ncancelled     {name.rsplit('/', 1)[1]}", file=sys.stderr)
        raise


def submit(flow: FlowConfig, environment: Environment, trigger: Trigger, again: bool) -> dict[str, Any]:
    """Start the job of `trigger`; where it is there already, that is success.

    Returns the job's resource name, version, commit and image. Raises InputError for a missing
    image, table or environment, RetrainError where Vertex AI refuses the job.
    """
    if not environment.train:
        raise InputError(
            f"settings.toml: environment '{environment.name}' does not train", "see its `train`"
        )
    registry = Registry(f"{environment.artifact_registry}/{flow.image}")
    reference = f"{registry.name}@{image.resolve(registry, trigger.commit)}"
    jobs = Jobs(environment)
    trigger = _next_attempt(jobs, flow, trigger) if again else trigger
    job_id = trigger.job_id(flow.name)
    name = f"{jobs.parent}/pipelineJobs/{job_id}"
    if jobs.find(name) is None:
        values = parameters(flow, environment, trigger, reference, name)
        _create(jobs, flow, environment, job_id, reference, values)
    return {
        "pipeline_job": name,
        "version": trigger.version,
        "commit": trigger.commit,
        "image": reference,
    }


def parameters(
    flow: FlowConfig, environment: Environment, trigger: Trigger, reference: str, job: str
) -> dict[str, Any]:
    """The values of all pipeline parameters of one run."""
    rows = window(flow.data, environment.project)
    released = releases.read(settings.ROOT / releases.path(environment.name, flow.name))
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
        "version": trigger.version,
        "commit": trigger.commit,
        "image": reference,
        "pipeline_job": job,
    }
    return values | pipeline.options(flow)


def _create(
    jobs: Jobs,
    flow: FlowConfig,
    environment: Environment,
    job_id: str,
    reference: str,
    values: dict[str, Any],
) -> None:
    labels = {"flow": flow.name, "environment": environment.name, "commit": values["commit"]}
    jobs.create(job_id, compiled.spec(flow, reference), values, labels)


def _next_attempt(jobs: Jobs, flow: FlowConfig, trigger: Trigger) -> Trigger:
    """The first attempt at `trigger` that has no job."""
    for attempt in range(2, 100):
        following = Trigger(trigger.time, trigger.commit, attempt)
        if jobs.find(f"{jobs.parent}/pipelineJobs/{following.job_id(flow.name)}") is None:
            return following
    raise RetrainError(f"{trigger.job_id(flow.name)} was made again 99 times", "use a new --trigger")


def _s3(environment: Environment, secret: str | None) -> str:
    """How a step reaches the model store, as one JSON table."""
    access = {"region": environment.aws_region, "auth": environment.s3_auth}
    if environment.s3_auth == "secret":
        access |= {"secret": str(secret)}
    else:
        access |= {"role": str(environment.s3_role), "audience": str(environment.s3_audience)}
    return msgspec.json.encode(access).decode()


def _github(environment: Environment) -> str:
    repository = settings.load().repository
    table = {"repository": repository, "secret": environment.secrets.github_notify}
    return msgspec.json.encode(table).decode()


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        what = f"'{text}' is not a time; it looks like 2026-11-21T08:45:00Z"
        raise argparse.ArgumentTypeError(what) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(run(main))
