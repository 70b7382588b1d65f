"""`act`, the program that runs a workflow file: its command line, its process and what it reports."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.github.plain import forget, plain
from localcloud.github.prepared import Prepared
from localcloud.github.startup import LABELS
from localcloud.processes import marked

GRACE = 2.0  # seconds between SIGTERM and SIGKILL
FLAGS = "--json --verbose --rm --no-skip-checkout --no-cache-server --pull=false --action-offline-mode"
PROXIES, NOBODY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9"
NAMELESS = ("env-file", "var-file", "input-file")  # act reads those of its folder where none is named

Event = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """What act is to do, and as whom; `variables` are what steps find, `secrets` what is masked."""

    event: str
    actor: str
    variables: Mapping[str, str]
    secrets: Mapping[str, str]


class Act:
    """One run of act in `folder`, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def events(self, prepared: Prepared, order: Order) -> Iterator[Event]:
        """Start it; what it reports, until it ends and nothing of it is left."""
        with self._lock:
            if self._stopped:
                return
            self._process = subprocess.Popen(
                self._command(prepared, order),
                cwd=self.folder,
                env=self._environment(order),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
                errors="replace",
            )
        try:
            with self._process as process:
                assert process.stdout
                yield from map(_event, process.stdout)
        finally:
            self._end()

    def _environment(self, order: Order) -> dict[str, str]:
        """act's own: steps inherit it, and it asks its makers for news, which nobody answers here."""
        own = {name: value for name, value in order.variables.items() if name in ("HOME", "PATH")}
        return {**own, **dict.fromkeys(PROXIES, NOBODY), "XDG_CACHE_HOME": str(self.folder / "act")}

    def _end(self) -> None:
        self._signal(signal.SIGKILL)
        end_all(self.folder)

    def stop(self) -> None:
        """End it before its time; it may not have begun."""
        with self._lock:
            self._stopped = True
            running = self._process is not None and self._process.poll() is None
        if running:
            self._signal(signal.SIGTERM)
            killer = threading.Timer(GRACE, self._end)
            killer.daemon = True
            killer.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _command(self, prepared: Prepared, order: Order) -> list[str]:
        nothing, secrets = self.folder / "nothing", self.folder / "secrets"
        work = plain(self.folder / "act")
        nothing.touch()
        secrets.touch(mode=0o600)
        secrets.write_text("".join(f'{name}="{value}"\n' for name, value in order.secrets.items()))
        return [
            _program(),
            order.event,
            *("-C", str(prepared.folder), "-W", prepared.file, "-a", order.actor),
            *("-e", str(self.folder / "event.json"), "--action-cache-path", str(work)),
            *FLAGS.split(),
            *("--secret-file", str(secrets)),
            *_each({f"--{name}": str(nothing) for name in NAMELESS}.items(), "{0}={1}"),
            *_pairs("-P", dict.fromkeys(sorted(LABELS), "-self-hosted")),
            *_pairs("--env", order.variables),
            *_pairs("--local-repository", prepared.actions),
        ]


def _each(pairs: Any, form: str) -> list[str]:
    return [form.format(*pair) for pair in pairs]


def _pairs(flag: str, values: Mapping[str, Any]) -> list[str]:
    return [part for name, value in values.items() for part in (flag, f"{name}={value}")]


def _program() -> str:
    """act beside this Python, or anywhere on the PATH."""
    beside = Path(sys.prefix) / "bin" / "act"
    return str(beside) if beside.exists() else shutil.which("act") or "act"


def _event(line: str) -> Event:
    try:
        found = json.loads(line)
    except ValueError:
        return {"msg": line, "level": "debug" if line.startswith("time=") else "error"}
    return found if isinstance(found, dict) else {"msg": line, "level": "error"}


def end_all(folder: Path, of: str = "") -> None:
    """Kill whatever works in a run's folder, whoever its parent is; `of` is one job's mark.

    Its HOME or XDG_CACHE_HOME tells it, which nobody else has there: a person's PWD may be.
    """
    if not of:
        forget(folder / "act")
    for _ in range(50):  # what forks while it is looked for is found the next time
        found = [number for number in marked(f"HOME={folder}/", of) if number != os.getpid()]
        for number in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)
        if not found:
            return
