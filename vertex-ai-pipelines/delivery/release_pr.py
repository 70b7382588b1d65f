"""`./scripts/release-pr`: open or update the release pull request of a model that upload_model made."""

import argparse
import json
import sys

from delivery import access, claim, cost, metrics, proposal, provenance, settings, summary
from delivery.candidate import Candidate, claimed
from delivery.command import run
from delivery.jobs import console, overrides
from delivery.model_store import ModelStore
from delivery.pr_body import Evidence
from delivery.proposal import Outcome, Proposal
from delivery.releases import Model, Release
from delivery.settings import Environment, Settings
from flows import config
from flows.errors import InputError
from flows.manifest import Manifest


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/release-pr", description=__doc__)
    main.add_argument("--flow", default="", help="refused where the manifest is another's")
    main.add_argument("--environment", "--env", required=True, help="a table of settings.toml")
    main.add_argument("--manifest", required=True, help="s3://BUCKET/models/FLOW/VERSION/manifest.json")
    main.add_argument("--sha256", required=True, help="the hash of the manifest's bytes")
    main.add_argument(
        "--wait",
        type=float,
        default=claim.WAIT,
        help="seconds for the pipeline job's end (default: %(default)s)",
    )
    main.add_argument("--json", action="store_true", help="print one JSON object last")
    return main


def main(argv: list[str]) -> int:
    """Check, propose, and say what came of it. Every state is a normal end: exit code 0."""
    arguments = parser().parse_args(argv)
    found = settings.load()
    environment = found.environment(arguments.environment)
    candidate = claimed(environment, arguments.manifest, arguments.sha256, config.names())
    if arguments.flow not in ("", candidate.flow):
        what = f"--flow {arguments.flow!r}: the manifest is of flow '{candidate.flow}'"
        raise InputError(what, "each flow's candidates wait for one another, and for no other flow's")
    outcome = release(found, environment, candidate, arguments.wait)
    _report(outcome)
    if arguments.json:
        print(json.dumps(outcome.as_json()))
    return 0


def release(found: Settings, environment: Environment, candidate: Candidate, wait: float) -> Outcome:
    """Bring `candidate` into its release pull request, once everything that it claims has been checked.

    Raises RetrainError where the model is not whole, where the pipeline job did not make it, or
    where a service refuses. GitHub's key is fetched after all checks.
    """
    store = ModelStore(access.objects(environment))
    manifest = store.manifest(candidate)
    store.check_files(candidate, manifest)
    job = claim.ended_job(environment, manifest, wait)
    claim.check(job, manifest, candidate, environment)
    for image in dict.fromkeys((manifest.image, manifest.serves)):
        provenance.check_used(environment, image)
    _summarize(candidate, manifest)
    flow = config.load(candidate.flow)
    serving = flow.serving_in(environment.name)

    def gather(current: Release | None, becomes: Release) -> Evidence:
        champion = store.released(current.champion) if current else None
        served = cost.of_serving(serving, becomes)
        costs = {"this run": cost.of_run(job, flow)} | ({"serving": served} if served else {})
        given = overrides(job)
        return Evidence(candidate, manifest, champion, current, becomes, serving.standby, costs, given)

    share = serving.ladder[0] if serving.ladder else 100
    repository = access.repository(found, environment)
    with access.named(f"{found.repository}, {candidate.branch}"):
        return proposal.bring(
            repository, Proposal(candidate, _model(candidate, manifest), share, gather)
        )


def _model(candidate: Candidate, manifest: Manifest) -> Model:
    return Model(
        version=candidate.version,
        manifest=candidate.manifest,
        sha256=candidate.sha256,
        image=manifest.serves,
    )


def _summarize(candidate: Candidate, manifest: Manifest) -> None:
    """The checked candidate in the job's summary: its job, and its metrics beside the champion's."""
    link = f"[{candidate.version}]({console(manifest.pipeline_job)})"
    compared, own = manifest.verdict.comparison, manifest.metrics
    theirs = metrics.of_champion(own) if compared else {}
    shown = metrics.compared(own, theirs, compared, compared.metric if compared else "")
    summary.append(f"### {candidate.flow} in {candidate.environment}: {link}\n\n{shown}")


def _report(outcome: Outcome) -> None:
    """One line for people, and the same in the job's summary."""
    link = f" · {outcome.pull.html_url}" if outcome.pull else ""
    print(f"release       {outcome.state}: {outcome.why}{link}", file=sys.stderr)
    summary.append(f"**{outcome.state}**: {outcome.why}{link}")


if __name__ == "__main__":
    sys.exit(run(main))
