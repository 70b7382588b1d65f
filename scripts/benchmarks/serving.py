"""The prediction server beside Google's and a plain one: start, memory, requests a second."""

import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.manifests import described, written
from benchmarks.peers import HERE
from benchmarks.programs.served.model import INSTANCE, ONNX, PICKLE, make
from delivery.settings import ROOT
from laptop.world import world
from localcloud.client import Client, free_port

CONNECTIONS, SECONDS, LONGEST = 32, 5, 120
BUCKET = "gs://bench-serving"
SERVED = HERE / "served"
BODY = json.dumps({"instances": [INSTANCE]})
NUMERIC = [f"{name}=={version(name)}" for name in ("scikit-learn", "onnxruntime", "numpy")]
GOOGLE = [f"google-cloud-aiplatform[prediction]=={version('google-cloud-aiplatform')}", *NUMERIC]
PLAIN = ["fastapi==0.124.4", "uvicorn[standard]==0.54.0", *NUMERIC]
ONE = "VERTEX_CPR_WEB_CONCURRENCY"  # processes; without it, one for each core, and two at least
CPR = {
    ONE: "1",
    "HANDLER_MODULE": "google.cloud.aiplatform.prediction.handler",
    "HANDLER_CLASS": "PredictionHandler",
}
UPLOAD = f"""
import pathlib, sys
from google.cloud import storage
bucket = storage.Client().create_bucket({BUCKET.removeprefix("gs://")!r})
for path in pathlib.Path(sys.argv[1]).rglob("*.*"):
    bucket.blob(str(path.relative_to(sys.argv[1]))).upload_from_filename(path)
"""


@dataclass(frozen=True)
class Server:
    """One contender: its environment (none: ours), its packages, its command, the folder it asks for."""

    name: str
    environment: str
    packages: list[str]
    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        """Its own Python, or ours."""
        return str(environments.python(self.environment)) if self.environment else sys.executable


SERVERS = (
    Server("Retrain", "", [], ("-m", "flows", "serve"), {"AIP_STORAGE_URI": f"{BUCKET}/onnx"}),
    Server(
        "Google's CPR, scikit-learn",
        "serving-cpr",
        GOOGLE,
        ("-m", "google.cloud.aiplatform.prediction.model_server"),
        CPR
        | {
            "PREDICTOR_MODULE": "google.cloud.aiplatform.prediction.sklearn.predictor",
            "PREDICTOR_CLASS": "SklearnPredictor",
            "AIP_STORAGE_URI": f"{BUCKET}/sklearn",
        },
    ),
    Server(
        "Google's CPR, the same ONNX",
        "serving-cpr",
        GOOGLE,
        ("-m", "google.cloud.aiplatform.prediction.model_server"),
        CPR
        | {
            "PREDICTOR_MODULE": "predictor",
            "PREDICTOR_CLASS": "OnnxPredictor",
            "AIP_STORAGE_URI": f"{BUCKET}/onnx",
        },
    ),
    Server("FastAPI, scikit-learn", "serving-plain", PLAIN, ("plain.py",)),
)


def measure(rounds: int) -> dict[str, Any]:
    """All contenders in turn, `rounds` times: medians, and ratios to ours."""
    for server in SERVERS:
        if server.environment:
            environments.install(server.environment, server.packages)
    with _place() as place:
        found: dict[str, list[dict[str, float]]] = {server.name: [] for server in SERVERS}
        for number in range(rounds):
            for server in SERVERS:
                print(f"measuring     {server.name} · {number + 1}", file=sys.stderr, flush=True)
                found[server.name].append(place.run(server))
    rows = [{"name": name, **_medians(runs)} for name, runs in found.items()]
    for row in rows:
        row["ratios"] = {
            key: round(rows[0][key] / row[key], 3) for key in ("start", "memory", "requests")
        }
    return {"connections": CONNECTIONS, "rounds": rounds, "cpus": os.cpu_count(), "servers": rows}


