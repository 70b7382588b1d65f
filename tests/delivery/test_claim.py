"""The claim: only what our own pipeline job made, as it should run, is released."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.aiplatform_v1.services import pipeline_service
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport

from delivery import claim, cost
from delivery import jobs as pipeline_jobs
from delivery.claim import MismatchError
from flows.config import Data, FlowConfig, Gate, Machine, Train
from flows.errors import RetrainError
from flows.serving_config import Serving
from tests.delivery.evidence import IMAGE, candidate, environment, evidence, job, manifest, sha256

OTHERS = IMAGE.replace("/base@", "/other@")
OTHER = f"elsewhere.pkg.dev/x/y@sha256:{'3' * 64}"


class Jobs:
    """Answers of the pipeline service, one a call; the last one stays."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), list[str]()

    def find(self, name: str) -> Any:
        self.asked.append(name)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Time that passes only by sleeping; the pauses."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(time, "monotonic", lambda: sum(pauses))
    return iter([pauses])


def ended(monkeypatch: pytest.MonkeyPatch, jobs: Jobs, **changed: Any) -> Any:
    monkeypatch.setattr(claim, "Jobs", lambda environment: jobs)
    return claim.ended_job(environment(), manifest(**changed), wait=60)


def running() -> Any:
    return job(state="PIPELINE_STATE_RUNNING")


def refusal(found: Any) -> str:
    with pytest.raises(MismatchError) as caught:
        claim.check(found, manifest(), candidate(), environment())
    return str(caught.value)


def test_a_true_claim_passes() -> None:
    claim.check(job(), manifest(), candidate(), environment())


def test_the_outputs_are_read_from_the_task_s_execution() -> None:
    assert claim.upload_outputs(job()) == {
        "manifest": candidate().manifest,
        "sha256": sha256(manifest()),
    }
    assert claim.upload_outputs(job(job_detail={})) == {}


def test_the_end_of_the_job_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(running(), exceptions.ServiceUnavailable("later"), running(), job())
    assert ended(monkeypatch, jobs).state.name == "PIPELINE_STATE_SUCCEEDED"
    assert jobs.asked == [manifest().pipeline_job] * 4


def test_the_wait_is_bounded_and_its_pauses_grow(
    monkeypatch: pytest.MonkeyPatch, clock: Iterator[list[float]]
) -> None:
    with pytest.raises(RetrainError, match="it has not ended after 60 s"):
        ended(monkeypatch, Jobs(running()))
    pauses = next(clock)
    assert pauses == sorted(pauses)
    assert sum(pauses) <= 60
    assert max(pauses) == claim.LONGEST_PAUSE


def test_the_project_may_stand_there_as_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    numbered = manifest().pipeline_job.replace("retrain-local", "123456789012")
    jobs = Jobs(job())
    ended(monkeypatch, jobs, pipeline_job=numbered)
    assert jobs.asked == [manifest().pipeline_job]
    own = manifest(pipeline_job=numbered)
    claim.check(job(), own, candidate(), environment())


def test_another_project_s_number_is_refused() -> None:
    foreign = manifest(pipeline_job=manifest().pipeline_job.replace("retrain-local", "999999999999"))
    with pytest.raises(MismatchError, match="its project is '999999999999'"):
        claim.check(job(), foreign, candidate(), environment())


@pytest.mark.parametrize(("old", "new"), [("retrain-local", "evil"), ("europe-west1", "us-central1")])
def test_a_job_elsewhere_is_refused_without_a_call(
    monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    jobs = Jobs(job())
    with pytest.raises(MismatchError, match="that is not in projects/retrain-local"):
        ended(monkeypatch, jobs, pipeline_job=manifest().pipeline_job.replace(old, new))
    assert jobs.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "there is no such pipeline job"),
        (exceptions.PermissionDenied("no"), "aiplatform.pipelineJobs.get"),
    ],
)
def test_what_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, answer: Any, said: str) -> None:
    with pytest.raises(RetrainError, match=said):
        ended(monkeypatch, Jobs(answer))


class NotNow(grpc.RpcError):  # type: ignore[misc] # grpc has no types
    """A call that ended with `status`."""

    def __init__(self, status: grpc.StatusCode) -> None:
        self.status = status

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str:
        return "not now"

    def trailing_metadata(self) -> tuple[()]:
        return ()

    def result(self) -> None:
        raise self


