"""A candidate, its champion and its pipeline job: the evidence that the tests of releases share."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from delivery import releases
from delivery.candidate import Candidate
from delivery.pr_body import Evidence
from delivery.releases import Model
from delivery.settings import Environment, load
from flows import manifest as manifests
from flows.manifest import Comparison, File, Manifest, Verdict

OLD, CHAMPION, VERSION, NEWER = (
    f"v202611{day}-084500-{commit}"
    for day, commit in (("07", "aaaaaaa"), ("14", "0f1e2d3"), ("21", "abc1234"), ("28", "bbbbbbb"))
)
STORE = "s3://retrain-local-models"
IMAGE = f"europe-west1-docker.pkg.dev/retrain-local/retrain/base@sha256:{'2' * 64}"
GATE = {"metric": "ndcg@10", "floor": 0.03, "margin": 0.02, "margin_kind": "relative"}
WEIGHTS = b"not really weights"
COSTS = {"this run": "about $0.03", "serving": "about $80 a month"}


def environment() -> Environment:
    return load().environment("local")


def files() -> dict[str, File]:
    return {"model.safetensors": File(sha256=hashlib.sha256(WEIGHTS).hexdigest(), bytes=len(WEIGHTS))}


def verdict(**changed: Any) -> Verdict:
    """A verdict with a comparison, some of whose fields are `changed`."""
    found = Comparison(
        metric="ndcg@10",
        candidate=0.0508,
        champion=0.0409,
        difference=0.0099,
        low=0.0075,
        high=0.0123,
        margin=0.000818,
        confidence=0.95,
        units=2469,
        decision="passed",
    )
    reasons = ("ndcg@10 0.0508 is not below the floor 0.03", f"not worse than the champion {CHAMPION}")
    comparison = msgspec.structs.replace(found, **changed)
    return Verdict(passed=True, reasons=reasons, champion=CHAMPION, comparison=comparison)


def manifest(version: str = VERSION, **changed: Any) -> Manifest:
    """A good manifest, with some of its fields `changed`."""
    metrics: dict[str, float | None] = {
        **{"ndcg@10": 0.0508, "ndcg@10_low": 0.0481, "ndcg@10_high": 0.0536, "coverage@10": 0.25},
        **{"champion_ndcg@10": 0.0409, "champion_ndcg@10_low": 0.0385, "champion_ndcg@10_high": 0.0432},
        "champion_coverage@10": 0.003,
    }
    good = Manifest(
        flow="recommender",
        version=version,
        algorithm="svd",
        format="safetensors",
        files=files(),
        metrics=metrics if version != CHAMPION else {"ndcg@10": 0.0405, "users": 2400.0},
        verdict=verdict(),
        data={"from": "2017-01-01T00:00:00Z", "until": "2018-01-01T00:00:00Z", "rows": 1469307},
        config={"gate": GATE},
        commit=(version[17:24] + "0" * 40)[:40],
        image=IMAGE,
        pipeline_job=f"{environment().location}/pipelineJobs/recommender-{version}",
        environment="local",
        created="2026-11-21T08:50:00Z",
    )
    return msgspec.structs.replace(good, **changed)


def sha256(of: Manifest) -> str:
    return hashlib.sha256(manifests.write(of)).hexdigest()


def address(version: str = VERSION) -> str:
    return f"{STORE}/models/recommender/{version}/manifest.json"


def candidate(of: Manifest | None = None) -> Candidate:
    """The candidate that `of` is the manifest of."""
    found = of or manifest()
    return Candidate(
        flow=found.flow,
        environment="local",
        version=found.version,
        manifest=address(found.version),
        sha256=sha256(found),
    )


def model(of: Manifest | None = None) -> Model:
    """The candidate's entry in releases/, without its share."""
    wanted = candidate(of)
    return Model(version=wanted.version, manifest=wanted.manifest, sha256=wanted.sha256, image=IMAGE)


def evidence(of: Manifest | None = None, with_champion: bool = True) -> Evidence:
    """The whole body's evidence."""
    champion = manifest(CHAMPION)
    current = releases.propose(None, model(champion), 10) if with_champion else None
    return Evidence(
        candidate=candidate(of),
        manifest=of or manifest(),
        champion=champion if with_champion else None,
        current=current,
        proposed=releases.propose(current, model(of), 10),
        standby="24h",
        costs=COSTS,
    )


def job(of: Manifest | None = None, **changed: Any) -> Any:
    """The pipeline job that made `of`, as Vertex AI tells of it, with some fields `changed`."""
    from google.cloud import aiplatform_v1 as vertex

    made = of or manifest()
    outputs = {"output:manifest": address(made.version), "output:sha256": sha256(made)}
    names = ("version", "commit", "image", "serving_image")
    parameters = {name: getattr(made, name) for name in names}
    command = ["python", "-m", "flows", "upload_model"]
    executors = {"exec-upload-model": {"container": {"image": made.image, "command": command}}}
    name = made.pipeline_job.split("/")[-1]
    good: dict[str, Any] = {
        "name": f"projects/123456789012/locations/europe-west1/pipelineJobs/{name}",
        "state": vertex.PipelineState.PIPELINE_STATE_SUCCEEDED,
        "service_account": environment().pipeline_account,
        "runtime_config": {"parameter_values": parameters},
        "pipeline_spec": {"deploymentSpec": {"executors": executors}},
        "job_detail": {
            "task_details": [
                _task("passed", {}),
                _task("train", {"output:nothing": 1}),
                _task("upload-model", outputs),
            ]
        },
    }
    return vertex.PipelineJob({**good, **changed})


def _task(name: str, metadata: dict[str, Any], state: str = "SUCCEEDED") -> dict[str, Any]:
    times = {
        "start_time": datetime(2026, 11, 21, 8, tzinfo=UTC),
        "end_time": datetime(2026, 11, 21, 9, tzinfo=UTC),
    }
    return {"task_name": name, "state": state, "execution": {"metadata": metadata}, **times}
