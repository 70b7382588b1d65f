"""One server of a deployed model: a process that is watched, and started again when it dies."""

import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from localcloud.forks import Order, Process
from localcloud.serving_client import Answer, Pool, healthy
from localcloud.serving_spec import Spec

PORTS = range(15_000, 30_000)  # below those that systems give to connections and to port 0
PERIOD = 0.05  # seconds between two looks at a server that is not ready yet
LONGEST = 60.0  # seconds that a server which died again and again is left alone at most
STEADY = 600.0  # seconds after which a server that dies counts as one that dies for the first time
DRAINED = 60.0  # seconds in which requests that are under way end
GRACE = 30.0  # seconds from SIGTERM to SIGKILL
Start = Callable[[Order], Process]


class GoneError(Exception):
    """The server takes no requests: it is being ended, or it is not ready."""


class Replica:
    """Runs until `stop`. `exits` counts the ends of its process; the last one's code is `code`.

    `port` is where its process is to listen, once there is one.
    """

    def __init__(self, spec: Spec, start: Start) -> None:
        self.spec, self._start = spec, start
        self.ready, self.exits, self.code = threading.Event(), 0, 0
        self.port = 0
        self._stopping, self._busy, self._idle = threading.Event(), 0, threading.Condition()
        self._process: Process | None = None
        self._pool: Pool | None = None
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def post(self, body: bytes, headers: dict[str, str]) -> Answer:
        """The server's answer to a prediction's body.

        Raises GoneError where it was not asked, OSError or HTTPException where it gave no answer.
        """
        with self._idle:
            if self._stopping.is_set():
                raise GoneError
            self._busy += 1
        try:
            pool = self._pool
            if pool is None:
                raise ConnectionRefusedError("the server is not ready")
            return pool.post(self.spec.predict_route, body, headers)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    @property
    def gone(self) -> bool:
        """Whether it is being ended."""
        return self._stopping.is_set()

    def stop(self, drain: bool = True) -> None:
        """End it for good: no new requests, those under way answered, SIGTERM, SIGKILL."""
        with self._idle:
            self._stopping.set()
            self._idle.wait_for(lambda: not self._busy, DRAINED if drain else 0)
            process = self._process
        if process:
            if drain:
                process.signal(signal.SIGTERM)
                self._thread.join(GRACE)
            process.kill()
        self._thread.join()
        shutil.rmtree(self.spec.scratch, ignore_errors=True)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            try:
                self._serve(free_port())
            except OSError as error:
                with self.spec.log.open("a") as log:
                    log.write(f"error: the server cannot be started: {error}\n")
            self.exits += 1
            steady = time.monotonic() - began > STEADY
            pause = 0.0 if steady else min(max(2 * pause, float(self.exits > 1)), LONGEST)

    def _serve(self, port: int) -> None:
        """One process, from its start to its end."""
        self.spec.scratch.mkdir(parents=True, exist_ok=True)
        with self._idle:
            if self._stopping.is_set():
                return
            self.port = port
            process = self._process = self._start(self.spec.order(port))
        ended, pool = threading.Event(), Pool(port)
        threading.Thread(target=self._wait, args=(process, ended), daemon=True).start()
        try:
            self._watch(port, pool, ended)
        finally:
            self._pool = None
            self.ready.clear()
            pool.close()

    def _watch(self, port: int, pool: Pool, ended: threading.Event) -> None:
        """Ask for the server's health until its process has ended."""
        spec, failures = self.spec, 0
        while not ended.wait(spec.probe_period if self.ready.is_set() else PERIOD):
            if self._is_healthy(port):
                failures, self._pool = 0, pool
                self.ready.set()
            elif self.ready.is_set() and (failures := failures + 1) >= spec.probe_failures:
                self._pool = None
                self.ready.clear()

    def _is_healthy(self, port: int) -> bool:
        spec, asked = self.spec, [self.spec.health_route]
        asked += [] if self.ready.is_set() else [spec.startup_route]
        return all(healthy(port, route, spec.probe_timeout) for route in dict.fromkeys(asked))

    def _wait(self, process: Process, ended: threading.Event) -> None:
        self.code = process.wait()
        ended.set()


def free_port() -> int:
    """A port that no one listens at, and that the system gives to no one by itself."""
    while True:
        port = random.choice(PORTS)  # noqa: S311 not a secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))  # noqa: S104 bound for a moment, to see whether it is free
            return port
