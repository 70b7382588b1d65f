"""Which deployed model a request goes to: chosen at random, by the endpoint's shares."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.endpoints_rows import Endpoint, Rows
from localcloud.errors import ApiError
from localcloud.serving_replica import Replica
from localcloud.serving_servers import Servers


@dataclass(frozen=True)
class Target:
    """A deployed model as an answer names it, and its server."""

    id: str
    model: str
    version: str
    replica: Replica | None


@dataclass(frozen=True)
class Route:
    """An endpoint's targets and their shares."""

    targets: Sequence[Target]
    shares: Sequence[int]

    def choose(self) -> Target:
        """One of the targets."""
        return random.choices(self.targets, self.shares)[0]  # noqa: S311 not a secret


class Routes:
    """What was read of endpoints is kept until they change."""

    def __init__(self, rows: Rows, servers: Servers) -> None:
        self._rows, self._servers = rows, servers
        self._known: dict[str, Route] = {}
        self._changes, self._lock = 0, threading.Lock()
        rows.changed = self.forget

    def find(self, name: str) -> Route:
        """An endpoint's route. Raises where there is no endpoint, or it takes no requests."""
        found = self._known.get(name)
        if found is None:
            before = self._changes
            found = self._read(self._rows.find(name))
            with self._lock:
                if self._changes == before:  # or what was read may be old already
                    self._known[name] = found
        return found

    def forget(self, name: str) -> None:
        """Read an endpoint again."""
        with self._lock:
            self._changes += 1
            self._known.pop(name, None)

    def _read(self, endpoint: Endpoint) -> Route:
        split = endpoint.traffic_split
        some = [one for one in endpoint.deployed_models if split.get(one.id)]
        if not some:
            words = f"Endpoint `{endpoint.name}` doesn't have traffic_split."
            raise ApiError("FAILED_PRECONDITION", words)
        targets = [self._target(endpoint.name, one) for one in some]
        return Route(targets, [split[one.id] for one in some])

    def _target(self, endpoint: str, deployed: Any) -> Target:
        replica = self._servers.find((endpoint, deployed.id))
        return Target(deployed.id, deployed.model, deployed.model_version_id, replica)
