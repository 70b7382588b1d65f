"""Programs with unmodified SDKs, each a process of its own: forks of a Python that has imported them."""

import atexit
import json
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from localcloud import forks

LIMIT = 300.0  # seconds for one program
WHOLE = "import json, os, sys\nanswer = None\n{code}\nopen({file!r}, 'w').write(json.dumps(answer))"
OWN = "PYTHON"  # how variables of an interpreter's begin: a fork can have none but its path


def run(code: str, cwd: Path, env: Mapping[str, str]) -> Any:
    """What a program that runs in `cwd`, with this environment, leaves in `answer`."""
    own = {
        name: value for name, value in env.items() if name == "PYTHONPATH" or not name.startswith(OWN)
    }
    with tempfile.TemporaryDirectory() as name:
        log, file, program = (Path(name, one) for one in ("log", "answer", "program.py"))
        program.write_text(WHOLE.format(code=code, file=str(file)))  # kfp reads functions' source
        order = forks.Order([sys.executable, str(program)], str(cwd), own, str(log))
        process = forks.start(_server().control, order)
        late = threading.Timer(LIMIT, process.kill)
        late.daemon = True
        late.start()
        ended = process.wait()
        late.cancel()
        assert ended == 0, f"exit code {ended}\n{log.read_text()[-3000:]}"
        return json.loads(file.read_text())


@cache
def _server() -> forks.Server:
    """One for all programs of this process: what one imports, the next need not."""
    folder = tempfile.TemporaryDirectory()
    made = forks.Server(sys.executable, {"LANG": "C.UTF-8"}, Path(folder.name, "learned"))
    atexit.register(folder.cleanup)
    atexit.register(made.close)
    return made
