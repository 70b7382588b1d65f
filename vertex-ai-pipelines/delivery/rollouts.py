"""The roll-outs of all flows that main's head declares: each by itself, under its endpoint's lock."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from delivery import access, declared, leftover, releases, rollout_text
from delivery.access import Bucket
from delivery.declared import Declared
from delivery.endpoint_lock import locked
from delivery.grants import is_experiment
from delivery.main_head import Head
from delivery.model_store import ModelStore
from delivery.operations import say
from delivery.releases import Entry
from delivery.rolling import OvertakenError, Rolling
from delivery.rollout import Target
from delivery.serving_names import endpoint_id
from delivery.settings import Environment
from flows import config, serving_config
from flows.errors import RetrainError, explained
from flows.manifest import Manifest
from flows.serving_config import Serving

FRESH = 1200.0  # seconds: a role's keys live for an hour, and a deployment takes up to half of it
ROUNDS = 3  # releases that one deploy rolls out, each overtaken by the next


class Done(NamedTuple):
    """What came of one flow: lines for people, and the error where there was one."""

    name: str
    lines: list[str]
    error: RetrainError | None = None


class Rollouts:
    """What main's head declares, against what is true."""

    def __init__(self, head: Head) -> None:
        self._head, self._making, self._reading = head, threading.Lock(), threading.Lock()
        self._stores = dict[str, tuple[float, Any]]()
        self._read = functools.cache(self._manifest_now)  # what a version is never changes

    def plan(self, one: Declared) -> list[str]:
        """The difference between what a release declares and what is true. Changes nothing."""
        target = self._target(one)
        rolling = self._rolling(one, target)
        state = rolling.look()
        actions = rolling.missing(state)
        under_way = [f"  … under way    {name}" for name in rolling.under_way()]
        return [*rollout_text.lines(target, state, actions), *under_way]

    def deploy(self, one: Declared) -> list[str]:
        """Make what a release declares true, as main's head has it once the lock is ours.

        The lines of what was done, printed before it is.
        """
        first = self._target(one)
        self._ahead(one)
        with locked(self._environment(one), first.lock) as lock:
            for _ in range(ROUNDS):
                now = self._fetched(one.file)
                if now is None:
                    gone = f"{one.environment}/{one.flow}: main has just taken {one.file} away"
                    print(gone, flush=True)
                    return [gone]
                target = self._target(now)
                if target.lock != first.lock:
                    raise RetrainError(f"{one.file}: its endpoint has just changed", "deploy again")
                current = functools.partial(self._is_current, target, one)
                try:
                    return self._rolling(now, target).run(lock, current)
                except OvertakenError:
                    say("again", f"{one.file} on main declares something else by now")
        raise RetrainError(f"{one.file} changes faster than it is rolled out", "deploy again")

    def each(self, some: list[Declared], do: Callable[[Declared], list[str]]) -> Iterator[Done]:
        """What `do` gives for each; whatever goes wrong with one, the next has its turn."""
        for one in some:
            name = f"{one.environment}/{one.flow}"
            try:
                yield Done(name, do(one))
            except Exception as error:
                known = error if isinstance(error, RetrainError) else explained(error)
                if known is None:
                    raise
                yield Done(name, [], known)

    def undeclared(
        self, good: list[Declared], environment: str | None, flow: str | None
    ) -> Iterator[tuple[Environment, str, Serving]]:
        """The flows that no endpoint serves by what is declared, in the environments at hand."""
        names = {environment} if environment else {one.environment for one in good}
        for name in sorted(names):
            found = self._head.settings.environment(name)
            for other in [flow] if flow else config.names(self._head.flows):
                if not is_experiment(found) and not self._is_served(name, other):
                    yield found, other, serving_config.load(other, name, self._head.flows)

    def left(self, environment: Environment, flow: str, serving: Serving) -> list[str]:
        """What `prune` would end, as lines for people."""
        told = leftover.lines(environment, flow, serving)
        if self._is_named(environment, flow):
            told.append(f"{environment.name}/{flow}: nothing declares it, and its channel names a model")
        return told

    def prune(self, environment: Environment, flow: str, serving: Serving) -> list[str]:
        """Undeploy what of a flow serves, unless main declares it by now; lines for people.

        Where it has no release at all, channel and aliases name none either.
        """
        is_left = leftover.find(environment, flow, serving)
        if not is_left and not self._is_named(environment, flow):
            return []
        file, store = releases.path(environment.name, flow), self._store(environment)
        with locked(environment, serving.endpoint or endpoint_id(flow, environment.name)) as lock:
            self._head.fetch()
            if self._is_served(environment.name, flow):
                return [f"{environment.name}/{flow}: main declares it by now, and nothing is undeployed"]
            lock.check()
            told = [] if self._head.has(file) else leftover.withdraw(environment, flow, store)
            return told + leftover.prune(environment, flow, serving, lock)

    def _is_named(self, environment: Environment, flow: str) -> bool:
        """Whether the channel of a flow that has no release names a model."""
        is_released = self._head.has(releases.path(environment.name, flow))
        return not is_released and leftover.is_named(environment, flow, self._store(environment))

    def _is_served(self, environment: str, flow: str) -> bool:
        """Whether an endpoint is to serve it. A file that is wrong is no wish to end what serves."""
        name = releases.path(environment, flow)
        if not self._head.has(name):
            return False
        try:
            return self._target(self._head.declared(name)).is_on_endpoint
        except RetrainError:
            return True

    def _fetched(self, name: str) -> Declared | None:
        """What main's head declares by now; None where it has no such file any more."""
        self._head.fetch()
        return self._head.declared(name) if self._head.has(name) else None

    def _is_current(self, target: Target, one: Declared) -> bool:
        now = self._fetched(one.file)
        return now is not None and self._target(now) == target

    def _environment(self, one: Declared) -> Environment:
        return self._head.settings.environment(one.environment)

    def _target(self, one: Declared) -> Target:
        serving = serving_config.load(one.flow, one.environment, self._head.flows)
        return Target(one.flow, one.environment, one.release, serving)

    def _rolling(self, one: Declared, target: Target) -> Rolling:
        environment = self._environment(one)
        client = functools.partial(self._store, environment)
        return Rolling(environment, target, client, functools.partial(self._manifest, one))

    def _ahead(self, one: Declared) -> None:
        """Read the manifests in a thread, while this one takes the lock and looks at main again."""

        def read() -> None:
            with suppress(Exception):  # who needs them says what is wrong
                for _, entry in one.roles():
                    self._manifest(one, entry)

        threading.Thread(target=read, name="manifests", daemon=True).start()

    def _manifest(self, one: Declared, entry: Entry) -> Manifest:
        """A declared model's; read once, whoever asks first."""
        with self._reading:
            return self._read(one, entry)

    def _manifest_now(self, one: Declared, entry: Entry) -> Manifest:
        client = self._store(self._environment(one))
        return declared.manifest(one, entry, ModelStore(Bucket(client, entry.bucket)))

    def _store(self, environment: Environment) -> Any:
        """A client of S3, with keys that do not end while a model is deployed."""
        with self._making:
            made, client = self._stores.get(environment.name, (0.0, None))
            if client is None or time.monotonic() - made > FRESH:
                made, client = time.monotonic(), access.deployer(environment)
                self._stores[environment.name] = made, client
            return client
