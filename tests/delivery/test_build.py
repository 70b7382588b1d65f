"""`build --flows`: the images of the flows that are due; one that is broken stops no other."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from delivery import build, image
from delivery.builder import Builder
from delivery.image import Origin
from delivery.provenance import UnsaidError
from flows import config
from flows.errors import InputError


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is pushed, where the flow `odd` runs in a group of its own, and `lost` in one that is not."""
    groups, made = {"odd": "torch", "lost": "nowhere"}, list[str]()
    real = config.load("recommender")

    def load(name: str) -> Any:
        if name == "broken":
            raise ZeroDivisionError
        return msgspec.structs.replace(real, image=groups.get(name, "base"))

    def publish(
        registry: str, root: object, group: str, commit: str, by: Builder, origin: Origin
    ) -> tuple[str, bool]:
        if group == "nowhere":
            raise InputError("poetry.lock has no dependency group 'nowhere'")
        assert registry.endswith(f"/retrain/{group}")
        made.append(f"{group} {commit}")
        return "sha256:1", True

    monkeypatch.setattr(config, "load", load)
    monkeypatch.setattr(image, "publish", publish)
    monkeypatch.setattr(build, "Registry", lambda name: name)
    monkeypatch.setattr(build, "head", lambda root: "abc1234")
    return made


@pytest.mark.parametrize(
    ("flows", "groups", "code"),
    [
        ('["recommender"]', ["base"], 0),
        ('["recommender", "linnerud", "odd"]', ["base", "torch"], 0),
        ('["odd"]', ["base", "torch"], 0),
        ('["broken", "lost", "odd"]', ["base", "torch"], 0),
        ('["broken"]', [], 1),
        ("[]", [], 0),
    ],
)
def test_each_flow_has_its_image_and_the_one_that_serves(
    pushed: list[str], flows: str, groups: list[str], code: int
) -> None:
    assert build.main(["--environment", "local", "--flows", flows, "--push"]) == code
    assert pushed == [f"{group} abc1234" for group in groups]


def test_what_is_left_out_is_told(pushed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    build.main(["--flows", '["broken", "lost"]', "--push"])
    said = capsys.readouterr().err
    assert "flow broken is left out: ZeroDivisionError" in said
    assert "image nowhere is left out: poetry.lock has no dependency group" in said


@pytest.mark.parametrize("flows", ["recommender", "[1]", "{}", ""])
def test_what_is_no_list_is_refused(flows: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build.main(["--flows", flows, "--push"])
    assert "is no JSON list of flows" in capsys.readouterr().err


def test_a_list_is_not_pushed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build.main(["--print", "--push"])
    assert ended.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.fixture
def unsaid(pushed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where what GitHub has to attest is named: all that is built."""

    def publish(registry: str, *_: object) -> tuple[str, bool]:
        raise UnsaidError(registry, f"sha256:{'1' * 64}")

    monkeypatch.setattr(image, "publish", publish)
    monkeypatch.setattr(build, "SUBJECTS", tmp_path / "subjects.txt")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    return tmp_path


def test_what_github_has_to_attest_is_named_for_the_next_step(
    unsaid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flows = ["--environment", "local", "--flows", '["recommender", "odd"]', "--push"]
    assert build.main([*flows, "--github-output"]) == 0
    lines = (unsaid / "subjects.txt").read_text().splitlines()
    assert [line.partition("  ")[0] for line in lines] == ["1" * 64] * 2
    assert [line.rpartition("/")[2] for line in lines] == ["base", "torch"]
    assert (unsaid / "output").read_text() == f"subjects={unsaid / 'subjects.txt'}\n"
    assert capsys.readouterr().out.count("no tag before it is attested") == 2
    with pytest.raises(UnsaidError, match="GitHub has not attested it"):
        build.main(flows)


def test_nothing_to_attest_is_told_the_next_step(
    pushed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "SUBJECTS", tmp_path / "subjects.txt")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    build.main(["--environment", "local", "--flows", '["odd"]', "--push", "--github-output"])
    assert (tmp_path / "output").read_text() == "subjects=\n"


def test_a_bundle_that_is_not_there_is_named(pushed: list[str], tmp_path: Path) -> None:
    for path in (tmp_path / "attestation.json", Path()):
        with pytest.raises(InputError, match=f"--attested={path}: .*\n.*bundle-path"):
            build.main(["--environment", "local", "--push", f"--attested={path}"])


def test_a_group_that_somebody_asked_for_has_to_be_there(pushed: list[str]) -> None:
    with pytest.raises(InputError, match="nowhere"):
        build.main(["--group", "nowhere", "--push"])
