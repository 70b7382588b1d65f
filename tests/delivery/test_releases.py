"""releases/ENV/FLOW.toml: read, refused, written and changed."""

from pathlib import Path

import msgspec
import pytest

from delivery import releases
from delivery.releases import Entry, Model, Release
from flows.errors import InputError

OLD, MIDDLE, NEW = (
    f"v202611{day}-084500-{commit}"
    for day, commit in (("07", "aaaaaaa"), ("14", "0f1e2d3"), ("21", "abc1234"))
)
# Word for word as in the documents.
TEXT = f"""\
schema = 1

[champion]
version = "v20261114-084500-0f1e2d3"
manifest = "s3://acme-models/models/recommender/v20261114-084500-0f1e2d3/manifest.json"
sha256 = "{"1" * 64}"
image = "europe-west1-docker.pkg.dev/acme-ml/retrain/base@sha256:{"2" * 64}"
traffic = 90

[challenger]
version = "v20261121-084500-abc1234"
manifest = "s3://acme-models/models/recommender/v20261121-084500-abc1234/manifest.json"
sha256 = "{"1" * 64}"
image = "europe-west1-docker.pkg.dev/acme-ml/retrain/base@sha256:{"2" * 64}"
traffic = 10
"""


def model(version: str) -> Model:
    return Model(
        version=version,
        manifest=f"s3://acme-models/models/recommender/{version}/manifest.json",
        sha256="1" * 64,
        image=f"europe-west1-docker.pkg.dev/acme-ml/retrain/base@sha256:{'2' * 64}",
    )


def at(version: str, traffic: int) -> Entry:
    return Entry(**msgspec.structs.asdict(model(version)), traffic=traffic)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        releases.parse(text, "releases/local/recommender.toml")
    assert str(caught.value).startswith("releases/local/recommender.toml: ")
    return str(caught.value)


def test_reading_and_writing_give_the_same_bytes() -> None:
    release = releases.parse(TEXT, "here")
    assert release == Release(champion=at(MIDDLE, 90), challenger=at(NEW, 10))
    assert releases.write(release) == TEXT


def test_a_champion_alone_is_written_without_a_challenger() -> None:
    alone = Release(champion=at(MIDDLE, 100))
    assert releases.write(alone) == TEXT.split("\n[challenger]", maxsplit=1)[0].replace("90", "100")
    assert releases.parse(releases.write(alone), "here") == alone


def test_an_absent_file_is_nothing_released(tmp_path: Path) -> None:
    assert releases.read(tmp_path / "absent.toml") is None
    assert releases.parse(None, "here") is None


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recommender.toml"
    path.write_text(TEXT)
    release = releases.read(path)
    assert release is not None
    assert release.newest.version == NEW
    assert releases.path("local", "recommender") == "releases/local/recommender.toml"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("traffic = 10", "traffic = 20", "90 + 20 = 110"),
        ("traffic = 10", "traffic = -1", "traffic"),
        ("traffic = 10", 'traffic = "10"', "traffic"),
        ("traffic = 10", "trafic = 10", "nearest known key: traffic"),
        ("schema = 1\n", "", "begin the file with: schema = 1"),
        ("schema = 1\n", "schema = 2\n", "schema"),
        ("1" * 64, "1" * 63, "sha256"),
        (f"base@sha256:{'2' * 64}", "base:latest", "image"),
        ("[champion]", "[champions]", "nearest known key: champion"),
        (TEXT.split("\n\n")[1], "", "champion"),
        (f'version = "{NEW}"', f'version = "{OLD}"', "the manifest of another"),
        ("s3://acme-models/models/recommender/v20261121", "s3://x/v20261121", "manifest"),
        (
            "s3://acme-models/models/recommender/v20261121",
            "s3://acme-models/models/other/v20261121",
            "flows",
        ),
        (NEW, MIDDLE, "both v20261114-084500-0f1e2d3"),
        ("[champion]", "[champion", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    assert said in refusal(TEXT.replace(old, new))


def test_what_is_wrong_is_not_written() -> None:
    with pytest.raises(InputError, match="90 = 90"):
        releases.write(Release(champion=at(MIDDLE, 90)))


def test_the_first_model_is_champion_with_everything() -> None:
    assert releases.propose(None, model(NEW), 10) == Release(champion=at(NEW, 100))


def test_a_candidate_becomes_challenger_with_the_first_share() -> None:
    current = Release(champion=at(MIDDLE, 100))
    assert releases.propose(current, model(NEW), 10) == releases.parse(TEXT, "here")


def test_a_candidate_takes_the_place_of_another_challenger() -> None:
    current = Release(champion=at(OLD, 50), challenger=at(MIDDLE, 50))
    becomes = releases.propose(current, model(NEW), 10)
    assert becomes == Release(champion=at(OLD, 90), challenger=at(NEW, 10))


def test_without_a_ladder_a_candidate_becomes_champion_at_once() -> None:
    current = Release(champion=at(OLD, 90), challenger=at(MIDDLE, 10))
    assert releases.propose(current, model(NEW), 100) == Release(champion=at(NEW, 100))


@pytest.mark.parametrize("version", [MIDDLE, NEW])
def test_what_serves_already_changes_nothing(version: str) -> None:
    current = Release(champion=at(MIDDLE, 50), challenger=at(NEW, 50))
    assert releases.propose(current, model(version), 10) is current


def test_versions_are_ordered_by_time_and_then_by_number() -> None:
    again, tenth = f"{NEW}-2", f"{NEW}-10"
    shuffled = [tenth, OLD, again, NEW, MIDDLE]
    assert sorted(shuffled, key=releases.age) == [OLD, MIDDLE, NEW, again, tenth]
    assert releases.age("v20261121-084500-fffffff") == releases.age("v20261121-084500-0000000")


def test_what_is_not_a_version_has_no_age() -> None:
    with pytest.raises(InputError, match="'latest' is not a version"):
        releases.age("latest")
