"""`python -m flows serve`: listens, loads, answers, and stops without losing a request."""

import argparse
import gc
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from flows.contract import Model
from flows.errors import InputError, RetrainError
from flows.serving import artifacts
from flows.serving.app import App
from flows.serving.place import Place, described
from flows.serving.worker import EACH, LONGEST, Worker

DRAIN = 20.0  # seconds
QUIET = 2.0  # seconds without a request, after which nobody is taken to ask any more
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
UVICORN: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    "ws": "none",
    "lifespan": "off",
    "interface": "asgi3",
    "log_config": None,
    "log_level": "error",  # who sends what is no HTTP writes no lines here
    "access_log": False,
    "proxy_headers": False,
    "server_header": False,
    # Longer than any front keeps an idle connection: so it is always the front that closes it.
    "timeout_keep_alive": 620,
}


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT.

    Raises InputError where the environment is wrong, RetrainError where the model cannot be loaded.
    """
    arguments = parser().parse_args(argv)
    place = Place.read(os.environ)
    # One thread predicts. Libraries read this when they are loaded, which has not happened yet.
    os.environ.update(dict.fromkeys(THREADS, "1"))
    with tempfile.TemporaryDirectory(prefix="model-", ignore_cleanup_errors=True) as folder:
        server = Server(place, Path(folder), arguments.drain)
        server.run([_listening(place.port)])
    server.end()
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line; what is served stands in the environment, as Vertex AI sets it."""
    made = argparse.ArgumentParser(
        prog="python -m flows serve",
        description=f"The prediction server, by Vertex AI's custom container contract.\n\n{described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--drain",
        type=float,
        default=DRAIN,
        metavar="SECONDS",
        help=f"after SIGTERM, answer as long as requests come (until there was none for {QUIET:g} s),"
        " but no longer than that (default: %(default)g)",
    )
    return made


class Server(uvicorn.Server):
    """One process's server, from the first to the last line of its log."""

    def __init__(self, place: Place, folder: Path, drain: float) -> None:
        self._place, self._folder, self._drain = place, folder, drain
        self._worker = Worker()
        self._app = App(place, self._worker)
        self._begun, self._stopped = time.monotonic(), 0.0
        self._error: BaseException | None = None
        super().__init__(uvicorn.Config(self._app, **UVICORN))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and load in the background."""
        await super().startup(sockets)
        port = sockets[0].getsockname()[1] if sockets else self._place.port
        _say(f"listening: port {port} · {self._place.health} · {self._place.predict}")
        self._worker.start(self._load, self._loaded)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """SIGTERM: answer on, for a while, while health says that no more should come. SIGINT: end."""
        if not self._app.stopping:
            _say(f"stopping: {signal.Signals(sig).name} · in flight: {self._app.in_flight}")
            self._app.stopping, self._stopped = True, time.monotonic()
        if sig == signal.SIGINT or not self._app.ready:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to end.

        A model that does not come back is not waited for: nothing but a new process answers again.
        """
        if time.monotonic() > self._worker.deadline:
            late = f"the model has not answered within {LONGEST:g} s and {EACH:g} s for each instance"
            print(f"error: {late}", file=sys.stderr)
            os._exit(1)
        if self._app.stopping and self._drained():
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening; what is in flight gets the rest of the time."""
        rest = self._stopped + self._drain - time.monotonic() if self._stopped else 0
        self.config.timeout_graceful_shutdown = max(1, round(rest))
        await super().shutdown(sockets)

    def end(self) -> None:
        """The last line of the log. Raises what went wrong, as RetrainError where it has a name."""
        if isinstance(self._error, InputError):  # the release's fault, not the caller's
            raise RetrainError(self._error.what, self._error.mend)
        if self._error:
            raise self._error
        counts = self._app.counts
        failed = sum(number for status, number in counts.items() if status >= 500)
        refused = sum(number for status, number in counts.items() if 400 <= status < 500)
        _say(f"stopped: {counts[200]:,} requests answered · {refused:,} refused · {failed:,} failed")
        if not self._app.ready:
            os._exit(0)  # a transfer that is under way would be waited for

    def _load(self) -> Model:
        """In the worker's thread."""
        found = artifacts.fetch(self._place.artifacts, self._place.sha256, self._folder)
        model = artifacts.load(found, self._folder)
        seconds = time.monotonic() - self._begun
        _say(f"ready: {found.flow} {found.version} · {found.algorithm} · after {seconds:.2f} s")
        return model

    def _loaded(self, found: Model | BaseException) -> None:
        if isinstance(found, BaseException):
            self._error, self.should_exit = found, True
            return
        gc.collect()
        gc.freeze()  # what is there now stays: no collection has to look at it again
        self._app.open(found)

    def _drained(self) -> bool:
        now, app = time.monotonic(), self._app
        quiet = not app.in_flight and now - max(app.asked, self._stopped) >= QUIET
        return quiet or now - self._stopped >= self._drain


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server(("", port), backlog=2048)
    except OSError as error:
        raise RetrainError(
            f"port {port}: {os.strerror(error.errno or 0)}", "end what listens there"
        ) from None


def _say(text: str) -> None:
    print(text, flush=True)
