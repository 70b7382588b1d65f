"""A real prediction server: a process of its own, its model in the tests' local cloud."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.manifests import written
from flows.config import Train
from flows.linnerud import perceptron
from flows.linnerud.config import Mlp
from flows.linnerud.people import People
from flows.manifest import Manifest
from flows.recommender import flow as recommender
from flows.recommender import split
from flows.recommender.config import Svd
from flows.recommender.split import Training
from localcloud.client import Client
from tests.conftest import PRODUCT
from tests.eventually import eventually

BUCKET = "serving"
UPLOAD = """
from pathlib import Path
from google.cloud import storage
client = storage.Client()
bucket = client.lookup_bucket({bucket!r}) or client.create_bucket({bucket!r})
for path in Path({folder!r}).iterdir():
    bucket.blob({prefix!r} + path.name).upload_from_filename(path)
"""
ITEMS = [f"p{n}" for n in range(50)]


@dataclass(frozen=True)
class Released:
    """A model in the bucket: its folder's address and its manifest's hash."""

    uri: str
    sha256: str


def linnerud(folder: Path) -> tuple[str, str]:
    """A model of made-up people, in kilograms and centimetres."""
    random = np.random.default_rng(0)
    exercises = random.uniform(1, 251, (16, 3))
    measures = np.column_stack([random.uniform(*of, 16) for of in ((60, 110), (75, 115), (45, 75))])
    rows = People(list(range(16)), measures, exercises, exercises.mean(axis=0))
    search, scale = perceptron.fit(rows, Mlp(), 0)
    perceptron.write(search.best_estimator_, scale, rows.usual, folder)
    return "mlp", "onnx"


def households(folder: Path) -> tuple[str, str]:
    """A model of 20 users, 0 to 19, and 50 items, p0 to p49."""
    random = np.random.default_rng(0)
    pairs = np.unique(random.integers(0, 20 * 50, 600))
    user, item = (pairs // 50).astype(np.int32), (pairs % 50).astype(np.int32)
    rows = Training(user, item, np.zeros(len(pairs), np.int32), list(range(20)), ITEMS)
    training = folder.parent / "training"
    training.mkdir()
    _write(rows, training)
    made = recommender.train(Train(algorithm="svd"), Svd(factors=4), training, folder)
    return "svd", made.format


def _write(rows: Training, folder: Path) -> None:
    from flows import arrays

    own: arrays.Arrays = {"user": rows.user, "item": rows.item, "days": rows.days}
    names = arrays.pack("users", rows.users) | arrays.pack("items", rows.items)
    arrays.save(folder / split.FILE, own | names, {})


def release(program: Any, folder: Path, found: Manifest, name: str) -> Released:
    """Put the folder's files and the manifest to the bucket, below `name`."""
    sha256 = written(found, folder)
    program(UPLOAD.format(bucket=BUCKET, folder=str(folder), prefix=f"{name}/"))
    return Released(f"gs://{BUCKET}/{name}", sha256)


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A running server, and what it printed."""

    def __init__(self, cloud: Client, folder: Path, environment: Mapping[str, str], *words: str) -> None:
        self._log = folder / "log"
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": PRODUCT, "TMPDIR": str(folder)}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows", "serve", *words],
                env=cloud.environment().over(own) | {"AIP_HTTP_PORT": "0"} | dict(environment),
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> list[str]:
        """The lines so far."""
        return self._log.read_text().splitlines()

    @property
    def port(self) -> int:
        """Where it listens. Raises AssertionError where it ended before."""
        lines = eventually(lambda: self.log if self.log or self.process.poll() is not None else [])
        assert lines[0].startswith("listening: port "), lines
        return int(lines[0].split()[2])

    def connection(self) -> HTTPConnection:
        """One that is kept alive."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """One request by a connection of its own."""
        connection = self.connection()
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            content = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, msgspec.json.decode(content) if content else None, headers)
        finally:
            connection.close()

    def predict(self, instances: Any, parameters: Any = None) -> Answer:
        """Predictions."""
        given = {"instances": instances} | ({"parameters": parameters} if parameters else {})
        return self.ask("POST", "/predict", msgspec.json.encode(given))

    def ready(self) -> "Server":
        """Waits until health says so."""
        eventually(lambda: self.ask("GET", "/health").status == 200)
        return self

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(60)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()


@contextmanager
def serving(
    cloud: Client, folder: Path, released: Released, *words: str, **environment: str
) -> Iterator[Server]:
    """A server of `released`; killed at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {"AIP_STORAGE_URI": released.uri, "MANIFEST_SHA256": released.sha256}
    server = Server(cloud, folder, given | environment, *words)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
