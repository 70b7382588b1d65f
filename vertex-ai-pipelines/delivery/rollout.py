"""What has to be done so that what a release declares is true: from two states to ordered actions.

Nothing is asked and nothing is done here. The order keeps every moment right: traffic moves once, when
all that gets some is healthy; what loses it waits, or goes, after that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from delivery import channel, standby
from delivery.channel import Channel
from delivery.endpoint_state import Deployed, Seen
from delivery.model_registry import CHALLENGER, CHAMPION, DEFAULT, Registered
from delivery.releases import Entry, Release
from delivery.serving_names import Machine, deployed_id, endpoint_id
from flows.serving_config import Serving


class Target(NamedTuple):
    """What is declared of one flow in an environment."""

    flow: str
    environment: str
    release: Release
    serving: Serving

    @property
    def is_on_endpoint(self) -> bool:
        """Whether an endpoint serves it; else it is in S3 alone."""
        return self.serving.kind == "endpoint"

    @property
    def lock(self) -> str:
        """The name of the lock that its roll-outs take: its endpoint's."""
        return self.serving.endpoint or endpoint_id(self.flow, self.environment)

    @property
    def machine(self) -> Machine:
        """What a replica runs on."""
        serving = self.serving
        count = serving.accelerator_count if serving.accelerator else 0
        return Machine(serving.machine_type, serving.accelerator or "", count)

    @property
    def replicas(self) -> tuple[int, int]:
        """How many there are, at least and at most."""
        return self.serving.min_replicas, self.serving.max_replicas

    @property
    def shares(self) -> dict[str, int]:
        """The percent of the traffic, by deployed model."""
        return {deployed_id(e.version, self.machine): e.traffic for e in self.release.entries}


class State(NamedTuple):
    """What is true of it. `lacking` has the files that the serving bucket lacks, by version."""

    lacking: Mapping[str, list[str]]
    registered: Mapping[str, Registered]
    evaluated: frozenset[str]
    seen: Seen | None
    channel: Channel | None
    present: datetime
    is_channel_broken: bool = False  # something is there that is no channel


@dataclass(frozen=True)
class Copy:
    """Files that the serving bucket lacks."""

    entry: Entry
    files: tuple[str, ...]


@dataclass(frozen=True)
class Register:
    """A version that the Model Registry does not have."""

    entry: Entry


@dataclass(frozen=True)
class Evaluate:
    """A version whose metrics the Model Registry does not have."""

    entry: Entry


@dataclass(frozen=True)
class Create:
    """An endpoint that is not there."""


@dataclass(frozen=True)
class Stop:
    """A declared model that is deployed without traffic, and does not answer: it is deployed again."""

    deployed: Deployed


@dataclass(frozen=True)
class Deploy:
    """A version that is not deployed so; `replaces` is what it runs on now.

    The champion gets all of the traffic at once where nothing has any.
    """

    entry: Entry
    machine: Machine
    replicas: tuple[int, int]
    replaces: Machine | None
    is_champion: bool


@dataclass(frozen=True)
class Resize:
    """A deployed model with other numbers of replicas."""

    deployed: Deployed
    replicas: tuple[int, int]


@dataclass(frozen=True)
class Split:
    """Another traffic; `standby` are the deployed models that wait from now on."""

    shares: Mapping[str, int]
    standby: tuple[str, ...]
    before: Mapping[str, int]


@dataclass(frozen=True)
class Point:
    """Aliases that are elsewhere, by version; "-NAME" takes one away."""

    aliases: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Publish:
    """A channel that says something else."""

    wanted: Channel


@dataclass(frozen=True)
class Undeploy:
    """A deployed model that nothing declares any more."""

    deployed: Deployed
    why: str


Action = (
    Copy | Register | Evaluate | Create | Stop | Deploy | Resize | Split | Point | Publish | Undeploy
)


def plan(target: Target, state: State) -> list[Action]:
    """The actions, in order; none where all that is declared is true."""
    serves = list(_serving(target, state)) if target.is_on_endpoint else []
    last = [one for one in serves if isinstance(one, Undeploy)]
    wanted = channel.of(target.release)
    return [
        *_registering(target, state),
        *(one for one in serves if one not in last),
        *_pointing(target, state),
        *([] if channel.same(wanted, state.channel) else [Publish(wanted)]),
        *last,
        # For people to see: what serves does not depend on it.
        *(Evaluate(one) for one in target.release.entries if one.version not in state.evaluated),
    ]


def is_drift(target: Target, state: State) -> bool:
    """Whether this very release was rolled out before: what differs now, somebody has changed."""
    return channel.same(channel.of(target.release), state.channel)


def waiting(target: Target, state: State) -> list[Deployed]:
    """Former champions that stay at 0 % for a while."""
    goes = {one.deployed.id for one in plan(target, state) if isinstance(one, Undeploy)}
    ours = state.seen.ours if state.seen else ()
    stays = [one for one in ours if one.standby and not one.share]
    return [one for one in stays if one.id not in goes | target.shares.keys()]


