"""Pipeline jobs through the Vertex AI SDK: conditions, failure, cancelling, listing."""

from typing import Any

import pytest

from tests.conftest import Program

pytestmark = pytest.mark.slow

SUBMIT = """
import time
from google.cloud import aiplatform, storage
from kfp import compiler, dsl

def submit(pipeline, until=("SUCCEEDED", "FAILED", "CANCELLED"), **values):
    path = os.path.join(os.path.dirname(__file__), "pipeline.yaml")  # goes with the program
    compiler.Compiler().compile(pipeline, path)
    google = storage.Client()
    google.lookup_bucket("runs") or google.create_bucket("runs")
    aiplatform.init(project="test-project", location="europe-west1")
    job = aiplatform.PipelineJob(display_name=pipeline.name, template_path=path, parameter_values=values,
        job_id=f"{pipeline.name}-{time.time_ns()}", pipeline_root="gs://runs/root")
    job.submit()
    return job

def ended(job):
    while not job.state.name.endswith(("SUCCEEDED", "FAILED", "CANCELLED")):
        time.sleep(0.2)
        job._sync_gca_resource()
    return job

def shown(job):
    ended(job)
    tasks = {t.task_name: t for t in job.task_details}
    return {"state": job.state.name, "error": job.gca_resource.error.message,
            "tasks": {name: t.state.name for name, t in tasks.items()},
            "outputs": {n: dict(t.execution.metadata) if t.execution else {} for n, t in tasks.items()},
            "errors": {name: t.error.message for name, t in tasks.items() if t.error.message}}
"""

GATED = """
@dsl.container_component
def ask(limit: int, passed: dsl.OutputPath(bool), table: str):
    code = ("import json, os, sys; outputs = json.loads(sys.argv[1])['outputs'];"
            "p = outputs['parameters']['passed']['outputFile'];"
            "os.makedirs(os.path.dirname(p), exist_ok=True);"
            "open(p, 'w').write(json.dumps(json.loads(sys.argv[2])['limit'] > 2))")
    return dsl.ContainerSpec(image="python:3.12", command=["python", "-c", code], args=["{{$}}", table])

@dsl.container_component
def act():
    return dsl.ContainerSpec(image="python:3.12", command=["sh", "-c", "echo acted"])

@dsl.pipeline(name="gated")
def gated(limit: int):
    asked = ask(limit=limit, table='{"limit": %s}' % limit)
    with dsl.If(asked.outputs["passed"] == True):
        act()
"""


def run(program: Program, pipeline: str, call: str) -> Any:
    return program(f"{SUBMIT}\n{pipeline}\nanswer = {call}")


def test_a_bare_condition_on_an_output_opens_and_shuts(program: Program) -> None:
    answers = run(program, GATED, "[shown(submit(gated, limit=n)) for n in (3, 1)]")
    assert [a["state"] for a in answers] == ["PIPELINE_STATE_SUCCEEDED"] * 2
    assert answers[0]["tasks"] == {"ask": "SUCCEEDED", "act": "SUCCEEDED"}
    assert answers[0]["outputs"]["ask"] == {"output:passed": True}
    assert answers[1]["tasks"] == {"ask": "SUCCEEDED"}


BROKEN = """
@dsl.container_component
def broken():
    script = "echo 'error: the table is gone' >&2; echo '  mend: bring it back' >&2; exit 3"
    return dsl.ContainerSpec(image="python:3.12", command=["sh", "-c", script])

@dsl.pipeline(name="breaks")
def breaks():
    broken()
"""


def test_a_failed_step_says_what_its_log_says(program: Program) -> None:
    answer = run(program, BROKEN, "shown(submit(breaks))")
    assert answer["state"] == "PIPELINE_STATE_FAILED"
    assert answer["errors"] == {"broken": "error: the table is gone\n  mend: bring it back"}
    assert "[broken]" in answer["error"]


SLEEPY = """
@dsl.container_component
def sleep():
    return dsl.ContainerSpec(image="python:3.12", command=["sh", "-c", "sleep 60"])

@dsl.pipeline(name="sleepy")
def sleepy():
    sleep()

job = submit(sleepy)
while not job.task_details:
    time.sleep(0.05)
    job._sync_gca_resource()
start = time.monotonic()
job.cancel()
"""


def test_a_cancelled_job_ends_with_its_steps(program: Program) -> None:
    answer = run(program, SLEEPY, "shown(job)")
    assert answer["state"] == "PIPELINE_STATE_CANCELLED"
    assert answer["tasks"] == {"sleep": "CANCELLED"}


def test_missing_and_unknown_parameters_are_refused_before_anything_runs(program: Program) -> None:
    code = f"""{SUBMIT}\n{GATED}
from google.cloud import aiplatform_v1
from google.api_core.exceptions import InvalidArgument
path = os.path.join(os.path.dirname(__file__), "pipeline.json")
compiler.Compiler().compile(gated, path)
spec = json.load(open(path))
options = {{"api_endpoint": "europe-west1-aiplatform.googleapis.com"}}
client = aiplatform_v1.PipelineServiceClient(client_options=options)
answer = []
for values in ({{}}, {{"limit": 1, "limt": 2}}):
    runtime = {{"gcs_output_directory": "gs://runs/root", "parameter_values": values}}
    try:
        client.create_pipeline_job(parent="projects/test-project/locations/europe-west1",
            pipeline_job={{"pipeline_spec": spec, "runtime_config": runtime}})
    except InvalidArgument as error:
        answer.append(error.message)
"""
    missing, unknown = program(code)
    assert missing.endswith("have no value: limit.")
    assert unknown.endswith("does not have: limt.")


