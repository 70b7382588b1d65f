"""What `run` takes from Vertex AI's step cache, and what makes a step run again."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clone import Clone, Ended
from tests.faults.worlds import template

pytestmark = pytest.mark.slow
FLOW = "vertex-ai-pipelines/flows/linnerud/flow.toml"
STEPS = ["get_data", "preprocess", "train", "evaluate", "upload_model"]
LATE = """
from google.cloud import bigquery
client = bigquery.Client(project="retrain-local")
copied = "SELECT * REPLACE (21 AS subject) FROM gym.linnerud WHERE subject = 20"
client.query(f"INSERT INTO gym.linnerud {copied}").result()
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone whose cache no other test has filled."""
    made = template().copy(tmp_path_factory.mktemp("caching") / "world")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def done(own: Clone) -> Ended:
    return own.run("linnerud")


@pytest.fixture(scope="module")
def again(own: Clone, done: Ended) -> Ended:
    """The same flow and image at another commit."""
    with own.edited("LICENSE", "Apache License\n", "Apache License, as it is\n"):
        return own.run("linnerud")


@pytest.fixture(scope="module")
def regated(own: Clone, again: Ended) -> Ended:
    with own.edited(FLOW, "floor = 1.5", "floor = 1.6"):
        return own.run("linnerud")


@pytest.fixture(scope="module")
def late(own: Clone, regated: Ended) -> Ended:
    """After a row that came late."""
    own.program(LATE)
    return own.run("linnerud")


def cached(ended: Ended) -> list[str]:
    """The steps whose outputs came from the cache."""
    assert ended.code == 0, ended
    steps: list[dict[str, Any]] = ended.answer["steps"]
    assert [step["name"] for step in steps] == STEPS, ended
    return [step["name"] for step in steps if step["cached"]]


def test_a_first_run_takes_nothing(done: Ended) -> None:
    assert cached(done) == []
    assert "(cached)" not in done.err


def test_another_commit_with_the_same_image_runs_the_upload_alone(done: Ended, again: Ended) -> None:
    assert cached(again) == STEPS[:-1]
    assert again.answer["commit"] != done.answer["commit"]
    assert again.answer["image"] == done.answer["image"]
    assert again.answer["metrics"] == done.answer["metrics"]
    lines = [line for line in again.err.splitlines() if "(cached)" in line]
    assert [line.split()[0] for line in lines] == STEPS[:-1], again.err


def test_a_gate_edit_runs_evaluate_again(regated: Ended) -> None:
    assert cached(regated) == ["get_data", "preprocess", "train"]


def test_late_rows_run_everything_again(late: Ended) -> None:
    assert cached(late) == []
