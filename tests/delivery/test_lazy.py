"""Packages in parts: what they are to everybody who imports them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clone import ROOT

V1 = "google.cloud.aiplatform_v1"
FEW = f"assert '{V1}.types.endpoint_service' not in sys.modules"
REAL = f"""
lazy.imported(*lazy.AIPLATFORM)
from {V1}.services.pipeline_service import PipelineServiceClient
from {V1}.types.pipeline_job import PipelineJob
{FEW}
from {V1}.types import pipeline_job as found
assert found.PipelineJob is PipelineJob
{FEW}
lazy.imported(*lazy.AIPLATFORM)
from {V1}.types import Model, PipelineJob as again
assert again is PipelineJob
import {V1} as v1
assert v1.PipelineServiceClient is PipelineServiceClient and v1.PipelineJob is PipelineJob
assert not hasattr(v1, 'Nothing') and not hasattr(v1.types, 'Nothing')
from google.cloud import aiplatform
assert aiplatform.PipelineJob
"""
MADE = {
    "__init__.py": '__version__ = "2"\n__all__ = ["A", "B"]\nfrom whole.parts.a import A\n'
    "from whole.parts.b import B\n",
    "a.py": "A = 1\n",
    "b.py": "B = 2\n",
}


def run(code: str, folder: Path) -> None:
    path = f"import sys\nsys.path[:0] = [{str(ROOT / 'vertex-ai-pipelines')!r}, {str(folder)!r}]"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{path}\nfrom delivery import lazy\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_part_of_vertex_ai_s_client_is_the_client_s(tmp_path: Path) -> None:
    run(REAL, tmp_path)


def made(folder: Path, **changed: str) -> Path:
    """A package `whole.parts` whose own code imports both of its modules."""
    place = folder / "whole" / "parts"
    place.mkdir(parents=True)
    for name, text in MADE.items():
        (place / name).write_text(changed.get(name.partition(".")[0].strip("_"), text))
    return folder


@pytest.mark.parametrize(
    "then",
    [
        "assert parts.a.A == 1 and 'whole.parts.b' not in sys.modules",
        "assert parts.__version__ == '2' and parts.B == 2",
        "assert parts.__all__ == ['A', 'B']",
        "from whole.parts import *\nassert (A, B) == (1, 2)",
        "assert type(parts) is lazy.Package and parts.B == 2 and type(parts) is type(sys)",
        "assert not hasattr(parts, 'nothing') and not hasattr(parts, '__nothing__')",
    ],
)
def test_a_package_in_parts_is_the_package(tmp_path: Path, then: str) -> None:
    run(f"lazy.imported('whole.parts')\nimport whole.parts as parts\n{then}", made(tmp_path))


def test_a_package_that_fails_stays_as_it_was(tmp_path: Path) -> None:
    folder = made(tmp_path, init="early = 1\nif len(sys.argv) == 1: raise OSError\nlate = 2\n")
    init = folder / "whole" / "parts" / "__init__.py"
    init.write_text("import sys\n" + init.read_text())
    run(
        """
lazy.imported('whole.parts')
import whole.parts as parts
for _ in range(2):
    try:
        parts.late
    except OSError:
        pass
    else:
        raise AssertionError
    assert 'early' not in vars(parts)
sys.argv.append('well')
assert (parts.early, parts.late) == (1, 2)
""",
        folder,
    )


def test_threads_that_ask_at_once_run_it_once(tmp_path: Path) -> None:
    # The first one is held inside of the package's code until the second one has asked, too.
    init = """
import builtins, threading
builtins.runs = getattr(builtins, 'runs', 0) + 1
builtins.begun.set()
builtins.asked.wait(60)
late = 2
"""
    run(
        """
import builtins, threading
builtins.begun, builtins.asked = threading.Event(), threading.Event()
lazy.imported('whole.parts')
import whole.parts as parts
found = []
class Lock:
    real = lazy.LOCK
    def __enter__(self):
        if builtins.begun.is_set():
            builtins.asked.set()
        self.real.acquire()
    def __exit__(self, *_):
        self.real.release()
lazy.LOCK = Lock()
first = threading.Thread(target=lambda: found.append(parts.late))
first.start()
builtins.begun.wait(60)
second = threading.Thread(target=lambda: found.append(parts.late))
second.start()
first.join(), second.join()
assert (found, builtins.runs) == ([2, 2], 1)
""",
        made(tmp_path, init=init),
    )
