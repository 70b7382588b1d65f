"""What has to be done, by what is declared and what is true: no service is asked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from delivery import channel, obstacle, rollout, rollout_text
from delivery.endpoint_state import Deployed, Seen
from delivery.model_registry import Registered
from delivery.releases import Entry, Release
from delivery.rollout import (
    Action,
    Copy,
    Create,
    Deploy,
    Evaluate,
    Point,
    Publish,
    Register,
    Resize,
    Split,
    State,
    Stop,
    Target,
    Undeploy,
)
from delivery.serving_names import Machine, deployed_id
from flows.serving_config import Serving
from flows.storage import Address
from tests.delivery import evidence

V1, V2, V3 = evidence.OLD, evidence.CHAMPION, evidence.VERSION
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SERVING = Serving(machine_type="n1-standard-2", max_replicas=3)
MACHINE = Machine("n1-standard-2")
NOTHING = State({}, {}, frozenset(), None, None, NOW)


def entry(version: str, traffic: int) -> Entry:
    model = evidence.model(evidence.manifest(version))
    fields = {key: getattr(model, key) for key in ("version", "manifest", "sha256", "image")}
    return Entry(**fields, traffic=traffic)


def target(*shares: tuple[str, int], serving: Serving = SERVING) -> Target:
    """A release of the champion and perhaps a challenger."""
    entries = [entry(*one) for one in shares]
    release = Release(champion=entries[0], challenger=entries[1] if len(entries) > 1 else None)
    return Target("recommender", "local", release, serving)


def fresh(wanted: Target) -> State:
    """Nothing is there, and all files lack."""
    return NOTHING._replace(lacking={one.version: ["model"] for one in wanted.release.entries})


class World:
    """The services in a few lines: what each action does to what is true."""

    def __init__(self, state: State, wanted: Target) -> None:
        self.state, self.wanted = state, wanted

    def do(self, action: Action) -> None:
        getattr(self, f"_{type(action).__name__.lower()}")(action)
        self.check()

    def check(self) -> None:
        """What holds at every moment."""
        deployed = self.state.seen.deployed if self.state.seen else ()
        assert sum(one.share for one in deployed) in ((100,) if deployed else (0,))
        assert all(one.is_healthy for one in deployed if one.share)

    def run(self, wanted: Target, most: int = 99) -> list[Action]:
        """At most so many actions of a roll-out, as one that is killed leaves them."""
        self.wanted = wanted
        if self.state.seen is None or not self.state.registered:
            self.state = self.state._replace(lacking=fresh(wanted).lacking)
        actions = rollout.plan(wanted, self.state)
        for action in actions[:most]:
            self.do(action)
        return actions

    def _copy(self, action: Copy) -> None:
        lacking = {k: v for k, v in self.state.lacking.items() if k != action.entry.version}
        self.state = self.state._replace(lacking=lacking)

    def _register(self, action: Register) -> None:
        version = action.entry.version
        assert version not in self.state.lacking
        number = str(len(self.state.registered) + 1)
        aliases = frozenset({version, "default"} if number == "1" else {version})
        files = "gs://serving/models" if self.wanted.is_on_endpoint else ""
        made = Registered(version, number, "", "", "", aliases, files)
        self.state = self.state._replace(registered={**self.state.registered, version: made})

    def _evaluate(self, action: Evaluate) -> None:
        assert action.entry.version in self.state.registered
        self.state = self.state._replace(evaluated=self.state.evaluated | {action.entry.version})

    def _create(self, _: Create) -> None:
        assert self.state.seen is None
        self._see()

    def _stop(self, action: Stop) -> None:
        assert action.deployed.is_down
        assert self.state.seen
        self._see(*(one for one in self.state.seen.deployed if one.id != action.deployed.id))

    def _deploy(self, action: Deploy) -> None:
        assert self.state.seen is not None
        own = deployed_id(action.entry.version, action.machine)
        assert own not in [one.id for one in self.state.seen.deployed]
        assert action.entry.version in self.state.registered
        first = action.is_champion and not any(one.share for one in self.state.seen.deployed)
        least, most = action.replicas
        share = 100 if first else 0
        made = deployed(action.entry.version, share, machine=action.machine, least=least, most=most)
        self._see(*self.state.seen.deployed, made)

    def _resize(self, action: Resize) -> None:
        least, most = action.replicas
        self._each(lambda one: one._replace(least=least, most=most) if one == action.deployed else one)

    def _split(self, action: Split) -> None:
        def changed(one: Deployed) -> Deployed:
            share = action.shares.get(one.id, 0)
            since = NOW if one.id in action.standby else one.standby
            return one._replace(share=share, standby=None if share else since)

        self._each(changed)

    def _point(self, action: Point) -> None:
        known = dict(self.state.registered)
        for version, given in action.aliases.items():
            adds = {one for one in given if not one.startswith("-")}
            drops = {one[1:] for one in given if one.startswith("-")}
            known = {k: v._replace(aliases=v.aliases - adds) for k, v in known.items()}
            had = known[version]
            known[version] = had._replace(aliases=(had.aliases | adds) - drops)
        self.state = self.state._replace(registered=known)

    def _publish(self, action: Publish) -> None:
        self.state = self.state._replace(channel=action.wanted)

    def _undeploy(self, action: Undeploy) -> None:
        assert action.deployed.share == 0 or self._share(action.deployed.id) == 0
        assert self.state.seen
        self._see(*(one for one in self.state.seen.deployed if one.id != action.deployed.id))

    def _share(self, number: str) -> int:
        assert self.state.seen
        return next(one.share for one in self.state.seen.deployed if one.id == number)

    def _each(self, change: Any) -> None:
        assert self.state.seen
        self._see(*map(change, self.state.seen.deployed))

    def _see(self, *some: Deployed) -> None:
        self.state = self.state._replace(seen=Seen(some, True, "", {}))


def deployed(version: str, share: int, **changed: Any) -> Deployed:
    machine = changed.pop("machine", MACHINE)
    made = Deployed(
        deployed_id(version, machine), version, machine, 1, 3, share, None, is_healthy=True, is_ours=True
    )
    return made._replace(**changed)


def rolled_out(*targets: Target) -> World:
    """A world after these roll-outs."""
    world = World(NOTHING, targets[0])
    for one in targets:
        world.state = world.state._replace(lacking={})
        world.run(one)
    return world


def kinds(actions: list[Action]) -> list[str]:
    return [type(one).__name__ for one in actions]


def test_the_first_release_brings_everything_in_order() -> None:
    world = World(NOTHING, target((V1, 100)))
    assert kinds(world.run(target((V1, 100)))) == [
        *("Copy", "Register", "Create", "Deploy", "Point", "Publish", "Evaluate")
    ]
    assert rollout.plan(target((V1, 100)), world.state) == []


LADDER = [
    target((V1, 100)),
    target((V1, 90), (V2, 10)),
    target((V1, 50), (V2, 50)),
    target((V2, 100)),
    target((V1, 100)),  # a rollback within the stand-by
    target((V1, 90), (V3, 10)),
    target((V3, 90), (V1, 10)),  # the roles change places
    target((V3, 100), serving=Serving(machine_type="n1-standard-4")),
]


@pytest.mark.parametrize("before", range(len(LADDER)))
@pytest.mark.parametrize("after", range(len(LADDER)))
def test_whatever_is_killed_wherever_the_next_one_ends_where_it_should(before: int, after: int) -> None:
    start = rolled_out(LADDER[before]).state
    whole = len(rollout.plan(LADDER[after], start))
    for most in range(whole + 1):
        world = World(start, LADDER[after])
        world.run(LADDER[after], most)
        world.run(LADDER[after])
        assert rollout.plan(LADDER[after], world.state) == []


@pytest.mark.parametrize("after", range(1, len(LADDER)))
def test_another_release_may_come_before_one_has_ended(after: int) -> None:
    start = rolled_out(LADDER[after - 1]).state
    for most in range(len(rollout.plan(LADDER[after], start)) + 1):
        world = World(start, LADDER[after])
        world.run(LADDER[after], most)
        last = LADDER[(after + 3) % len(LADDER)]
        world.run(last)
        assert rollout.plan(last, world.state) == []


def test_a_challenger_never_gets_all_of_the_traffic() -> None:
    wanted = target((V1, 90), (V2, 10))
    world = rolled_out(target((V1, 100)))
    world._each(lambda one: one._replace(share=0))
    actions = rollout.plan(wanted, world.state)
    assert kinds(actions)[1:4] == ["Split", "Deploy", "Split"]
    assert [one.shares for one in actions if isinstance(one, Split)] == [
        {deployed_id(V1, MACHINE): 100},
        wanted.shares,
    ]
    assert [one.is_champion for one in actions if isinstance(one, Deploy)] == [False]


def test_a_champion_that_is_not_healthy_gets_none_before_it_is() -> None:
    wanted = target((V1, 90), (V2, 10))
    world = rolled_out(target((V1, 100)))
    world._each(lambda one: one._replace(share=0, is_healthy=False))
    actions = rollout.plan(wanted, world.state)
    assert kinds(actions)[1:5] == ["Stop", "Deploy", "Deploy", "Split"]
    assert [one.is_champion for one in actions if isinstance(one, Deploy)] == [True, False]


def test_who_waits_without_an_answer_is_deployed_again_where_it_is_to_serve() -> None:
    """A stand-by that is rolled back to, and a challenger that broke before it had its share."""
    world = rolled_out(target((V1, 100)), target((V2, 100)))
    world._each(lambda one: one._replace(is_healthy=bool(one.share)))
    [still] = list(rollout_text.lines(target((V2, 100)), world.state, []))[1:]
    assert "at 0 % until" in still
    assert "does not answer: a rollback deploys it again" in still
    rollback = target((V1, 100))
    text = "\n".join(rollout_text.lines(rollback, world.state, rollout.plan(rollback, world.state)))
    assert (
        f"! drift       {V1} · at 0 %, does not answer: is deployed again\n  + deploy      {V1}" in text
    )
    assert kinds(world.run(rollback)) == ["Stop", "Deploy", "Split", "Point", "Publish"]
    assert rollout.plan(rollback, world.state) == []
    challenged = target((V1, 90), (V3, 10))
    actions = rollout.plan(challenged, world.state._replace(lacking={}))
    world.run(challenged, kinds(actions).index("Deploy") + 1)  # killed, and then it breaks
    world._each(lambda one: one._replace(is_healthy=one.version != V3))
    assert kinds(world.run(challenged))[:3] == ["Stop", "Deploy", "Split"]
    assert rollout.plan(challenged, world.state) == []


def test_a_rollback_within_standby_is_traffic_aliases_and_channel() -> None:
    world = rolled_out(target((V1, 100)), target((V2, 100)))
    assert kinds(rollout.plan(target((V1, 100)), world.state)) == ["Split", "Point", "Publish"]


def test_the_last_champion_waits_and_then_goes() -> None:
    wanted = target((V2, 100))
    world = rolled_out(target((V1, 100)), wanted)
    [waits] = rollout.waiting(wanted, world.state)
    assert (waits.version, waits.share, waits.standby) == (V1, 0, NOW)
    world.state = world.state._replace(present=NOW + timedelta(hours=24))
    [goes] = rollout.plan(wanted, world.state)
    assert isinstance(goes, Undeploy)
    assert (goes.deployed.version, goes.why) == (V1, "its stand-by is over")


def test_only_the_last_champion_waits() -> None:
    world = rolled_out(target((V1, 100)), target((V2, 100)))
    world.state = world.state._replace(present=NOW + timedelta(hours=1))
    gone = [one for one in world.run(target((V3, 100))) if isinstance(one, Undeploy)]
    assert [one.deployed.version for one in gone] == [V1]


@pytest.mark.parametrize("before", [target((V1, 100)), target((V1, 90), (V2, 10))])
def test_who_served_last_waits_although_no_alias_says_so_yet(before: Target) -> None:
    world = rolled_out(before)
    actions = rollout.plan(target((V2, 100)), world.state)
    world.run(target((V2, 100)), kinds(actions).index("Split") + 1)  # killed before it points
    world.state = world.state._replace(lacking={}, present=NOW + timedelta(hours=1))
    world.run(target((V3, 100)))
    world.run(target((V3, 100)))
    [waits] = rollout.waiting(target((V3, 100)), world.state)
    assert waits.version == V2


def test_the_champion_waits_although_its_challenger_had_more() -> None:
    world, wanted = rolled_out(target((V1, 10), (V2, 90))), target((V3, 100))
    world.run(wanted)
    assert [one.version for one in rollout.waiting(wanted, world.state)] == [V1]


def test_a_replaced_challenger_goes_when_it_has_no_traffic() -> None:
    world = rolled_out(target((V1, 90), (V2, 10)))
    actions = rollout.plan(target((V1, 90), (V3, 10)), world.state)
    assert kinds(actions)[-3:] == ["Publish", "Undeploy", "Evaluate"]
    assert actions[-2].deployed.version == V2  # type: ignore[union-attr]


def test_another_machine_is_a_replacement_that_says_what_it_costs() -> None:
    world = rolled_out(target((V1, 100)))
    wanted = target((V1, 100), serving=Serving(machine_type="n1-standard-4", max_replicas=3))
    actions = rollout.plan(wanted, world.state)
    assert kinds(actions) == ["Deploy", "Split", "Undeploy"]
    first = rollout_text.line(actions[0], wanted, world.state)
    assert "± replace" in first
    assert "1 to 3 × n1-standard-4 in place of n1-standard-2" in first
    assert "15 to 30 minutes on Vertex AI; until then both cost: about $0.22 an hour more" in first


def test_other_replicas_are_a_change_in_place() -> None:
    world = rolled_out(target((V1, 100)))
    wanted = target((V1, 100), serving=Serving(machine_type="n1-standard-2", max_replicas=5))
    [only] = rollout.plan(wanted, world.state)
    assert "~ replicas    " in rollout_text.line(only, wanted, world.state)
    assert "1 to 3 → 1 to 5" in rollout_text.line(only, wanted, world.state)


def test_a_store_has_no_endpoint() -> None:
    wanted = target((V1, 100), serving=Serving(kind="store"))
    assert kinds(rollout.plan(wanted, NOTHING)) == ["Register", "Point", "Publish", "Evaluate"]


def test_a_version_that_was_registered_for_no_endpoint_cannot_be_served_by_one() -> None:
    store, served = target((V1, 100), serving=Serving(kind="store")), target((V1, 100))
    state = rolled_out(store).state
    refusal = str(obstacle.found(served, state))
    assert f"local/recommender: {V1} is in the Model Registry without files" in refusal
    assert "train again and release that version alone" in refusal
    assert obstacle.found(store, state) is None
    assert obstacle.found(target((V2, 100)), state) is None
    assert obstacle.found(served, rolled_out(served).state) is None


def test_drift_is_said() -> None:
    wanted = target((V1, 90), (V2, 10))
    world = rolled_out(wanted)
    world._each(lambda one: one._replace(share=50))
    text = "\n".join(rollout_text.lines(wanted, world.state, rollout.plan(wanted, world.state)))
    assert "local/recommender: 1 change\n  ! drift" in text
    assert f"{V1} 50 → 90 % · {V2} 50 → 10 %" in text


def test_nothing_to_do_is_said() -> None:
    wanted = target((V1, 90), (V2, 10))
    state = rolled_out(wanted).state
    said = list(rollout_text.lines(wanted, state, rollout.plan(wanted, state)))
    assert said == [f"local/recommender: nothing to do · {V1} 90 % · {V2} 10 %"]


def test_what_others_deployed_is_left_alone_and_must_have_no_traffic() -> None:
    theirs = deployed("hand-made", 100, id="7", is_ours=False)
    wanted = target((V1, 100), serving=Serving(endpoint="123"))
    state = NOTHING._replace(seen=Seen((theirs,), False, "", {}))
    refusal = obstacle.found(wanted, state)
    assert "7 was not deployed here, and has 100 % of the traffic" in str(refusal)
    idle = state._replace(seen=Seen((theirs._replace(share=0),), False, "", {}))
    assert obstacle.found(wanted, idle) is None
    actions = rollout.plan(wanted, idle)
    assert "Undeploy" not in kinds(actions)
    text = "\n".join(rollout_text.lines(wanted, idle, actions))
    assert "= other       7 hand-made · 0 %, not deployed here and left alone" in text


def test_a_channel_is_the_same_whenever_it_was_written() -> None:
    one = channel.of(target((V1, 100)).release)
    other = channel.of(target((V1, 90), (V2, 10)).release)
    assert channel.same(one, channel.of(target((V1, 100)).release))
    assert not channel.same(one, other)
    assert not channel.same(one, None)
    assert channel.same(None, None)


@pytest.mark.parametrize("data", [b"", b'{"schema": "\xff"}', b'{"schema": 2}', b"[7]"])
def test_what_is_no_channel_is_replaced(data: bytes) -> None:
    wanted = target((V1, 100))
    address, made = (
        Address("s3", "models", "channels/local/recommender.json"),
        channel.of(wanted.release),
    )
    with mock_aws():
        client = boto3.client("s3", "us-east-1", aws_access_key_id="id", aws_secret_access_key="value")
        client.create_bucket(Bucket=address.bucket)
        client.put_object(Bucket=address.bucket, Key=address.key, Body=data)
        found = channel.read(client, address)
        assert found
        assert found.channel is None
        channel.write(client, address, made, found)
        assert channel.read(client, address).channel == made  # type: ignore[union-attr]


def test_a_channel_that_is_not_readable_is_said() -> None:
    wanted = target((V1, 100))
    state = rolled_out(wanted).state._replace(channel=None, is_channel_broken=True)
    [only] = rollout.plan(wanted, state)
    said = rollout_text.line(only, wanted, state)
    assert said == f"  ~ channel     {V1} 100 % · in the place of what is not readable"
