"""An endpoint on Vertex AI at one moment: what is deployed there, with which share, since when none."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from delivery.serving_names import Machine, deployed_id

STANDBY = "standby-"  # begins the endpoint's labels that say since when a deployed model waits at 0 %
FORM = "%Y%m%d-%H%M%S"  # of those labels' values, in UTC


class Deployed(NamedTuple):
    """One model on the endpoint; `standby` is since when it waits at 0 %, once champion."""

    id: str
    version: str
    machine: Machine
    least: int
    most: int
    share: int
    standby: datetime | None
    is_healthy: bool
    is_ours: bool

    @property
    def is_down(self) -> bool:
        """Whether nobody asks it, and nobody could."""
        return not self.is_healthy and not self.share


class Seen(NamedTuple):
    """The endpoint at one moment."""

    deployed: tuple[Deployed, ...]
    is_own: bool  # made here; else adopted
    etag: str
    labels: Mapping[str, str]

    @property
    def ours(self) -> tuple[Deployed, ...]:
        """What was deployed here."""
        return tuple(one for one in self.deployed if one.is_ours)

    @property
    def others(self) -> tuple[Deployed, ...]:
        """What somebody else deployed."""
        return tuple(one for one in self.deployed if not one.is_ours)


def seen(found: Any, model: str, own: Mapping[str, str]) -> Seen:
    """An endpoint as Vertex AI tells of it; `model` is the id of our model, `own` our labels."""
    labels, shares = dict(found.labels), dict(found.traffic_split)
    deployed = [_deployed(one, shares, labels, model) for one in found.deployed_models]
    return Seen(tuple(deployed), own.items() <= labels.items(), str(found.etag), labels)


def labels(now: Seen, shares: Mapping[str, int], standby: Mapping[str, datetime]) -> dict[str, str]:
    """Its labels under new shares; `standby` is since when some wait that have not waited before."""
    waiting = {one.id: one.standby for one in now.deployed if one.standby} | dict(standby)
    there = {one.id for one in now.deployed} - shares.keys()
    kept = {key: value for key, value in now.labels.items() if not key.startswith(STANDBY)}
    since = {one: at.strftime(FORM) for one, at in waiting.items() if one in there and at}
    return kept | {f"{STANDBY}{one}": at for one, at in since.items()}


def _deployed(one: Any, shares: Mapping[str, int], labels: Mapping[str, str], own: str) -> Deployed:
    resources, version, number = one.dedicated_resources, str(one.display_name), str(one.id)
    machine = _machine(resources.machine_spec)
    model = str(one.model).rpartition("/")[2].partition("@")[0]
    return Deployed(
        id=number,
        version=version,
        machine=machine,
        least=resources.min_replica_count,
        most=resources.max_replica_count or resources.min_replica_count,
        share=shares.get(number, 0),
        standby=_moment(labels.get(f"{STANDBY}{number}")),
        is_healthy=not one.status.last_update_time or one.status.available_replica_count > 0,
        is_ours=model == own and number == deployed_id(version, machine),
    )


def _machine(spec: Any) -> Machine:
    count = int(spec.accelerator_count)
    return Machine(str(spec.machine_type), spec.accelerator_type.name if count else "", count)


def _moment(text: str | None) -> datetime | None:
    """The moment in a label; None where there is none, or somebody wrote another thing."""
    try:
        return datetime.strptime(text or "", FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
