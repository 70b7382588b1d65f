"""The processes that jobs run in: one worker a job, and warm Pythons that its steps start from."""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from localcloud.cloud import Cloud
from localcloud.environment import environment
from localcloud.forks import Order, Process, Server, start
from localcloud.pipeline_image import Image

WARM = 3  # Pythons for steps that are kept: each takes the memory of what it has imported
WORKER = "from localcloud.pipeline_worker import main; main()"


class Workers:
    """Starts workers; they and their steps end with the local cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._lock = cloud, threading.Lock()
        self._learned = cloud.root / "modules"
        self._learned.mkdir(exist_ok=True)
        self._workers = self._worker_server()
        self._steps: dict[str, Server] = {}

    def start(self, folder: Path, images: Iterable[Image]) -> Process:
        """A worker for the job in `folder`; it gets a socket for each image's steps, in their order."""
        with self._lock:
            servers = [self._step_server(image) for image in images]
            if not self._workers.runs:
                self._workers.close()
                self._workers = self._worker_server()
            argv, log = [sys.executable, "-c", WORKER, str(folder)], str(folder / "worker.log")
            order = Order(argv, str(folder), self._worker_environment(), log)
            keep = [server.control.fileno() for server in servers]
            return start(self._workers.control, order, keep)

    def close(self) -> None:
        """End all workers, then what their steps start from."""
        with self._lock:
            for server in (self._workers, *self._steps.values()):
                server.close()

    def _worker_server(self) -> Server:
        here = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        return Server(
            sys.executable,
            self._worker_environment() | here,
            self._learned / "worker",
            ["localcloud.pipeline_worker"],
        )

    def _worker_environment(self) -> dict[str, str]:
        home = str(self._cloud.root / "empty")
        return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "HOME": home}

    def _step_server(self, image: Image) -> Server:
        """The one for the image's Python and variables; the least lately used one makes room."""
        own = {k: v for k, v in image.environment().items() if k != "PYTHONPATH"}
        named = json.dumps([image.python, own], sort_keys=True)
        # The same in every copy of this folder and at every port: what was learned there goes with it.
        named = named.replace(str(self._cloud.root), "")
        key = hashlib.sha256(named.encode()).hexdigest()[:16]
        found = self._steps.pop(key, None)
        if found and not found.runs:
            found.close()
            found = None
        found = found or Server(image.python, self._step_environment(own), self._learned / key)
        self._steps[key] = found
        if len(self._steps) > WARM:
            # It goes when the last job that can ask it has ended.
            threading.Thread(target=self._steps.pop(next(iter(self._steps))).close, daemon=True).start()
        return found

    def _step_environment(self, own: dict[str, str]) -> dict[str, str]:
        """What modules may read when they are imported: all but what is one step's or image's own."""
        cloud = environment(self._cloud.root, self._cloud.port, "steps").set
        return {**own, **cloud, "HOME": str(self._cloud.root / "empty")}
