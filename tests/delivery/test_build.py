"""`build --flows`: the images of the flows that are due; one that is broken stops no other."""

from typing import Any

import msgspec
import pytest

from delivery import build, image
from delivery.builder import Builder
from delivery.image import Origin
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
        ('["odd"]', ["torch"], 0),
        ('["broken", "lost", "odd"]', ["torch"], 0),
        ('["broken"]', [], 1),
        ("[]", [], 0),
    ],
)
def test_each_flow_has_its_image(pushed: list[str], flows: str, groups: list[str], code: int) -> None:
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


def test_a_group_that_somebody_asked_for_has_to_be_there(pushed: list[str]) -> None:
    with pytest.raises(InputError, match="nowhere"):
        build.main(["--group", "nowhere", "--push"])
