"""Print the package index that poetry must be told of, or nothing where it finds its own.

poetry reads neither pip's configuration nor an index without JSON pages: the mirror plugin helps.
"""

import subprocess
import sys
import urllib.request

import pip
from pip._internal.models.index import PyPI


def configured() -> str:
    """The index that pip is configured to use, or nothing."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    found = [line.partition("=")[2].strip("'\"") for line in lines if ".index-url=" in line]
    return found[-1] if found else ""


def has_json_pages() -> bool:
    """Whether the usual index answers as poetry expects."""
    try:
        page = f"{PyPI.pypi_url}/pip/{pip.__version__}/json"  # what poetry asks for each package
        with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310
            return b'"info"' in answer.read(100)
    except OSError:
        return False


if __name__ == "__main__":
    print(configured() or ("" if has_json_pages() else PyPI.simple_url))
