"""Cleaning up images: what stays, and why; what goes, and in which order."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from delivery import clean_images, image_uses, settings
from delivery.clean_images import judge
from delivery.image_uses import History, Uses, images
from delivery.registry import Stored
from flows.errors import InputError, RetrainError

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)
MANIFEST, INDEX = (f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index"))
NONE = Uses({}, {})


def sha(number: int) -> str:
    return f"sha256:{number:064x}"


def stored(number: int, *tags: str, days: int = 60, kind: str = MANIFEST) -> Stored:
    return Stored(sha(number), kind, tags, NOW - timedelta(days=days), 1)


def stay(found: list[Stored], used: Uses = NONE, **content: dict[str, Any]) -> dict[int, str]:
    """Why each stays, by number; `content` by "m" and the number."""
    said = {sha(int(name[1:])): one for name, one in content.items()}
    verdicts = judge(found, lambda digest: said.get(digest, {}), used, SINCE)
    return {int(one.stored.digest[-8:], 16): one.why for one in verdicts}


def layers(*numbers: int) -> dict[str, Any]:
    return {"layers": [{"digest": sha(number)} for number in numbers]}


COMMIT = "c" * 40


def test_an_image_that_nothing_uses_can_go_once_it_is_old() -> None:
    assert stay([stored(1, "content-1", COMMIT)]) == {1: ""}
    assert stay([stored(1, "content-1", COMMIT, days=29)]) == {1: "it is new"}
    assert stay([stored(1)]) == {1: ""}, "without any tag, too"


def test_what_a_release_or_a_job_or_a_new_commit_names_stays() -> None:
    used = Uses({sha(1): "releases/ names it"}, {COMMIT: "main is at its commit"})
    found = [stored(1, "content-1"), stored(2, "content-2", COMMIT), stored(3, "d" * 40)]
    assert stay(found, used) == {1: "releases/ names it", 2: "main is at its commit", 3: ""}


def test_what_the_build_has_not_tagged_stays() -> None:
    found = [stored(1, "content-1", "prod"), stored(2, "buildcache"), stored(3, "abc1234")]
    assert stay(found)[1] == "its tag 'prod' is not the build's"
    assert all(stay(found).values())


def test_what_is_about_an_image_goes_with_it_or_stays_with_it() -> None:
    found = [stored(1, "prod"), stored(2, "content-2"), stored(3), stored(4), stored(5)]
    about = {name: {"subject": {"digest": sha(to)}} for name, to in (("m3", 1), ("m4", 2), ("m5", 3))}
    kept = stay(found, NONE, **about)
    assert {number for number, why in kept.items() if not why} == {2, 4}
    assert kept[5] == "it is about an image that stays", "a signature of an SBOM"


def test_parts_of_an_index_stay_with_it() -> None:
    found = [stored(1, "prod", kind=INDEX), stored(2), stored(3)]
    assert stay(found, m1={"manifests": [{"digest": sha(2)}]})[2] == "it is part of an index that stays"
    assert stay(found, m1={"manifests": [{"digest": sha(2)}]})[3] == ""


def test_what_the_next_build_stands_on_stays() -> None:
    found = [stored(1, "content-1", days=1), stored(2, "below-2"), stored(3, "below-3")]
    kept = stay(found, m1=layers(7, 8, 9), m2=layers(7, 8), m3=layers(8, 9))
    assert kept[2] == "an image that stays stands on it"
    assert kept[3] == ""
    same = [stored(1, "content-1", days=1), stored(4, "content-4")]
    assert stay(same, m1=layers(7, 8), m4=layers(7))[4] == "", "another image's layers are its own"


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A repository with releases in its past, on a branch of its own, and in a merge."""
    folder = tmp_path / "hub"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "hub")
    for number, branch in enumerate(["main", "main", "release/production/shop"], 1):
        if branch != "main":
            git(folder, "switch", "--quiet", "--create", branch)
        commit(folder, f'image = "here.pkg.dev/p/r/base@{sha(number)}"\n', days=100 - number)
    git(folder, "switch", "--quiet", "main")
    git(folder, "rm", "--quiet", "-r", "releases")
    commit(folder, None, days=3)
    return folder


def git(folder: Path, *arguments: str, **variables: str) -> str:
    who = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    command = ["git", *arguments]
    base = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **who}
    done = subprocess.run(command, cwd=folder, env=base | variables, capture_output=True, check=True)
    return done.stdout.decode().strip()


def commit(folder: Path, text: str | None, days: int) -> None:
    if text is not None:
        file = folder / "releases" / "production" / "shop.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        git(folder, "add", "--all")
    when = (NOW - timedelta(days=days)).isoformat()
    git(folder, "commit", "--quiet", "--message=x", GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)


def history(hub: Path, tmp_path: Path) -> History:
    folder = tmp_path / "copy"
    folder.mkdir()
    return History("acme/models", folder, source=str(hub))


