"""One roll-out at a time for each endpoint, on all machines: an object with holder and expiry.

It is gs://SERVING_BUCKET/locks/NAME.json, written on condition of its generation. Its holder renews it
while it works. What has expired may be taken over, and what its holder left by dying on this machine.
"""

import getpass
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from delivery import google_session, patience
from delivery.operations import say
from delivery.settings import Environment
from flows.errors import RetrainError

API = "https://storage.googleapis.com"
FOLDER = "locks"
LIFE = 30.0  # seconds: renewed at each third of it; clocks must not differ by a third of it either
PERIOD = 1.0  # seconds between two looks at another's lock
LONGEST = 7200.0  # seconds to wait for another's: two deployments on Vertex AI fit in


class HeldError(RetrainError):
    """Another roll-out is at work on the endpoint."""


class Held(NamedTuple):
    """A lock as it is written."""

    generation: str
    holder: str
    token: str
    expires: datetime
    process: str

    @property
    def is_over(self) -> bool:
        """Whether another may take it."""
        return datetime.now(UTC) > self.expires + timedelta(seconds=LIFE / 3) or _is_dead(self.process)


class EndpointLock:
    """The lock of `name`, once it is ours; `check` says whether it still is."""

    def __init__(self, environment: Environment, name: str) -> None:
        self._bucket = environment.serving_bucket.removeprefix("gs://")
        self._key, self._token = f"{FOLDER}/{name}.json", uuid.uuid4().hex
        self._session = google_session.session(patience.adapter(is_safe=True))
        self._generation, self._renewed = "", 0.0
        self._stop, self._lost = threading.Event(), ""

    def check(self) -> None:
        """Raises RetrainError where another may have taken it: then nothing more may be changed."""
        if not self._lost and time.monotonic() - self._renewed > LIFE:
            self._lost = "it could not be renewed in time"
        if self._lost:
            raise RetrainError(f"{self._place}: the lock is lost: {self._lost}", "deploy again")

    def take(self, longest: float = LONGEST) -> None:
        """Wait until it is ours, at most `longest` seconds. Raises HeldError with the holder."""
        deadline, told = time.monotonic() + longest, ""
        while not self._write(self._free_generation()):
            held = self._read()
            if held is None or held.is_over:
                continue
            if time.monotonic() >= deadline:
                what = f"{self._place} is held by {held.holder} until {held.expires:%H:%M:%S} UTC"
                raise HeldError(what, "wait until that one has ended, then deploy again")
            if held.token != told:
                told = held.token
                say("waits", f"for another roll-out: {held.holder}")
            time.sleep(PERIOD)

    def renew(self) -> None:
        """Keep it, in a thread of its own, until `free`."""
        while not self._stop.wait(LIFE / 3):
            try:
                if not self._write(self._generation):
                    self._lost = "another has taken it"
                    return
            except (RetrainError, OSError):
                continue  # `check` counts the seconds

    def free(self) -> None:
        """Give it back; what cannot be given back expires."""
        self._stop.set()
        with suppress(RetrainError, OSError):
            self._call("DELETE", f"{self._object}?ifGenerationMatch={self._generation}")

    @property
    def _place(self) -> str:
        return f"gs://{self._bucket}/{self._key}"

    @property
    def _object(self) -> str:
        return f"{API}/storage/v1/b/{self._bucket}/o/{quote(self._key, safe='')}"

    def _free_generation(self) -> str:
        """The generation that may be replaced: "0" for none; "-" where another holds it."""
        held = self._read()
        if held is None:
            return "0"
        return held.generation if held.is_over or held.token == self._token else "-"

    def _write(self, generation: str) -> bool:
        """Whether it is ours from now on: written where `generation` is the present one."""
        if generation == "-":
            return False
        now, start = datetime.now(UTC), time.monotonic()
        body = {
            "holder": holder(),
            "token": self._token,
            "expires": (now + timedelta(seconds=LIFE)).isoformat(),
            "process": _process(os.getpid()),
        }
        query = f"uploadType=media&name={quote(self._key, safe='')}&ifGenerationMatch={generation}"
        place = f"{API}/upload/storage/v1/b/{self._bucket}/o?{query}"
        answer = self._call("POST", place, data=json.dumps(body).encode())
        if answer.status_code == 412:  # perhaps by the first of two attempts, whose answer was lost
            held = self._read()
            if held is None or held.token != self._token or held.generation == generation:
                return False
            self._generation = held.generation
        else:
            self._generation = str(answer.json()["generation"])
        self._renewed = start
        return True

    def _read(self) -> Held | None:
        answer = self._call("GET", f"{self._object}?alt=media")
        if answer.status_code == 404:
            return None
        generation = answer.headers["x-goog-generation"]
        try:
            found = answer.json()
            expires = datetime.fromisoformat(found["expires"])
            return Held(generation, found["holder"], found["token"], expires, found["process"])
        except (ValueError, KeyError, TypeError):
            # Whatever it is, nobody of ours holds it.
            return Held(generation, "nobody", "", datetime.fromtimestamp(0, UTC), "")

    def _call(self, method: str, url: str, **fields: Any) -> Any:
        """The answer; that nothing is there, or another generation, is one. Raises RetrainError."""
        import requests
        from google.auth.exceptions import GoogleAuthError

        try:
            answer = self._session.request(method, url, timeout=patience.TRY, **fields)
        except (requests.RequestException, GoogleAuthError) as error:
            raise RetrainError(f"{self._place}: {type(error).__name__}", "deploy again") from None
        missing_bucket = answer.status_code == 404 and method == "POST"
        if answer.ok or (answer.status_code in (404, 412) and not missing_bucket):
            return answer
        mend = "make the serving bucket, and grant this account roles/storage.objectUser on it"
        raise RetrainError(f"{self._place}: Cloud Storage answers {answer.status_code}", mend)


@contextmanager
def locked(environment: Environment, name: str, longest: float = LONGEST) -> Iterator[EndpointLock]:
    """The lock of `name`, for a while. Raises HeldError where it is not free in `longest` seconds."""
    lock = EndpointLock(environment, name)
    lock.take(longest)
    renewing = threading.Thread(target=lock.renew, daemon=True)
    renewing.start()
    try:
        yield lock
    finally:
        lock.free()


def holder() -> str:
    """Who this is, for people: a workflow run's address, or a person on a machine."""
    run = os.environ.get("GITHUB_RUN_ID")
    if run:
        server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        return f"{server}/{name}/actions/runs/{run}"
    return f"{getpass.getuser()} on {platform.node()}, process {os.getpid()}"


def _process(number: int) -> str:
    """A process of this machine, by a name that no other has; "" where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The fields after the program's name, which may hold anything: the 20th is when it started.
        started = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{boot} {Path('/proc/self/ns/pid').readlink()} {number} {started}"
    except (OSError, IndexError):
        return ""


def _is_dead(process: str) -> bool:
    """Whether it was a process of this machine, as seen from here, and is there no more."""
    own, words = _process(os.getpid()).split(), process.split()
    if len(own) != 4 or own[:2] != words[:2]:
        return False
    return _process(int(words[2])) != process
