"""Contenders' own environments, each made once, below .local/bench."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from delivery.settings import ROOT

ENVIRONMENTS = ROOT / ".local" / "bench"


def python(name: str) -> Path:
    """The Python of the environment of that name, made or not."""
    return ENVIRONMENTS / name / "bin" / "python"


def install(name: str, requirements: Sequence[str]) -> None:
    """That environment, once. Runs outside of the local cloud."""
    mark = python(name).parent / "complete"
    if mark.exists():
        return
    folder = ENVIRONMENTS / name
    print(f"environment   {name} · once", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements], check=True, stdout=subprocess.DEVNULL)
    mark.touch()
