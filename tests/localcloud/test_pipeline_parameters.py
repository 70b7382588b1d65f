"""What a pipeline's parameters may be, and how they reach a step."""

from typing import Any

import pytest
from kfp import dsl

from localcloud.client import Client
from tests.localcloud.jobs import Jobs, tasks

pytestmark = pytest.mark.slow
ECHO = 'mkdir -p "$(dirname "$1")" && printf %s "$0" > "$1"'


@dsl.container_component  # type: ignore[untyped-decorator]
def echo(
    word: str,
    said: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> dsl.ContainerSpec:
    return dsl.ContainerSpec("debian:12", ["sh", "-c", ECHO], [word, said])


@dsl.pipeline(name="kinds")  # type: ignore[untyped-decorator]
def kinds(word: str, n: int, x: float, on: bool, some: list[int], table: dict[str, int]) -> None:
    echo(word=word)


GOOD = {"word": "", "n": 1, "x": 0.5, "on": True, "some": [1], "table": {"k": 2}}


@pytest.fixture(scope="module")
def jobs(cloud: Client) -> Jobs:
    return Jobs(cloud)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("word", 1, "word is STRING, but its value is 1.0"),
        ("n", "1", 'n is NUMBER_INTEGER, but its value is "1"'),
        ("n", 1.5, "n is NUMBER_INTEGER, but its value is 1.5"),
        ("n", True, "n is NUMBER_INTEGER, but its value is true"),
        ("x", "0.8", 'x is NUMBER_DOUBLE, but its value is "0.8"'),
        ("on", "true", 'on is BOOLEAN, but its value is "true"'),
        ("some", {}, "some is LIST, but its value is {}"),
        ("table", [1], "table is STRUCT, but its value is [1.0]"),
    ],
)
def test_a_value_of_another_type_is_refused(jobs: Jobs, name: str, value: Any, shown: str) -> None:
    answer = jobs.post(kinds, GOOD | {name: value})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["status"], error["message"]) == ("INVALID_ARGUMENT", f"Parameter {shown}.")


def test_a_text_reaches_the_step_as_it_is(jobs: Jobs) -> None:
    text = """a "b" 'c' \\n $HOME `d` {e} %s\nnext"""
    job = jobs.run(kinds, **GOOD | {"word": text, "x": 1})
    assert tasks(job)["echo"]["execution"]["metadata"] == {"output:said": text}
