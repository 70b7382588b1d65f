"""releases/ENV/FLOW.toml: read, refused, written and changed."""

import subprocess
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
TEXT = f"""\
schema = 1

[champion]
version = "v20261114-084500-0f1e2d3"
traffic = 90
manifest = "s3://acme-models/models/recommender/v20261114-084500-0f1e2d3/manifest.json"
sha256 = "{"1" * 64}"
image = "europe-west1-docker.pkg.dev/acme-ml/retrain/base@sha256:{"2" * 64}"

[challenger]
version = "v20261121-084500-abc1234"
traffic = 10
manifest = "s3://acme-models/models/recommender/v20261121-084500-abc1234/manifest.json"
sha256 = "{"1" * 64}"
image = "europe-west1-docker.pkg.dev/acme-ml/retrain/base@sha256:{"2" * 64}"
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
    ("old", "new", "line", "said"),
    [
        ("traffic = 10", "traffic = 20", 12, "90 + 20 = 110"),
        ("traffic = 10", "traffic = -1", 12, "traffic"),
        ("traffic = 10", 'traffic = "10"', 12, "traffic"),
        ("traffic = 10", "trafic = 10", 12, "nearest known key: traffic"),
        ("schema = 1\n", "", 1, "begin the file with: schema = 1"),
        ("schema = 1\n", "schema = 2\n", 1, "schema"),
        ("1" * 64, "1" * 63, 7, "sha256"),
        (f"base@sha256:{'2' * 64}", "base:latest", 8, "image"),
        ("[champion]", "[champions]", 3, "nearest known key: champion"),
        ("traffic = 10\n", "", 10, "traffic"),
        (TEXT.split("\n\n")[1], "", 1, "champion"),
        (f'version = "{NEW}"', f'version = "{OLD}"', 13, "the manifest of another"),
        ("s3://acme-models/models/recommender/v20261121", "s3://x/v20261121", 13, "manifest"),
        (
            "s3://acme-models/models/recommender/v20261121",
            "s3://acme-models/models/other/v20261121",
            13,
            "flows",
        ),
        (NEW, MIDDLE, 11, "both v20261114-084500-0f1e2d3"),
        ("[champion]", "[champion", 3, "not valid TOML"),
        ("traffic = 10\n", "traffic = 10\ntraffic = 10\n", 13, "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, line: int, said: str) -> None:
    assert old in TEXT
    told = refusal(TEXT.replace(old, new))
    assert told.startswith(f"releases/local/recommender.toml:{line}: ")
    assert said in told


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


@pytest.mark.parametrize(
    ("share", "ladder", "becomes"),
    [(10, (10, 50, 100), 50), (0, (10, 50, 100), 10), (30, (10, 50, 100), 50), (50, (10, 50, 100), 100)],
)
def test_a_promotion_is_the_ladder_s_next_rung(
    share: int, ladder: tuple[int, ...], becomes: int
) -> None:
    current = Release(champion=at(MIDDLE, 100 - share), challenger=at(NEW, share))
    both = Release(champion=at(MIDDLE, 100 - becomes), challenger=at(NEW, becomes))
    wanted = Release(champion=at(NEW, 100)) if becomes == 100 else both
    assert releases.promote(current, ladder) == wanted


def test_without_rungs_the_challenger_becomes_champion_at_once() -> None:
    current = Release(champion=at(MIDDLE, 90), challenger=at(NEW, 10))
    assert releases.promote(current, ()) == Release(champion=at(NEW, 100))


def test_a_challenger_gets_any_share() -> None:
    current = Release(champion=at(MIDDLE, 90), challenger=at(NEW, 10))
    assert releases.split(current, 50) == Release(champion=at(MIDDLE, 50), challenger=at(NEW, 50))


@pytest.mark.parametrize("share", ["-1", "0", "100", "101", "12.5"])
def test_a_challenger_has_a_share_and_not_all(share: str) -> None:
    with pytest.raises(InputError, match=f"cannot have {share} %"):
        releases.share(share)


@pytest.mark.parametrize(
    ("current", "said"),
    [(None, "nothing is released"), (Release(champion=at(MIDDLE, 100)), f"{MIDDLE} serves alone")],
)
def test_without_a_challenger_there_is_nothing_to_promote(current: Release | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        releases.promote(current, (50, 100))
    with pytest.raises(InputError, match=said):
        releases.split(current, 50)


def test_the_champion_before_is_an_older_one_that_main_had() -> None:
    def champions(*versions: str) -> list[Release]:
        return [Release(champion=at(version, 100)) for version in versions]

    def before(now: str, *earlier: str) -> str | None:
        found = releases.before(champions(now)[0], champions(*earlier))
        return found.version if found else None

    assert before(NEW, NEW, MIDDLE, OLD) == MIDDLE
    assert before(MIDDLE, MIDDLE, NEW, MIDDLE, OLD) == OLD  # NEW was rolled back
    assert before(OLD, MIDDLE, NEW) is None


def test_a_new_candidate_and_a_new_share_do_not_merge_by_themselves(tmp_path: Path) -> None:
    base = releases.write(Release(champion=at(MIDDLE, 90), challenger=at(NEW, 10)))
    shares = releases.write(Release(champion=at(MIDDLE, 50), challenger=at(NEW, 50)))
    candidate = releases.write(Release(champion=at(MIDDLE, 90), challenger=at(f"{NEW}-2", 10)))
    for name, text in {"ours": shares, "base": base, "theirs": candidate}.items():
        (tmp_path / name).write_text(text)
    merge = ["git", "merge-file", "--stdout", "ours", "base", "theirs"]
    done = subprocess.run(merge, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1  # conflicts


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (f'version = "{NEW}"', 'version = "v2026"', "challenger.version = 'v2026'"),
        ("1" * 64, "1" * 63, f"champion.sha256 = '{'1' * 63}'"),
        ("/v20261114-084500-0f1e2d3/manifest.json", "/manifest", "champion.manifest = "),
        (f"base@sha256:{'2' * 64}", "base:latest", "champion.image = "),
    ],
)
def test_what_is_not_of_its_form_is_answered_with_the_form(old: str, new: str, told: str) -> None:
    what, mend = refusal(TEXT.replace(old, new, 1)).split("\n  mend: ")
    assert told in what
    assert what.endswith("is not of the right form")
    assert mend == f"write {releases.FORMS[told.split(maxsplit=1)[0].partition('.')[2]]}"