def _registering(target: Target, state: State) -> Iterator[Action]:
    for entry in target.release.entries:
        if lacking := state.lacking.get(entry.version):
            yield Copy(entry, tuple(lacking))
        if entry.version not in state.registered:
            yield Register(entry)


def _serving(target: Target, state: State) -> Iterator[Action]:
    if state.seen is None:
        yield Create()
    deployed = state.seen.deployed if state.seen else ()
    there, down = ({one.id: one for one in deployed if one.is_down is down} for down in (False, True))
    shares = {one.id: one.share for one in deployed if one.share}
    champion = deployed_id(target.release.champion.version, target.machine)
    if not shares and target.shares.keys() - there.keys() and _is_ready(there.get(champion)):
        # Traffic does not wait for the challenger's deployment.
        yield Split({champion: 100}, (), {})
        shares = {champion: 100}
    for entry in target.release.entries:
        own = deployed_id(entry.version, target.machine)
        if own in down:
            yield Stop(down[own])
        if own not in there:
            yield _deployment(target, entry, there.values())
            shares = shares or ({champion: 100} if own == champion else {})
        elif (there[own].least, there[own].most) != target.replicas:
            yield Resize(there[own], target.replicas)
    yield from _traffic(target, state, shares)


def _deployment(target: Target, entry: Entry, deployed: Iterable[Deployed]) -> Deploy:
    same = [one.machine for one in deployed if one.version == entry.version and one.is_ours]
    is_champion = entry == target.release.champion
    return Deploy(entry, target.machine, target.replicas, same[0] if same else None, is_champion)


def _is_ready(one: Deployed | None) -> bool:
    return one is not None and one.is_healthy


def _traffic(target: Target, state: State, shares: Mapping[str, int]) -> Iterator[Action]:
    """One change of the traffic, and what is taken away after it."""
    wanted = target.shares
    left = [one for one in (state.seen.ours if state.seen else ()) if one.id not in target.shares]
    champions = [one for one in left if _was_champion(one, target, state)]
    champions += _leading(left, target, state)
    # On two machines while one replaces the other: what serves is what waits.
    retires = [max(champions, key=lambda one: one.share).id] if champions else []
    # What is declared at 0 % does not wait for its end.
    waits = any(one.standby and one.id in wanted for one in (state.seen.ours if state.seen else ()))
    if {one: share for one, share in wanted.items() if share} != shares or retires or waits:
        yield Split(wanted, tuple(retires), shares)
    stays = retires or _kept(left, target, state.present)
    versions = {entry.version for entry in target.release.entries}
    for one in left:
        if one.id not in stays:
            yield Undeploy(one, _why(one, versions))


def _was_champion(one: Deployed, target: Target, state: State) -> bool:
    """Whether it has been champion until now, and is to wait from now on."""
    known = state.registered.get(one.version)
    declared = {entry.version for entry in target.release.entries}
    is_champion = known is not None and CHAMPION in known.aliases
    return is_champion and one.standby is None and one.version not in declared


def _leading(left: Iterable[Deployed], target: Target, state: State) -> list[Deployed]:
    """What had most of the traffic, where a roll-out ended before it moved the aliases."""
    ours = state.seen.ours if state.seen else ()
    shares = {one.version: one.share for one in ours if one.share}
    last = state.channel.traffic.items() if state.channel else ()
    declared = {entry.version for entry in target.release.entries}
    if shares == {version: share for version, share in last if share} or declared & shares.keys():
        return []
    return sorted((one for one in left if one.share), key=lambda one: one.share)[-1:]


def _kept(left: Iterable[Deployed], target: Target, present: datetime) -> list[str]:
    """The one former champion that goes on waiting: the last one."""
    longest = standby.length(target.serving.standby)
    waiting = [one for one in left if one.standby and present - one.standby < longest]
    return [max(waiting, key=lambda one: str(one.standby)).id] if waiting else []


def _why(one: Deployed, declared: Iterable[str]) -> str:
    if one.version in declared:
        return "it runs elsewhere by then"
    return "its stand-by is over" if one.standby else "nothing declares it"


def _pointing(target: Target, state: State) -> Iterator[Action]:
    """Where the aliases have to go: each is at one version, and each version has its own name."""
    champion, challenger = target.release.champion, target.release.challenger
    wanted: dict[str, set[str]] = {entry.version: {entry.version} for entry in target.release.entries}
    wanted[champion.version] |= {CHAMPION, DEFAULT}
    if challenger:
        wanted[challenger.version].add(CHALLENGER)
    moves = dict[str, tuple[str, ...]]()
    for version in {**wanted, **state.registered}:
        known = state.registered.get(version)
        # Registering gives a version its name.
        has = known.aliases if known else {version}
        adds = wanted.get(version, set()) - has
        # Giving an alias to one version takes it from the other.
        drops = {f"-{CHALLENGER}"} if challenger is None and CHALLENGER in has else set()
        if adds | drops:
            moves[version] = tuple(sorted(adds | drops))
    if moves:
        yield Point(moves)