def test_every_release_that_ever_was_or_is_proposed_counts(hub: Path, tmp_path: Path) -> None:
    assert set(history(hub, tmp_path).released()) == {sha(1), sha(2), sha(3)}


def test_new_commits_and_the_heads_of_branches_count(hub: Path, tmp_path: Path) -> None:
    found = history(hub, tmp_path).commits(SINCE)
    heads = {git(hub, "rev-parse", name): name for name in ("main", "release/production/shop")}
    assert found == {head: f"{name} is at its commit" for head, name in heads.items()}
    everything = history(hub, tmp_path / "hub").commits(NOW - timedelta(days=99, hours=1))
    assert len(everything) == 4


def test_a_repository_that_cannot_be_read_ends_it(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match=r"history of acme/models cannot be read(.|\n)*GITHUB_TOKEN"):
        history(tmp_path / "nowhere", tmp_path)


def job(*named: str) -> Any:
    from google.cloud.aiplatform_v1.types import PipelineJob

    executors = {f"e{n}": {"container": {"image": one}} for n, one in enumerate(named)}
    spec = {"deploymentSpec": {"executors": {**executors, "importer": {"importer": {}}}}}
    return PipelineJob(name="jobs/1", pipeline_spec=spec)


def test_a_job_s_images_are_its_executors() -> None:
    assert images(job(f"here/base@{sha(1)}", f"here/torch@{sha(2)}", f"here/base@{sha(1)}")) == {
        sha(1),
        sha(2),
    }
    assert images(None) == set()
    with pytest.raises(InputError, match="jobs/1 uses here/base:v1, which is no digest"):
        images(job("here/base:v1"))


class Refusing:
    """A registry that notes what is deleted, and refuses one of them."""

    name = "here"

    def __init__(self, refused: str) -> None:
        self.refused, self.gone = refused, list[str]()

    def delete(self, reference: str) -> bool:
        if reference == self.refused:
            raise RetrainError(f"registry here: manifest {reference}: still referenced by tag")
        self.gone.append(reference)
        return True


def test_tags_go_first_and_what_names_others_before_them(capsys: pytest.CaptureFixture[str]) -> None:
    doomed = [stored(1, "content-1", COMMIT), stored(2), stored(3, "content-3", kind=INDEX)]
    registry: Any = Refusing(sha(3))
    assert clean_images.delete(registry, doomed) == 1
    assert registry.gone == [sha(2), "content-3", "content-1", COMMIT, sha(1)]
    shown = capsys.readouterr()
    assert "deleted       2 of here" in shown.out
    assert "still referenced" in shown.err


def test_environments_that_share_a_registry_are_asked_together() -> None:
    found = settings.load()
    staging = found.environment("staging")
    assert {one.name for one in clean_images.sharing(found, staging)} == {"staging", "production"}


@pytest.mark.parametrize("text", ["0", "-1", "a", "1.5", ""])
def test_an_age_of_less_than_a_day_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        clean_images.main([f"--older-than={text}"])
    assert ended.value.code == 2
    assert "is not a number of days from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("yes", [True, False])
def test_nothing_is_deleted_without_yes(
    yes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deleted = list[str]()

    class Images(Refusing):
        def __init__(self, name: str) -> None:
            super().__init__("")
            self.name = name

        def below(self) -> list[str]:
            return ["old-group"]

        def stored(self) -> list[Stored]:
            return [stored(1, "content-1")] if self.name.endswith("/old-group") else []

        def manifest(self, _: str) -> None:
            return None

        def delete(self, reference: str) -> bool:
            deleted.append(reference)
            return True

    monkeypatch.setattr(clean_images, "Registry", Images)
    monkeypatch.setattr(clean_images, "uses", lambda *_: NONE)
    assert clean_images.main(["--environment", "production", *(["--yes"] if yes else [])]) == 0
    assert deleted == (["content-1", sha(1)] if yes else [])
    shown = capsys.readouterr().out
    assert "old-group     0 stay · 1 can go, at most 1 bytes" in shown
    assert ("nothing is deleted without --yes" in shown) != yes


def test_each_sharing_environment_s_jobs_count(monkeypatch: pytest.MonkeyPatch, hub: Path) -> None:
    found = settings.load()
    monkeypatch.setattr(image_uses, "_of_jobs", lambda one, _: [sha(8 if one.name == "staging" else 9)])
    monkeypatch.setattr(image_uses, "_of_models", lambda one: [sha(7)] if one.name == "staging" else [])
    own = History
    monkeypatch.setattr(image_uses, "History", lambda name, folder: own(name, folder, str(hub)))
    both = [found.environment(name) for name in ("staging", "production")]
    digests = image_uses.uses(found.repository, both, SINCE).digests
    assert digests[sha(8)] == "a job in staging uses it"
    assert digests[sha(9)] == "a job in production uses it"
    assert digests[sha(7)] == "a model version in staging is served by it"
    assert sha(1) in digests
