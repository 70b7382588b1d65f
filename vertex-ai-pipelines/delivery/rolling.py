"""One flow's roll-out in one environment: what is true is looked up, what is missing is done."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from delivery import channel, obstacle, provenance, rollout, rollout_text, serving_logs
from delivery.endpoint import Endpoint, UnhealthyError
from delivery.endpoint_lock import EndpointLock
from delivery.endpoint_state import Seen
from delivery.model_registry import ModelRegistry, Registered
from delivery.operations import say
from delivery.releases import Entry
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
from delivery.serving_files import ServingFiles
from delivery.serving_names import deployed_id
from delivery.settings import Environment
from flows.errors import RetrainError
from flows.manifest import Manifest

ROUNDS = 3  # looks at what is left, in case somebody changes things meanwhile


class OvertakenError(Exception):
    """Another release is declared by now: what is left of this one's roll-out is not done."""


class Rolling:
    """The services that one flow's roll-out needs; `manifests` are the declared versions', checked."""

    def __init__(
        self,
        environment: Environment,
        target: Target,
        store: Callable[[], Any],
        manifests: Callable[[Entry], Manifest],
    ) -> None:
        """`store` gives a client of S3 that reads models and writes channels, with keys that last."""
        self._environment, self._target, self._store = environment, target, store
        self._manifests, self._files = manifests, ServingFiles(environment)
        check = partial(provenance.check_served, environment)
        self._check_image: Callable[[str], None] = cache(check)
        self._serves = target.is_on_endpoint
        self._registry = ModelRegistry(environment, target.flow)
        self.endpoint = Endpoint(environment, target.flow, target.serving.endpoint)
        self._channel = channel.address(environment, target.flow)
        self._written: channel.Written | None = None
        self._drained = 0.0  # when the last share of something that goes was taken away

    def look(self) -> State:
        """What is true now. Raises RetrainError where the declared models are not as declared."""
        entries = self._target.release.entries
        with ThreadPoolExecutor(4) as pool:
            registered = pool.submit(self._known)
            seen = pool.submit(self.endpoint.look) if self._serves else None
            written = pool.submit(channel.read, self._store(), self._channel)
            list(pool.map(self._manifests, entries))
            there = seen.result() if seen else None
            lacking = list(pool.map(partial(self._lacking, there), entries))
            known, evaluated = registered.result()
            self._written = written.result()
        return State(
            lacking={entry.version: some for entry, some in zip(entries, lacking, strict=True)},
            registered=known,
            evaluated=evaluated,
            seen=there,
            channel=self._written.channel if self._written else None,
            present=datetime.now(UTC),
            is_channel_broken=self._written is not None and self._written.channel is None,
        )

    def missing(self, state: State) -> list[Action]:
        """What has to be done. Raises RetrainError where a person has to put something right first.

        So it is where nobody trusted has built an image that would come to serve.
        """
        if refusal := obstacle.found(self._target, state):
            raise refusal
        actions = rollout.plan(self._target, state)
        for one in actions:
            if isinstance(one, Register | Deploy):
                self._check_image(one.entry.image)
        return actions

    def settle(self) -> None:
        """Wait for what an earlier run has begun."""
        self._registry.settle()
        if self._serves:
            self.endpoint.settle()

    def under_way(self) -> list[str]:
        """What an earlier run has begun, and waits for its end."""
        return [*self._registry.under_way(), *(self.endpoint.under_way() if self._serves else [])]

    def run(self, lock: EndpointLock, is_current: Callable[[], bool]) -> list[str]:
        """Do all that is missing, until nothing is; the lines of what was done, printed before it is.

        `is_current` says after what takes long whether this release is still declared. Raises
        OvertakenError where it is not, RetrainError where something fails: the next run goes on from
        there.
        """
        self.settle()
        lines = list[str]()
        for _ in range(ROUNDS):
            state = self.look()
            actions = self.missing(state)
            shown = list(rollout_text.lines(self._target, state, actions))
            if actions or not lines:
                lines += shown
                print("\n".join(shown), flush=True)
            if not actions:
                return lines
            for action in actions:
                lock.check()
                start = time.monotonic()
                self._do(action, state)
                say("done", f"{rollout_text.brief(action)} · {time.monotonic() - start:.1f} s")
                if isinstance(action, Deploy | Resize) and not is_current():
                    raise OvertakenError
        raise RetrainError(f"{self._target.flow}: something else changes it, too", "deploy again")

    def _known(self) -> tuple[dict[str, Registered], frozenset[str]]:
        """The registered versions by name, and which of the declared ones have their metrics."""
        known = {one.version: one for one in self._registry.versions()}
        declared = [e.version for e in self._target.release.entries if e.version in known]
        return known, frozenset(v for v in declared if self._registry.evaluated(known[v]))

    def _lacking(self, seen: Seen | None, entry: Entry) -> list[str]:
        """What the serving bucket lacks of a version that is to be deployed."""
        own = deployed_id(entry.version, self._target.machine)
        there = seen.deployed if seen else ()
        if not self._serves or any(one.id == own and not one.is_down for one in there):
            return []
        return self._files.lacking(self._manifests(entry), entry)

    def _do(self, action: Action, state: State) -> None:
        """One action, by its kind."""
        steps: dict[type, Callable[[Any, State], None]] = {
            Copy: self._copy,
            Register: self._register,
            Evaluate: self._evaluate,
            Create: lambda _action, _state: self.endpoint.create(),
            Stop: lambda one, _state: self.endpoint.undeploy(one.deployed.id),
            Deploy: self._deploy,
            Resize: lambda one, _state: self.endpoint.resize(one.deployed.id, one.replicas),
            Split: self._split,
            Point: self._point,
            Publish: self._publish,
            Undeploy: self._undeploy,
        }
        steps[type(action)](action, state)

    def _copy(self, action: Copy, _: State) -> None:
        self._files.copy(self._store(), self._manifests(action.entry), action.entry)

    def _register(self, action: Register, _: State) -> None:
        entry = action.entry
        folder = str(self._files.folder(self._target.flow, entry.version)) if self._serves else ""
        self._registry.register(entry, folder)

    def _evaluate(self, action: Evaluate, _: State) -> None:
        self._files.describe_metrics()
        registered = self._registry.version(action.entry.version)
        assert registered
        self._registry.evaluate(registered, self._manifests(action.entry), self._files.schema)

    def _deploy(self, action: Deploy, _: State) -> None:
        version = action.entry.version
        number = self._number(version)
        say("deploys", f"{version} on {action.machine}: {rollout_text.SLOW}")
        try:
            self.endpoint.deploy((version, number), action.machine, action.replicas, action.is_champion)
        except UnhealthyError as error:
            lines = serving_logs.tail(self._environment, self.endpoint.id, error.id)
            shown = "".join(f"\n  | {line}" for line in lines)
            raise RetrainError(
                f"{error.what}{shown}",
                "the traffic is as it was. Revert the merge, or mend the server and train again",
            ) from None

    def _split(self, action: Split, _: State) -> None:
        # Not `present`: a deployment may lie between.
        self.endpoint.split(action.shares, dict.fromkeys(action.standby, datetime.now(UTC)))
        self._drained = time.monotonic()

    def _point(self, action: Point, _: State) -> None:
        self._registry.point({self._number(v): some for v, some in action.aliases.items()})

    def _publish(self, action: Publish, _: State) -> None:
        channel.write(self._store(), self._channel, action.wanted, self._written)

    def _undeploy(self, action: Undeploy, state: State) -> None:
        """Once no request can be under way any more that was sent there."""
        longest, one = self._environment.request_seconds, action.deployed
        if not one.standby:
            self._drained = self._drained or time.monotonic()
        idle = (state.present - one.standby).total_seconds() if one.standby else 0.0
        left = longest - (time.monotonic() - self._drained if self._drained else idle)
        if left > 0:
            say("waits", f"{left:.0f} s for the requests that {one.version} may still have")
            time.sleep(left)
        self.endpoint.undeploy(one.id)

    def _number(self, version: str) -> str:
        """Vertex AI's number of a registered version."""
        found = self._registry.version(version)
        if found is None:
            raise RetrainError(f"{self._registry.name}: {version} is gone", "deploy again")
        return found.number
