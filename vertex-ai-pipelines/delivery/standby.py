"""The end of stand-bys: former champions that wait at 0 % for longer than flow.toml wants them to."""

from datetime import datetime, timedelta

from delivery.endpoint import Endpoint
from delivery.endpoint_lock import EndpointLock, HeldError, locked
from delivery.endpoint_state import Deployed, Seen
from delivery.settings import Environment
from flows.serving_config import Serving

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def length(standby: str) -> timedelta:
    """How long "24h" is."""
    return timedelta(seconds=int(standby[:-1]) * UNITS[standby[-1]])


def over(seen: Seen | None, serving: Serving, present: datetime) -> list[Deployed]:
    """What of ours has waited long enough."""
    longest = length(serving.standby)
    ours = seen.ours if seen else ()
    return [one for one in ours if one.standby and not one.share and present - one.standby >= longest]


def end(environment: Environment, flow: str, serving: Serving, present: datetime) -> list[str]:
    """Undeploy the flow's former champions whose time is over; their versions.

    One look, where none is: the lock is taken for a change alone. Nothing is ended while a roll-out
    is at work: there is a next time.
    """
    if serving.kind != "endpoint":
        return []
    endpoint = Endpoint(environment, flow, serving.endpoint)
    if not over(endpoint.look(), serving, present):
        return []
    try:
        with locked(environment, endpoint.id, longest=0) as lock:
            return _end(endpoint, lock, serving, present)
    except HeldError:
        return []


def _end(endpoint: Endpoint, lock: EndpointLock, serving: Serving, present: datetime) -> list[str]:
    ended = []
    for one in over(endpoint.look(), serving, present):
        lock.check()
        endpoint.undeploy(one.id)
        ended.append(one.version)
    return ended
