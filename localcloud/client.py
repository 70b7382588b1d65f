"""Start, find, ask and stop a local cloud from another process."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from localcloud.cloud import World
from localcloud.code import fingerprint
from localcloud.environment import Environment

DEFAULT_PORT = 8443
START_SECONDS = 180
STOP_SECONDS = 10
# All that it gets of its starter's variables: profiles, proxies and keys are none of its own.
INHERITED = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE")


class ClientError(Exception):
    """What went wrong, for the person who called; `exit_code` as the shell gets it."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Client:
    """The local cloud whose folder is `root`, running or not."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    def status(self) -> dict[str, Any] | None:
        """What the running local cloud says of itself; None where none runs.

        Another clone's may listen at the port that a dead one left behind: that is none of ours.
        """
        state = self._state()
        try:
            found = self.ask("GET", "/status") if state else None
        except ClientError:
            return None
        return found if found and found.get("root") == str(self.root) else None

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One call on the inner plane. Raises ClientError with its message where it refuses."""
        state = self._state()
        if state is None:
            raise ClientError("the local cloud is not running\n  mend: ./scripts/localcloud up")
        try:
            status, answer = self._call(state, method, path, json.dumps(body or {}))
        except (OSError, HTTPException, ValueError):
            raise ClientError(
                f"the local cloud does not answer; its log is {self.root}/server.log\n"
                "  mend: call this again; where that does not help, ./scripts/localcloud down first"
            ) from None
        if status >= 400:
            error = answer["error"]
            raise ClientError(error["message"], 2 if error["status"] == "INVALID_ARGUMENT" else 1)
        return answer

    @staticmethod
    def _call(state: dict[str, Any], method: str, path: str, data: str) -> tuple[int, dict[str, Any]]:
        connection = HTTPConnection("127.0.0.1", state["port"], timeout=30)
        headers = {"Host": "localcloud.internal", "X-Key": state.get("key", "")}
        with contextlib.closing(connection):
            connection.request(method, f"http://localcloud.internal{path}", data, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def environment(self, account: str = "") -> Environment:
        """The owner's environment, or that of a machine which runs as a service account."""
        query = f"?account={quote(account)}" if account else ""
        answer = self.ask("GET", f"/environment{query}")
        return Environment(answer["set"], tuple(answer["unset"]))

    def token(self, account: str = "") -> str:
        """An access token of the owner's, or of a service account's, for an hour."""
        return str(self.ask("GET", f"/token?account={quote(account)}")["token"])

    def up(self, world: World, port: int | None) -> dict[str, Any]:
        """Start it, unless it runs; returns its status. Raises ClientError where it cannot.

        One that runs older code is started anew with all that it held, unless it is at work.
        """
        with self._alone():
            running = self.status()
            if running and running.get("code") != fingerprint() and not running.get("busy"):
                port = port or running["port"]
                self.down()
                running = None
            if running is None:
                self._check_world(world)
                running = self._start(world, port)
            elif port not in (None, running["port"]):
                raise ClientError(
                    f"the local cloud already runs at port {running['port']}: stop it first (down)", 2
                )
            return running

    def down(self) -> bool:
        """Stop it; returns whether it ran."""
        running = self.status()
        if running is None:
            self._reap()
            return False
        with contextlib.suppress(ClientError):  # it may be gone before it has answered
            self.ask("POST", "/stop")
        deadline = time.monotonic() + STOP_SECONDS
        while is_alive(running["pid"]) and time.monotonic() < deadline:
            time.sleep(0.02)
        if is_alive(running["pid"]):
            os.kill(running["pid"], signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        return True

    def _reap(self) -> None:
        """Wait for one that was started here and was killed since."""
        if self._process is not None:
            self._process.poll()

    def _state(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.root / "state.json").read_text()))
        except (OSError, ValueError):
            return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands that start it at once: the second finds it running."""
        # It holds secrets: nobody else on the machine may look.
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.root / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _check_world(self, world: World) -> None:
        path = self.root / "world.json"
        if path.exists() and json.loads(path.read_text()) != asdict(world):
            raise ClientError(
                f"{self.root} holds another world (see world.json): the settings have changed since\n"
                "  mend: put them back, or start anew with ./scripts/localcloud down --erase",
                2,
            )

    def _port(self, wanted: int | None) -> int:
        """The port asked for, or that of last time, or the usual one, or any that is free."""
        if wanted is not None:
            if not _free(wanted):
                raise ClientError(
                    f"port {wanted} is in use by another program\n"
                    "  mend: stop that program, or choose another with --port, or leave --port out",
                    2,
                )
            return wanted
        last = self.root / "port"
        candidates = [int(last.read_text())] if last.exists() else []
        free = [port for port in [*candidates, DEFAULT_PORT] if _free(port)]
        return free[0] if free else free_port()

    def _start(self, world: World, wanted: int | None) -> dict[str, Any]:
        """Where another clone takes the port meanwhile, and it was not asked for: any that is free."""
        port = self._port(wanted)
        try:
            return self._spawn(world, port)
        except ClientError:
            if wanted is not None or _free(port):
                raise
            return self._spawn(world, free_port())

    def _spawn(self, world: World, port: int) -> dict[str, Any]:
        self._reap()
        (self.root / "port").write_text(str(port))
        arguments = [json.dumps(asdict(world)), str(self.root), str(port)]
        here = str(Path(__file__).parent.parent)
        with (self.root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "localcloud.serve", *arguments],
                cwd=self.root,
                env={name: os.environ[name] for name in INHERITED if name in os.environ}
                | {"PYTHONPATH": here, "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._wait_until_up()

    def _wait_until_up(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            found = self.status()
            if found and found["pid"] == process.pid:
                return found
            time.sleep(0.05)
        _end(process)
        tail = "\n".join((self.root / "server.log").read_text().splitlines()[-15:])
        raise ClientError(f"the local cloud did not start; {self.root}/server.log ends with:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """One that is given up, and what it may have started: it would hold the port, and the folder."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return _binds(probe, port)


def is_alive(pid: int) -> bool:
    """Whether a process of that number runs."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of this very process stays until it is waited for
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that was killed, and that its parent has not waited for yet, still has its number.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binds(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