class Refusing(grpc.Channel):  # type: ignore[misc] # grpc has no types
    """A channel to a service that answers each call with one error."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self.code, self.calls = code, 0

    def with_call(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        raise NotNow(self.code)

    __call__ = with_call

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        return self

    unary_stream = stream_unary = stream_stream = unary_unary

    def subscribe(self, *_: Any, **__: Any) -> None: ...
    def unsubscribe(self, *_: Any) -> None: ...
    def close(self) -> None: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *_: Any) -> None: ...


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[grpc.StatusCode], Refusing]:
    """Makes the service answer so."""

    def refuse(code: grpc.StatusCode) -> Refusing:
        channel = Refusing(code)
        transport = PipelineServiceGrpcTransport(channel=channel)
        client = PipelineServiceClient(transport=transport)
        monkeypatch.setattr(pipeline_service, "PipelineServiceClient", lambda **_: client)
        return channel

    return refuse


Refuse = Callable[[grpc.StatusCode], Refusing]
AWAY = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED]


@pytest.mark.parametrize("code", AWAY)
def test_a_service_that_is_away_is_waited_for_to_the_end(
    refusing: Refuse, clock: Iterator[list[float]], code: grpc.StatusCode
) -> None:
    channel = refusing(code)
    with pytest.raises(RetrainError, match="it has not ended after 900 s"):
        claim.ended_job(environment(), manifest())
    assert sum(next(clock)) > 900 - claim.LONGEST_PAUSE
    assert channel.calls > 20


def test_a_job_that_cannot_be_created_is_told_with_its_mend(refusing: Refuse) -> None:
    refusing(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(
        RetrainError, match=r"refused the pipeline job x: not now(.|\n)*check the project"
    ):
        pipeline_jobs.Jobs(environment()).create("x", {}, {}, {})


def steps(**executors: Any) -> dict[str, Any]:
    """A job's pipeline with these steps."""
    return {"pipeline_spec": {"deploymentSpec": {"executors": executors}}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"state": "PIPELINE_STATE_FAILED", "error": {"message": "train broke"}},
            "FAILED(.|\n)*train broke",
        ),
        ({"state": "PIPELINE_STATE_CANCELLED"}, "CANCELLED"),
        ({"service_account": "me@retrain-local.iam.gserviceaccount.com"}, "service account is 'me@"),
        ({"runtime_config": {}}, "parameter version is None"),
        (steps(x={"container": {"image": OTHER}}), "image in x is 'elsewhere"),
        (
            steps(x={"container": {"image": IMAGE, "command": ["sh", "-c", "curl"]}}),
            "command in x is 'sh",
        ),
        (steps(x={"customJob": {}}), "image in x is None"),
        (steps(), "having steps is False"),
        ({"job_detail": {}}, "upload_model output manifest is None"),
    ],
)
def test_a_job_that_ran_otherwise_is_refused(changed: dict[str, Any], said: str) -> None:
    assert re.search(said, refusal(job(**changed)))


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", "v1"), ("commit", "f" * 40), ("image", OTHER), ("serving_image", OTHER)],
)
def test_other_parameters_are_refused(field: str, value: str) -> None:
    parameters = {"version": manifest().version, "commit": manifest().commit, "image": manifest().image}
    said = refusal(job(runtime_config={"parameter_values": {**parameters, field: value}}))
    assert f"its parameter {field} is '{value}', expected" in said


@pytest.mark.parametrize(
    ("serves", "said"), [(IMAGE, ""), (OTHER, "its serving image is 'elsewhere"), (OTHERS, "/other'")]
)
def test_it_is_served_from_base_or_from_what_trained_it(serves: str, said: str) -> None:
    made = manifest(image=IMAGE.replace("/base@", "/torch@"), serving_image=serves)
    if not said:
        claim.check(job(made), made, candidate(made), environment())
        return
    with pytest.raises(MismatchError, match=said):
        claim.check(job(made), made, candidate(made), environment())


def test_another_manifest_than_the_job_s_output_is_refused() -> None:
    other = manifest(created="2026-11-21T09:00:00Z")
    with pytest.raises(MismatchError, match="upload_model output sha256"):
        claim.check(job(), other, candidate(other), environment())


def test_a_failed_upload_has_no_outputs() -> None:
    found = job()
    found.job_detail.task_details[2].state = "FAILED"
    assert "upload_model output manifest is None" in refusal(found)


def flow(**changed: Any) -> FlowConfig:
    data = Data(query="query.sql", table="retail.transactions", days=1)
    tables = {"data": data, "train": Train(algorithm="svd"), "gate": Gate(metric="ndcg@10"), **changed}
    return FlowConfig(
        name="recommender", description="…", data_options={}, preprocess={}, query="", **tables
    )


def test_the_cost_of_a_run_is_its_fee_and_its_machines() -> None:
    machines = {"default": Machine(cpu="2"), "train": Machine(cpu="8")}
    text = cost.of_run(job(), flow(resources=machines))
    assert text.startswith(f"about ${0.03 + (2 + 8) * 0.055:.2f}: $0.03 for the run")
    assert "accelerators" not in text


def test_an_accelerator_is_counted_or_named() -> None:
    tesla = Machine(cpu="500m", accelerator="NVIDIA_TESLA_T4", accelerator_count=2)
    counted = cost.of_run(job(), flow(resources={"train": tesla, "upload_model": Machine(cpu="1")}))
    assert counted.startswith(f"about ${0.03 + 1.5 * 0.055 + 2 * 0.42:.2f}: ")
    other = Machine(accelerator="NVIDIA_A100_80GB")
    assert "accelerators" in cost.of_run(job(), flow(resources={"train": other}))


def test_the_cost_of_serving_is_that_of_each_deployed_model() -> None:
    both = evidence().proposed
    assert cost.of_serving(Serving(machine_type="n1-standard-2"), both) == (
        "about $161 a month: 2 × n1-standard-2 around the clock at $0.055 a vCPU-hour"
    )
    assert cost.of_serving(Serving(kind="store"), both) is None
    assert "look its price up" in str(cost.of_serving(Serving(machine_type="c3-highcpu-4"), both))
