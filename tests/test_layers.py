"""Which package may import which, and how much importing one costs."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import config
from tests.clone import ROOT, tracked

PRODUCT = "vertex-ai-pipelines/"
FLOWS = config.names()
PLACES = {
    "flows": PRODUCT + "flows/",
    "delivery": PRODUCT + "delivery/",
    "localcloud": "localcloud/",
    "laptop": "scripts/laptop/",
}
FORBIDDEN = {
    "flows": {"delivery", "localcloud", "laptop", "tests"},
    "delivery": {"localcloud", "laptop", "tests"},
    "localcloud": {"flows", "delivery", "laptop", "tests"},
    "laptop": {"tests"},
}
# What delivery may take from flows: schemas and adapters, never a step or a flow's own code.
SHARED = {
    "config",
    "contract",
    "errors",
    "github",
    "google_identity",
    "interface",
    "manifest",
    "s3",
    "secrets",
    "serving_config",
    "storage",
    "tables",
    "web_identity",
}
HEAVY = [
    "boto3",
    "botocore",
    "github",
    "google.api_core",
    "google.auth",
    "grpc",
    "kfp",
    "numpy",
    "pyarrow",
]
LIGHT = [
    "import delivery.settings",
    "import delivery.releases",
    "import delivery.submit",
    "import delivery.release_pr",
    "import flows.config; flows.config.load('recommender')",
    "import flows.step",
    "import runpy, sys; sys.argv = ['flows', '--help']; runpy.run_module('flows', run_name='__main__')",
]
LOCAL = re.compile(r"local.?cloud|emulator|[!=]= ?[\"']local[\"']|if (not )?local\b", re.I)


def modules(package: str) -> list[str]:
    """The Python files of a package."""
    return [name for name in tracked() if name.startswith(PLACES[package]) and name.endswith(".py")]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, at its top or inside a function, with the line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_keep_to_their_side(package: str) -> None:
    assert modules(package)
    wrong = [
        f"{name}:{line}: {module}"
        for name in modules(package)
        for line, module in imports(ROOT / name)
        if module.split(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


def test_delivery_takes_only_what_is_shared_from_flows() -> None:
    wrong = [
        f"{name}:{line}: {module}"
        for name in modules("delivery")
        for line, module in imports(ROOT / name)
        if module.split(".")[0] == "flows" and module.split(".")[1] not in SHARED
    ]
    assert wrong == []


def test_product_does_not_know_that_it_runs_locally() -> None:
    product = [name for name in tracked() if name.startswith(PRODUCT)]
    assert product
    wrong = [
        f"{name}:{number}: {line.strip()}"
        for name in product
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        if LOCAL.search(line)
    ]
    assert wrong == []


def test_shared_code_names_no_flow() -> None:
    shared = [
        name
        for name in tracked()
        if name.startswith((PRODUCT, "localcloud/", "scripts/", ".github/", "Dockerfile"))
        and not any(name.startswith(f"{PRODUCT}flows/{flow}/") for flow in FLOWS)
    ]
    # By module or folder; the template's own by name, too, which are no words of the trade.
    word = re.compile(rf"\bflows[./]({'|'.join(FLOWS)})\b|recommender|linnerud")
    assert len(shared) > 100
    assert [name for name in shared if word.search((ROOT / name).read_text())] == []


@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_imports_no_other_flow(flow: str) -> None:
    own = [name for name in modules("flows") if name.startswith(f"{PRODUCT}flows/{flow}/")]
    assert own
    others = tuple(f"flows.{other}." for other in FLOWS if other != flow)
    wrong = [module for name in own for _, module in imports(ROOT / name) if module.startswith(others)]
    assert wrong == []


def test_models_are_data_not_code() -> None:
    wrong = [
        f"{name}:{line}: {module}"
        for package in PLACES
        for name in modules(package)
        for line, module in imports(ROOT / name)
        if {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
        & set(module.split("."))
    ]
    assert wrong == []


@pytest.mark.parametrize("code", LIGHT)
def test_importing_is_light(code: str) -> None:
    heavy = f"set({HEAVY}) & sys.modules.keys()"
    shown = f"import atexit, sys\natexit.register(lambda: print('loaded', *({heavy})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{shown}\n{code}"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / PRODUCT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded"