def show(found: dict[str, Any]) -> list[str]:
    """The table, by lines."""
    head = (
        f"prediction servers · {found['connections']} connections · {found['cpus']} cores · medians of"
    )
    lines = [
        f"{head} {found['rounds']}; in brackets: ours to theirs",
        f"{'':<30}{'start, s':>16}{'memory, MB':>16}{'requests/s':>18}{'p50, ms':>10}{'p99, ms':>10}",
    ]
    for row in found["servers"]:
        own = row["ratios"]
        start, memory = (
            f"{row['start']:.2f} ({own['start']:.2f})",
            f"{row['memory']:.0f} ({own['memory']:.2f})",
        )
        requests = f"{row['requests']:,.0f} ({own['requests']:.1f})"
        rest = f"{row['p50']:>10.2f}{row['p99']:>10.2f}"
        lines.append(f"{row['name']:<30}{start:>16}{memory:>16}{requests:>18}{rest}")
    return lines


def _medians(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}


@dataclass(frozen=True)
class Place:
    """Where they run: the local cloud's environment, the bucket with the model, a folder."""

    root: Path
    variables: dict[str, str]
    answer: list[float]
    sha256: str

    def run(self, server: Server) -> dict[str, float]:
        """One start of `server`, its memory, and its answers under load. Raises RuntimeError."""
        folder = Path(tempfile.mkdtemp(dir=self.root))
        for path in (*SERVED.glob("*.py"), self.root / "sklearn" / PICKLE):
            shutil.copy(path, folder)
        port, begun = free_port(), time.perf_counter()
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [server.python, *server.command],
                env=self._environment(server, port),
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            _until_ready(process, port, folder / "log")
            start = time.perf_counter() - begun
            self._check(port, server)
            return {"start": start, "memory": _memory(process.pid), **_load(port)}
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _environment(self, server: Server, port: int) -> dict[str, str]:
        own = {
            "AIP_HTTP_PORT": str(port),
            "AIP_HEALTH_ROUTE": "/health",
            "AIP_PREDICT_ROUTE": "/predict",
        }
        path = "" if server.environment else str(self.root / "product")
        return (
            self.variables
            | server.variables
            | own
            | {"MANIFEST_SHA256": self.sha256, "PYTHONPATH": path}
        )

    def _check(self, port: int, server: Server) -> None:
        """That it answers what the model does."""
        status, body = _ask(port, "POST", "/predict", BODY)
        found = json.loads(body)["predictions"][0] if status == 200 else []
        right = len(found) == len(self.answer) and all(map(_close, found, self.answer))
        if not right:
            raise RuntimeError(f"{server.name} gave no right answer: {status} {body[:500]!r}")


@contextmanager
def _place() -> Iterator[Place]:
    """A local cloud of its own, with the model in a bucket; the product with one flow more."""
    root = Path(tempfile.mkdtemp(prefix="bench-serving-"))
    cloud = Client(root / "cloud")
    try:
        cloud.up(world(), free_port())
        variables = cloud.environment().over(dict(os.environ))
        shutil.copytree(ROOT / "vertex-ai-pipelines" / "flows", root / "product" / "flows")
        shutil.copytree(SERVED, root / "product" / "flows" / "served")
        (root / "sklearn").mkdir()
        (root / "bucket" / "onnx").mkdir(parents=True)
        (root / "bucket" / "sklearn").mkdir()
        answer = make(root / "sklearn")
        shutil.copy(root / "sklearn" / PICKLE, root / "bucket" / "sklearn")
        shutil.move(root / "sklearn" / ONNX, root / "bucket" / "onnx")
        own = root / "bucket" / "onnx"
        sha256 = written(described("served", "mlp", "onnx", own), own)
        (root / "upload.py").write_text(UPLOAD)
        upload = [sys.executable, "-W", "ignore", str(root / "upload.py"), str(root / "bucket")]
        subprocess.run(upload, env=variables, check=True)
        yield Place(root, variables, answer, sha256)
    finally:
        cloud.down()
        shutil.rmtree(root)


def _until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if _ask(port, "GET", "/health")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.005)
    raise RuntimeError(f"it is not ready:\n{log.read_text()[-2000:]}")


def _ask(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _load(port: int) -> dict[str, float]:
    words = [str(HERE / "load.py"), str(port), "/predict", str(CONNECTIONS), str(SECONDS), BODY]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"a request failed: {done.stderr[-1000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _memory(process: int) -> float:
    """Megabytes of a process and of those that it started: each page once, by those who share it."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return own * 1024 / 1e6 + sum(_memory(int(child)) for child in children)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6)
