"""What of a flow still serves on an endpoint although nothing declares it: said, or ended."""

import time
from collections.abc import Callable

from delivery.endpoint import Endpoint
from delivery.endpoint_lock import locked
from delivery.endpoint_state import Deployed
from delivery.operations import say
from delivery.settings import Environment
from flows.config import Serving
from flows.errors import InputError


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


def prune(
    environment: Environment, flow: str, serving: Serving, is_served: Callable[[], bool]
) -> list[str]:
    """Undeploy all of it, when its last requests have ended; a line for each. The endpoint stays.

    `is_served` says, once the lock is held, whether it is declared by now: then nothing is done.
    """
    if not find(environment, flow, serving):
        return []
    endpoint = Endpoint(environment, flow, serving.endpoint)
    with locked(environment, endpoint.id) as lock:
        if is_served():
            return [f"{environment.name}/{flow}: main declares it by now, and nothing is undeployed"]
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
