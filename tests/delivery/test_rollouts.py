"""Which flows have a turn, by what main's head has at that moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws

from delivery import channel, declared, leftover, releases, rollouts
from delivery.main_head import Head
from delivery.model_registry import Registered
from delivery.releases import Release
from delivery.rolling import Rolling
from delivery.rollout import Action, Deploy, Split, State, Target
from delivery.rollouts import Rollouts
from flows.errors import RetrainError
from flows.serving_config import Serving
from tests.clone import ROOT
from tests.delivery import evidence
from tests.delivery.test_rollout import World, rolled_out

FILE = "releases/local/recommender.toml"
TEXT = releases.write(evidence.evidence().proposed)


class Moving(Head):
    """A head that changes when it is fetched, as `moves` does it."""

    moves: Callable[[], Any] = staticmethod(lambda: None)

    def fetch(self) -> None:
        self.moves()


@pytest.fixture
def head(tmp_path: Path) -> Moving:
    """This repository's flows and settings, with one release."""
    for name in ("settings.toml", "vertex-ai-pipelines"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(TEXT)
    return Moving("acme/models", tmp_path)


@pytest.fixture(autouse=True)
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def locked(*_: object) -> Iterator[Any]:
        yield SimpleNamespace(check=lambda: None)

    monkeypatch.setattr(rollouts, "locked", locked)


def undeclared(head: Head) -> list[str]:
    """The flows that nothing declares."""
    good, _ = head.all("local", None)
    return [flow for _, flow, _ in Rollouts(head).undeclared(good, "local", None)]


@pytest.mark.parametrize(("text", "is_left"), [(TEXT, False), ("schema = 7", False), (None, True)])
def test_only_a_file_that_is_not_there_declares_nothing(
    head: Moving, text: str | None, is_left: bool
) -> None:
    (head.root / FILE).unlink() if text is None else (head.root / FILE).write_text(text)
    assert ("recommender" in undeclared(head)) == is_left


def test_what_main_declares_by_now_is_not_undeployed(
    head: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftover, "find", lambda *_: [object()])
    monkeypatch.setattr(Rollouts, "_store", lambda *_: None)
    (head.root / FILE).unlink()
    head.moves = lambda: (head.root / FILE).write_text(TEXT)
    said = Rollouts(head).prune(head.settings.environment("local"), "recommender", Serving())
    assert said == ["local/recommender: main declares it by now, and nothing is undeployed"]


def test_a_release_that_went_away_while_the_lock_was_held_is_said(
    head: Moving, capsys: pytest.CaptureFixture[str]
) -> None:
    head.moves = (head.root / FILE).unlink
    made = Rollouts(head)
    [done] = made.each([head.declared(FILE)], made.deploy)
    assert (done.lines, done.error) == ([f"local/recommender: main has just taken {FILE} away"], None)
    assert capsys.readouterr().out.splitlines() == done.lines


class Played(Rolling):
    """A roll-out on a world of its own; `during` is what happens while a model is deployed."""

    def __init__(self, wanted: Target, world: World, during: Callable[[], Any]) -> None:
        self._target, self._world, self._during = wanted, world, during
        self._check_image = lambda _: None

    def settle(self) -> None:
        pass

    def look(self) -> State:
        return self._world.state._replace(lacking={})

    def _do(self, action: Action, _: State) -> None:
        self._world.do(action)
        if isinstance(action, Deploy):
            self._during()


def test_a_release_that_was_reverted_while_it_was_deployed_gets_no_traffic(
    head: Moving, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = evidence.evidence().proposed.champion
    old = Release(champion=msgspec.structs.replace(before, traffic=100))
    made, splits = Rollouts(head), list[Split]()
    world = rolled_out(made._target(head.declared(FILE))._replace(release=old))
    monkeypatch.setattr(world, "_split", splits.append)

    def reverted() -> None:
        (head.root / FILE).write_text(releases.write(old))

    monkeypatch.setattr(made, "_rolling", lambda _, target: Played(target, world, reverted))
    [done] = made.each([head.declared(FILE)], made.deploy)
    assert done.error is None
    said = capsys.readouterr()
    assert [said.out.count(line) for line in done.lines] == [1] * len(done.lines), "planned, and shown"
    assert not set(done.lines) & set(said.err.splitlines())
    assert splits == []
    assert [one.version for one in world.state.seen.deployed] == [before.version]  # type: ignore[union-attr]


def test_a_manifest_is_read_once_and_a_failure_is_not_kept(
    head: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[object]()

    def manifest(_: object, entry: object, __: object) -> object:
        asked.append(entry)
        if len(asked) == 1:
            raise RetrainError("S3 does not answer")
        return "a manifest"

    monkeypatch.setattr(declared, "manifest", manifest)
    monkeypatch.setattr(Rollouts, "_store", lambda *_: None)
    made, one = Rollouts(head), head.declared(FILE)
    _, entry = next(one.roles())
    with pytest.raises(RetrainError):
        made._manifest(one, entry)
    found: list[object] = [made._manifest(one, entry) for _ in range(2)]
    assert (found, len(asked)) == (["a manifest"] * 2, 2)


class Registry:
    """A Model Registry with a champion and an older version; it keeps what it is asked for."""

    asked: list[dict[str, list[str]]]

    def __init__(self, *_: object) -> None:
        pass

    def versions(self) -> list[Registered]:
        aliases = {"2": {"champion", "default", evidence.CHAMPION}, "1": {evidence.OLD}}
        return [Registered(n, n, "", "", "", frozenset(some)) for n, some in aliases.items()]

    def point(self, numbers: dict[str, list[str]]) -> None:
        self.asked.append(numbers)


@pytest.mark.parametrize("is_released", [True, False])
def test_what_nothing_declares_has_no_aliases_and_an_empty_channel(
    head: Moving, monkeypatch: pytest.MonkeyPatch, is_released: bool
) -> None:
    monkeypatch.setattr(leftover, "ModelRegistry", Registry)
    monkeypatch.setattr(leftover, "find", lambda *_: [])
    asked = list[dict[str, list[str]]]()
    monkeypatch.setattr(Registry, "asked", asked, raising=False)
    environment, before = head.settings.environment("local"), evidence.evidence().proposed
    where = channel.address(environment, "recommender")
    if not is_released:
        (head.root / FILE).unlink()
    with mock_aws():
        client = boto3.client("s3", "us-east-1", aws_access_key_id="id", aws_secret_access_key="value")
        client.create_bucket(Bucket=where.bucket)
        channel.write(client, where, channel.of(before), None)
        monkeypatch.setattr(Rollouts, "_store", lambda *_: client)
        made, place = Rollouts(head), (environment, "recommender", Serving(kind="store"))
        before_that = made.left(*place)
        said = [made.prune(*place) for _ in range(2)]
        assert made.left(*place) == []
        found = channel.read(client, where)
    gone = ["local/recommender: its channel and aliases name no model any more"]
    told = "local/recommender: nothing declares it, and its channel names a model"
    assert before_that == ([] if is_released else [told])
    assert said == ([[], []] if is_released else [gone, []])
    assert asked == ([] if is_released else [{"2": ["-champion"]}])
    assert found
    assert channel.same(found.channel, channel.of(before) if is_released else channel.nothing())
