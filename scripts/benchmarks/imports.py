"""What a step pays for each library that it imports."""

import subprocess
import sys
import time

MODULES = (
    "msgspec",
    "numpy",
    "google.cloud.storage",
    "google.cloud.bigquery",
    "google.cloud.secretmanager_v1",
    "boto3",
    "github",
    "pyarrow.parquet",
    "scipy.sparse",
    "safetensors",
    "onnx",
    "onnxruntime",
    "sklearn.neural_network",
)
ROUNDS = 3


def costs() -> list[dict[str, object]]:
    """Each module's import in a fresh process, in seconds beyond the interpreter's own start."""
    bare = _seconds("pass")
    return [
        {"module": module, "seconds": round(max(_seconds(f"import {module}") - bare, 0.0), 3)}
        for module in MODULES
    ]


def _seconds(code: str) -> float:
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
        found.append(time.perf_counter() - start)
    return min(found)
