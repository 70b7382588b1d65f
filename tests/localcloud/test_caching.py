"""Tasks whose outputs come from an earlier execution, as on Vertex AI."""

import itertools
from typing import Any

import pytest
from kfp import dsl

from localcloud.client import Client
from tests.localcloud.jobs import Jobs, states, tasks

pytestmark = pytest.mark.slow
IMAGE = "debian:12"
MAKE = 'mkdir -p "$(dirname "$1")" && printf "made of $0" > "$1"'
CHECK = 'mkdir -p "$(dirname "$1")" && printf "$0, $(cat "$2")" > "$1" && test "$0" != bad'
NAMES = itertools.count()


@dsl.container_component  # type: ignore[untyped-decorator]
def make(rows: int, data: dsl.Output[dsl.Dataset]) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", MAKE], [rows, data.path])


@dsl.container_component  # type: ignore[untyped-decorator]
def check(
    data: dsl.Input[dsl.Dataset],
    gate: str,
    verdict: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", CHECK], [gate, verdict, data.path])


@dsl.container_component  # type: ignore[untyped-decorator]
def send(verdict: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(IMAGE, ["sh", "-c", "echo sent"], [verdict])


def flow(name: str, image: str = IMAGE, cached: bool = True, key: str | None = None) -> Any:
    """Make, check and send; `make` runs in `image`."""

    @dsl.pipeline(name=name)  # type: ignore[untyped-decorator]
    def pipeline(rows: int = 2, gate: str = "good") -> None:
        made = make(rows=rows).set_container_image(image).set_caching_options(cached, key)
        checked = check(data=made.outputs["data"], gate=gate).set_caching_options(cached)
        send(verdict=checked.outputs["verdict"]).set_caching_options(False)

    return pipeline


@pytest.fixture(scope="module")
def jobs(cloud: Client) -> Jobs:
    return Jobs(cloud)


@pytest.fixture
def name() -> str:
    """A pipeline's name that no other test has."""
    return f"caching-{next(NAMES)}"


ALL = {"make": "SUCCEEDED", "check": "SUCCEEDED", "send": "SUCCEEDED"}


def artifact(job: dict[str, Any]) -> dict[str, Any]:
    """The artifact that `make` gave."""
    return dict(tasks(job)["make"]["outputs"]["data"]["artifacts"][0])


def execution(job: dict[str, Any], task: str) -> dict[str, Any]:
    return dict(tasks(job)[task]["execution"])


def test_an_unchanged_rerun_gives_the_earlier_outputs(jobs: Jobs, name: str) -> None:
    first, second = jobs.run(flow(name)), jobs.run(flow(name), rows=2)
    assert states(first) == ALL
    assert states(second) == ALL | {"make": "SKIPPED", "check": "SKIPPED"}
    assert second["state"] == "PIPELINE_STATE_SUCCEEDED"
    assert artifact(second) == artifact(first)
    assert execution(first, "check")["metadata"] == {"output:verdict": "good, made of 2"}
    told = {"output:verdict": "good, made of 2", "vertex-ai-pipelines-cached": True}
    assert (execution(second, "check")["state"], execution(second, "check")["metadata"]) == (
        "CACHED",
        told,
    )
    uri = artifact(first)["uri"].removeprefix("gs://runs/").replace("/", "%2F")
    url = f"https://storage.googleapis.com/storage/v1/b/runs/o/{uri}?alt=media"
    assert jobs.session.get(url).text == "made of 2"


def test_a_changed_input_misses_the_steps_that_have_it(jobs: Jobs, name: str) -> None:
    jobs.run(flow(name))
    other = jobs.run(flow(name), gate="fine")
    assert states(other) == ALL | {"make": "SKIPPED"}
    # It read the earlier job's file.
    assert execution(other, "check")["metadata"] == {"output:verdict": "fine, made of 2"}


def test_a_step_that_ran_again_makes_a_new_artifact(jobs: Jobs, name: str) -> None:
    first = jobs.run(flow(name))
    other = jobs.run(flow(name, image="debian:13"))
    assert states(other) == ALL
    assert artifact(other)["name"] != artifact(first)["name"]
    assert states(jobs.run(flow(name), rows=3)) == ALL


def test_another_pipeline_has_a_cache_of_its_own(jobs: Jobs, name: str) -> None:
    jobs.run(flow(name))
    assert states(jobs.run(flow(f"{name}-b"))) == ALL


def test_without_caching_nothing_is_taken_and_nothing_kept(jobs: Jobs, name: str) -> None:
    assert states(jobs.run(flow(name, cached=False))) == ALL
    assert states(jobs.run(flow(name))) == ALL
    assert states(jobs.run(flow(name, cached=False))) == ALL


def test_a_key_of_the_pipelines_own_stands_for_command_and_inputs(jobs: Jobs, name: str) -> None:
    jobs.run(flow(name, key="v1"))
    assert states(jobs.run(flow(name, key="v1"), rows=5))["make"] == "SKIPPED"
    assert states(jobs.run(flow(name, key="v2"), rows=5))["make"] == "SUCCEEDED"


def test_only_what_succeeded_counts_though_the_job_failed(jobs: Jobs, name: str) -> None:
    for make_state in ("SUCCEEDED", "SKIPPED"):
        failed = jobs.run(flow(name), gate="bad")
        assert failed["state"] == "PIPELINE_STATE_FAILED"
        assert states(failed) == {"make": make_state, "check": "FAILED"}


def test_each_iteration_of_a_loop_has_outputs_of_its_own(jobs: Jobs, name: str) -> None:
    @dsl.pipeline(name=name)  # type: ignore[untyped-decorator]
    def loop() -> None:
        with dsl.ParallelFor([1, 2]) as rows:
            made = make(rows=rows)
            check(data=made.outputs["data"], gate="good")

    job = jobs.run(loop)
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED", job
    objects = jobs.session.get("https://storage.googleapis.com/storage/v1/b/runs/o").json()["items"]
    own = [one["name"] for one in objects if f"/{job['name'].rpartition('/')[2]}/" in one["name"]]
    assert len(own) == 2
