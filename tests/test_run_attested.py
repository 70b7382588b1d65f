"""The main job with images that GitHub attests: train.yml has it done, whoever uses one looks."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clone import Clone, Ended
from tests.faults.worlds import template

pytestmark = pytest.mark.slow

OFF = 'aws_region = "eu-west-1"\n\n[environments.local.secrets]\n'
ON = OFF.replace("\n\n", '\nattest = "github"\n\n')
ABOUT = """
import requests
from delivery import provenance, settings
from delivery.bundle import KIND
from delivery.registry import Registry
name, _, digest = IMAGE.partition("@")
headers = {"authorization": "Bearer " + os.environ["GITHUB_TOKEN"]}
place = f"https://api.github.com/repos/acme/models/attestations/{digest}"
answer = {
    "at github": len(requests.get(place, headers=headers, timeout=30).json()["attestations"]),
    "beside it": len(Registry(name).referrers(digest, KIND)),
}
try:
    provenance.check_used(settings.load().environment("local"), IMAGE)
except provenance.UnvouchedError as error:
    answer["refused"] = error.what
"""


@pytest.fixture(scope="module")
def attesting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A fresh clone whose environment has GitHub attest, and trusts the local one for it."""
    made = template().copy(tmp_path_factory.mktemp("attesting") / "world")
    try:
        made.write("settings.toml", OFF, ON)
        looked = made.verb("doctor", "local").err
        assert "trust/local.jsonl: there is no such file" in looked, looked
        found = re.search(r"expected: (repository_id = \d+), (owner_id = \d+)", looked)
        assert found, looked
        numbers = f"schema = 1\n{found[1]}\n{found[2]}\n"
        (made.folder / "trust" / "local.toml").write_text(numbers)
        roots = made.verb("localcloud", "trusted-root").out
        (made.folder / "trust" / "local.jsonl").write_text(roots)
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def ended(attesting: Clone) -> Ended:
    """A run of it, to the endpoint: deploy.yml's account may see who built the image."""
    return attesting.run("linnerud", "--release")


def about(attesting: Clone, ended: Ended) -> dict[str, Any]:
    """What is known of the run's image, and whether it counts."""
    product = f"sys.path.insert(0, {str(attesting.folder / 'vertex-ai-pipelines')!r})"
    found = attesting.program(f"{product}\nIMAGE = {ended.answer['image']!r}\n{ABOUT}")
    return dict(found)


def test_what_train_has_built_github_has_attested(attesting: Clone, ended: Ended) -> None:
    assert ended.code == 0, ended
    assert ended.answer["state"] == "released", ended
    assert about(attesting, ended) == {"at github": 1, "beside it": 1}
    logs = [path.read_text() for path in (attesting.cloud.root / "runs").glob("*/log.txt")]
    [log] = [text for text in logs if "attested      " in text]
    assert log.index("Attestation created for 1 subjects") < log.index("attested      ")
    looked = attesting.verb("doctor", "local").err
    assert "attest        ok      github · .github/workflows/train.yml on main of acme/models" in looked
    assert "trust/local.jsonl · GitHub's own Sigstore, by timestamps" in looked


def test_another_repository_of_that_name_does_not_count(attesting: Clone, ended: Ended) -> None:
    assert ended.code == 0, ended
    [line] = re.findall(r"repository_id = \d+", (attesting.folder / "trust/local.toml").read_text())
    with attesting.edited("trust/local.toml", line, "repository_id = 1"):
        found = about(attesting, ended)
    number = line.removeprefix("repository_id = ")
    assert f"its certificate's source repository's number is '{number}', not '1'" in found["refused"]
