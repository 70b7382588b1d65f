"""Following a pipeline job: what its tasks and its end are read as, and how it is watched."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from delivery import follow
from delivery.follow import Outcome, Step
from flows.errors import RetrainError

NAME = "projects/p/locations/europe-west1/pipelineJobs/recommender-v20261121-084500-abc1234"
START = datetime(2026, 11, 21, 8, 45, tzinfo=UTC)
VERDICT = {"passed": True, "reasons": ["0.05 is above the floor"], "champion": "v1"}
MANIFEST = "s3://models/models/recommender/v2/manifest.json"
UPLOADED = {"output:manifest": MANIFEST, "output:sha256": "ab", "output:state": "proposed"}


def task(name: str, state: str = "SUCCEEDED", seconds: float | None = 1.5, **fields: Any) -> Any:
    """A task as Vertex AI tells of it; without `seconds` it has not ended."""
    times: dict[str, Any] = {"start_time": START}
    if seconds is not None:
        times["end_time"] = START + timedelta(seconds=seconds)
    return {"task_name": name, "state": state, **times, **fields}


def artifact(name: str, **metadata: Any) -> dict[str, Any]:
    made = {"name": name, "uri": f"gs://bucket/{name}"}
    return {name: {"artifacts": [{**made, "metadata": metadata} if metadata else made]}}


def execution(**metadata: Any) -> dict[str, Any]:
    return {"execution": {"metadata": {"input:gate": "{}", **metadata}}}


def evaluated(**verdict: Any) -> Any:
    metrics = artifact("metrics", **{"ndcg@10": 0.0508, "users": 2469, "summary": "NDCG@10 0.0508"})
    told = json.dumps({**VERDICT, **verdict})
    return task("evaluate", outputs=metrics, **execution(**{"output:verdict": told}))


def job(*tasks: Any, state: str = "SUCCEEDED", error: str = "") -> Any:
    from google.cloud.aiplatform_v1 import PipelineJob

    fields = {"name": NAME, "state": f"PIPELINE_STATE_{state}", "job_detail": {"task_details": tasks}}
    return PipelineJob({**fields, **({"error": {"code": 9, "message": error}} if error else {})})


def only(given: Any) -> Step:
    """The one task of a job, as a Step."""
    return follow.step(job(given).job_detail.task_details[0])


# What Vertex AI lists beside the components: the pipeline itself, and the gate's condition.
PIPELINE = task("recommender-v20261121-084500-abc1234", outputs=artifact("x", summary="not a step's"))
CONDITION = task("condition-1")


def test_a_good_end_says_all() -> None:
    found = follow.outcome(
        job(
            PIPELINE,
            task("get-data"),
            evaluated(),
            CONDITION,
            task("upload-model", **execution(**UPLOADED)),
        )
    )
    assert found == Outcome(
        state="SUCCEEDED",
        steps=[
            Step("get_data", "SUCCEEDED", 1.5, False, ""),
            Step("evaluate", "SUCCEEDED", 1.5, False, "NDCG@10 0.0508"),
            Step("upload_model", "SUCCEEDED", 1.5, False, "s3://models/models/recommender/v2"),
        ],
        metrics={"ndcg@10": 0.0508, "users": 2469},
        verdict=VERDICT,
        release="proposed",
        manifest=MANIFEST,
        sha256="ab",
    )


@pytest.mark.parametrize(
    "more",
    [
        [],
        [task("condition-1", "NOT_TRIGGERED", seconds=None)],
        [task("passed", "NOT_TRIGGERED"), task("upload-model", "NOT_TRIGGERED")],
    ],
)
def test_a_no_of_the_gate_is_a_good_end_without_a_model(more: list[Any]) -> None:
    found = follow.outcome(job(task("train"), evaluated(passed=False), *more))
    assert (found.state, found.verdict["passed"]) == ("SUCCEEDED", False)
    assert (found.release, found.manifest, found.sha256) == (None, None, None)
    assert [step.name for step in found.steps] == ["train", "evaluate"]


def test_a_bad_end_says_which_step_failed_and_why() -> None:
    broken = task("train", "FAILED", error={"code": 13, "message": "error: no rows\n  mend: load some"})
    found = follow.outcome(job(task("preprocess"), broken, state="FAILED", error="train failed"))
    assert (found.state, found.error) == ("FAILED", "train failed")
    assert found.steps[1] == Step("train", "FAILED", 1.5, False, "", "error: no rows\n  mend: load some")
    assert (found.metrics, found.verdict, found.release) == ({}, {}, None)


def test_evaluate_that_failed_before_its_end_gives_no_metrics() -> None:
    broken = task("evaluate", "FAILED", outputs=artifact("metrics"), **execution())
    found = follow.outcome(job(broken, state="FAILED"))
    assert (found.metrics, found.verdict) == ({}, {})


@pytest.mark.parametrize(
    ("state", "flag", "cached"),
    [
        ("SUCCEEDED", {}, False),
        ("SKIPPED", {}, True),
        ("SUCCEEDED", {"vertex-ai-pipelines-cached": True}, True),
    ],
)
def test_a_step_from_the_cache_is_told_as_such(state: str, flag: dict[str, Any], cached: bool) -> None:
    made = task("train", state, 0.04, outputs=artifact("model", summary="svd"), **execution(**flag))
    assert only(made).cached == cached
    assert follow.line(only(made)) == f"  train           0.0 s{' (cached)' if cached else ''}   svd"


def test_a_cached_evaluate_still_gives_metrics_and_verdict() -> None:
    found = follow.outcome(job({**evaluated(), "state": "SKIPPED"}))
    assert (found.metrics["ndcg@10"], found.verdict) == (0.0508, VERDICT)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (Step("get_data", "SUCCEEDED", 1.94, False, "9 rows"), "  get_data        1.9 s   9 rows"),
        (Step("upload_model", "SUCCEEDED", 123.0, False, ""), "  upload_model  123.0 s"),
        (
            Step("train", "FAILED", 0.4, False, "", "no rows"),
            "  train           0.4 s   FAILED · no rows",
        ),
        (Step("train", "CANCELLED", 0.4, False, "svd"), "  train           0.4 s   CANCELLED"),
    ],
)
def test_a_step_is_one_line(given: Step, line: str) -> None:
    assert follow.line(given) == line


class Jobs:
    """Gives one state after another, as looks at a running job do."""

    def __init__(self, *looks: Any) -> None:
        self.looks, self.names = list(looks), list[str]()

    def find(self, name: str) -> Any:
        self.names.append(name)
        return self.looks.pop(0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between looks, which take no time."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def watch(*looks: Any) -> Outcome:
    jobs: Any = Jobs(*looks)
    found = follow.follow(jobs, NAME)
    assert set(jobs.names) == {NAME}
    assert not jobs.looks, "it looked away before the end"
    return found


def test_each_step_is_shown_once_as_it_ends(
    pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    ended, running = task("get-data"), task("preprocess", "RUNNING", None)
    again = task("preprocess", outputs=artifact("training", summary="split"))
    looks = [
        job(state="PENDING"),
        job(PIPELINE, ended, running, state="RUNNING"),
        job(PIPELINE, ended, again, state="RUNNING"),
        job(PIPELINE, ended, again, CONDITION),
    ]
    found = watch(*looks)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == ["  get_data        1.5 s", "  preprocess      1.5 s   split"]
    assert [step.name for step in found.steps] == ["get_data", "preprocess"]
    assert len(pauses) == 3


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_a_job_that_has_ended_is_not_waited_for(pauses: list[float], state: str) -> None:
    assert watch(job(state=state)).state == state
    assert pauses == []


def test_it_looks_often_at_first_and_seldom_later(pauses: list[float]) -> None:
    watch(*[job(state="RUNNING")] * 60, job())
    assert pauses[0] == follow.FIRST_PERIOD <= 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == follow.LONGEST_PERIOD
    assert sum(pauses[:8]) < 1.5, "a short job is seen to end soon"


def test_a_cancelling_job_is_followed_to_its_end(pauses: list[float]) -> None:
    assert watch(job(state="CANCELLING"), job(state="CANCELLED")).state == "CANCELLED"


def test_a_job_that_is_gone_is_named(pauses: list[float]) -> None:
    with pytest.raises(RetrainError, match=f"no pipeline job {NAME}"):
        watch(job(state="RUNNING"), None)