def test_jobs_are_listed_newest_first_and_filtered(program: Program) -> None:
    answer = program(
        f"""{SUBMIT}\n{GATED}
for n in (1, 2):
    ended(submit(gated, limit=n))
jobs = aiplatform.PipelineJob.list(filter="pipeline_name=gated")
answer = [job.create_time.isoformat() for job in jobs]
"""
    )
    assert len(answer) >= 2
    assert answer == sorted(answer, reverse=True)


LIGHT = """
@dsl.component
def make(n: int, data: dsl.Output[dsl.Dataset]) -> float:
    with open(data.path, "w") as file:
        file.write("x" * n)
    data.metadata["size"] = n
    return n / 2

@dsl.component
def count(data: dsl.Input[dsl.Dataset], half: float) -> str:
    return f"{len(open(data.path).read())} {data.metadata['size']} {half}"

@dsl.pipeline(name="light")
def light(n: int) -> str:
    made = make(n=n)
    return count(data=made.outputs["data"], half=made.outputs["Output"]).output
"""


def test_lightweight_components_pass_artifacts_and_install_nothing(program: Program) -> None:
    answer = run(program, LIGHT, "shown(submit(light, n=6))")
    assert answer["errors"] == {}
    assert answer["outputs"]["count"] == {"output:Output": "6 6.0 3.0"}


LIGHTWEIGHT = """
from kfp.dsl import Dataset, Input, Output
from typing import Optional
plain = dsl.component(base_image="python:3.12")

@plain
def make(data: Output[Dataset]):
    open(data.path, "w").write("made")

@plain
def read(data: Input[Dataset]) -> str:
    return data.uri[:5] + open(data.path).read()

@plain
def say(word: str) -> str:
    return word

@plain
def kinds(some: list, table: dict, word: Optional[str] = None) -> str:
    return f"{some} {table} {word}"
"""


def test_artifacts_are_in_the_bucket_and_imported_from_it(program: Program) -> None:
    answer = program(
        SUBMIT
        + LIGHTWEIGHT
        + """
@dsl.pipeline(name="artifacts")
def artifacts(uri: str):
    read(data=make().outputs["data"])
    read(data=dsl.importer(artifact_uri=uri, artifact_class=Dataset).output)

google = storage.Client()
bucket = google.lookup_bucket("runs") or google.create_bucket("runs")
bucket.blob("given/x").upload_from_string("given")
job = submit(artifacts, uri="gs://runs/given/x")
told = shown(job)
uri = next(t for t in job.task_details if t.task_name == "make").outputs["data"].artifacts[0].uri
outputs = [told["outputs"][name].get("output:Output") for name in ("read", "read-2")]
answer = [told["errors"], *sorted(map(str, outputs)),
    storage.Blob.from_uri(uri, client=google).download_as_text()]
"""
    )
    assert answer == [{}, "gs://given", "gs://made", "made"]


def test_placeholders_and_values_are_those_of_vertex(program: Program) -> None:
    name, resource, root, kinds = program(
        SUBMIT
        + LIGHTWEIGHT
        + """
@dsl.pipeline(name="values")
def values(some: list = [1, 2.5], table: dict = {"k": [2]}, word: Optional[str] = None):
    say(word=dsl.PIPELINE_JOB_NAME_PLACEHOLDER)
    say(word=dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER)
    say(word=dsl.PIPELINE_ROOT_PLACEHOLDER)
    kinds(some=some, table=table, word=word)

job = submit(values)
outputs = shown(job)["outputs"]
told = [outputs[name]["output:Output"] for name in ("say", "say-2", "say-3", "kinds")]
answer = [told[0] == job.name, told[1] == job.resource_name, *told[2:]]
"""
    )
    assert (name, resource, root) == (True, True, "gs://runs/root")
    assert kinds == "[1, 2.5] {'k': [2]} None"


def test_jobs_are_listed_in_the_order_asked_for(program: Program) -> None:
    up, down, later = program(
        SUBMIT
        + LIGHTWEIGHT
        + """
@dsl.pipeline(name="order")
def order():
    say(word="x")

jobs = [ended(submit(order)) for _ in range(2)]
listed = lambda **options: [job.name for job in aiplatform.PipelineJob.list(
    filter='pipeline_name="order" AND create_time>"2020-01-01T00:00:00Z"', **options)]
names = [job.name for job in jobs]
answer = [listed(order_by="create_time") == names, listed(order_by="create_time desc") == names[::-1],
    listed() == names[::-1]]
"""
    )
    assert (up, down, later) == (True, True, True)


def test_jobs_are_shown_in_brief_and_ended_in_batches(program: Program) -> None:
    answer = program(
        SUBMIT
        + LIGHTWEIGHT
        + """
@dsl.pipeline(name="batch")
def batch():
    say(word="x")

first, second = [submit(batch) for _ in range(2)]
client = first.api_client
location = first.resource_name.rpartition("/pipelineJobs/")[0]
names = [first.resource_name, second.resource_name]
cancelled = client.batch_cancel_pipeline_jobs(parent=location, names=names).result()
brief = aiplatform.PipelineJob.list(filter='pipeline_name="batch"', enable_simple_view=True)
shown = brief[0].gca_resource
answer = [len(cancelled.pipeline_jobs), len(brief), shown.service_account,
    shown.pipeline_spec["pipelineInfo"]["name"], "root" in shown.pipeline_spec]
client.batch_delete_pipeline_jobs(parent=location, names=names).result()
answer += [len(aiplatform.PipelineJob.list(filter='pipeline_name="batch"'))]
"""
    )
    assert answer == [2, 2, "", "batch", False, 0]
