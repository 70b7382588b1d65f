"""`run --release` on a fresh clone: to an endpoint that answers, and what comes after."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.clone import Clone, Ended
from tests.faults.worlds import template

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone of its own, in which nothing has run."""
    made = template().copy(tmp_path_factory.mktemp("served") / "world")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def released(served: Clone) -> Ended:
    """Its first run, which releases."""
    ended = served.run("linnerud", "--release")
    assert ended.code == 0, ended
    return ended


def test_the_first_model_is_champion_with_everything(released: Ended) -> None:
    answer = released.answer
    assert answer["state"] == "released"
    assert answer["endpoint"].endswith("/locations/europe-west1/endpoints/linnerud-local")
    assert answer["traffic"] == {answer["model"]["version"]: 100}
    assert [type(one) for one in answer["prediction"]] == [float] * 3
    assert answer["pull_request"]["number"] == 1


def test_what_serves_and_how_it_is_undone_is_said(released: Ended) -> None:
    version = released.answer["model"]["version"]
    assert "release       pull request #1, merged\n" in released.err
    assert f"traffic       {version} 100 % · champion\n" in released.err
    prune = "./scripts/deploy linnerud --environment local --prune"
    assert f"undo          revert the merge, then {prune}\n" in released.err


def test_plain_http_gets_the_same_answer(served: Clone, released: Ended) -> None:
    """As the line for curl says it."""
    [line] = [one for one in released.err.splitlines() if one.startswith("ask it ")]
    command = line.removeprefix("ask it ").strip()
    assert (command[0], command[-1]) == ("(", ")"), "the shell that it is pasted to stays as it was"
    words = shlex.split(command[1:-1])
    assert "Authorization: Bearer $(./scripts/localcloud token)" in words
    token = served.verb("localcloud", "token").out.strip()
    environment = served.environment().set
    answer = requests.post(
        words[-1],
        data=words[words.index("-d") + 1],
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        proxies={"https": environment["HTTPS_PROXY"]},
        verify=environment["REQUESTS_CA_BUNDLE"],
        timeout=60,
    ).json()
    assert answer["predictions"] == [released.answer["prediction"]]
    assert answer["modelDisplayName"] == "linnerud-local"
    assert {"deployedModelId", "model"} <= set(answer)


def test_a_product_s_server_fetches_the_champion(served: Clone, released: Ended) -> None:
    fetched = served.verb("models", "fetch", "linnerud@champion", "fetched", "--json", inside=True)
    model: dict[str, Any] = released.answer["model"]
    assert fetched.code == 0, fetched
    assert (fetched.answer["version"], fetched.answer["sha256"]) == (model["version"], model["sha256"])
    assert (served.folder / "fetched" / "manifest.json").is_file()


def test_the_verbs_ask_the_local_github(served: Clone, released: Ended) -> None:
    version = released.answer["model"]["version"]
    alone = served.verb("promote", "linnerud")
    assert (alone.code, f"{version} serves alone" in alone.err) == (2, True)
    first = served.verb("rollback", "linnerud")
    assert first.code == 2
    assert f"main has declared no champion before {version}" in first.err
    plan = served.verb("deploy", "--plan")
    assert (plan.code, "nothing to do" in plan.out) == (0, True), plan
