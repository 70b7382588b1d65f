"""What of a flow still serves on an endpoint although nothing declares it: said, or ended."""

import time
from typing import Any

from delivery import channel
from delivery.endpoint import Endpoint
from delivery.endpoint_lock import EndpointLock
from delivery.endpoint_state import Deployed
from delivery.model_registry import CHALLENGER, CHAMPION, ModelRegistry
from delivery.operations import say
from delivery.settings import Environment
from flows.errors import InputError
from flows.serving_config import Serving


def find(environment: Environment, flow: str, serving: Serving) -> tuple[Deployed, ...]:
    """What of ours is deployed on the flow's endpoint; nothing where there is none."""
    try:
        seen = Endpoint(environment, flow, serving.endpoint).look()
    except InputError:  # nothing to adopt, or another's: nothing of ours is there
        return ()
    return seen.ours if seen else ()


def lines(environment: Environment, flow: str, serving: Serving) -> list[str]:
    """What a person is told of it."""
    where = f"{environment.name}/{flow}"
    return [
        f"{where}: nothing declares it, and {one.version} is deployed with {one.share} % of the traffic"
        for one in find(environment, flow, serving)
    ]


def is_named(environment: Environment, flow: str, store: Any) -> bool:
    """Whether the flow's channel names a model; `store` is a client of S3."""
    found = channel.read(store, channel.address(environment, flow))
    return found is not None and not channel.same(found.channel, channel.nothing())


def withdraw(environment: Environment, flow: str, store: Any) -> list[str]:
    """Let no alias and no channel name a model of the flow any more; a line where one did."""
    registry, roles = ModelRegistry(environment, flow), (CHAMPION, CHALLENGER)
    named = {one.number: one.aliases.intersection(roles) for one in registry.versions()}
    registry.point({number: [f"-{one}" for one in some] for number, some in named.items() if some})
    address = channel.address(environment, flow)
    is_told = is_named(environment, flow, store)
    if is_told:
        channel.write(store, address, channel.nothing(), channel.read(store, address))
    what = f"{environment.name}/{flow}: its channel and aliases name no model any more"
    return [what] if is_told or any(named.values()) else []


def prune(environment: Environment, flow: str, serving: Serving, lock: EndpointLock) -> list[str]:
    """Undeploy all of it, when its last requests have ended; a line for each. The endpoint stays."""
    if not find(environment, flow, serving):
        return []
    endpoint = Endpoint(environment, flow, serving.endpoint)
    endpoint.settle()
    seen = endpoint.look()
    ours = seen.ours if seen else ()
    if any(one.share for one in ours):
        endpoint.split({}, {})
        say("waits", f"{environment.request_seconds} s for the requests that are under way")
        time.sleep(environment.request_seconds)
    for one in ours:
        lock.check()
        endpoint.undeploy(one.id)
    return [f"{environment.name}/{flow}: {one.version} is undeployed" for one in ours]
