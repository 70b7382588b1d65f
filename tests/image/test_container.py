"""The image as a container: its structure, what it can import, and a run whose steps are in it."""

import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clone import ROOT, Clone, Ended, clone
from tests.image.container import Container

STRUCTURE: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("structure.yaml").read_text())
STEPS = ["get_data", "preprocess", "train", "evaluate", "upload_model"]
PACKAGE = ROOT / "vertex-ai-pipelines"
# What local steps call instead of `python`: the container's Python, with the way to the local cloud.
INSIDE = """#!{python}
import os, subprocess, sys
given = dict(os.environ)
job = given["LOCALCLOUD_GCS"].removesuffix("/gcs/")
with open({log!r}, "a") as log:
    log.write(sys.argv[3] + "\\n")
# The job's folder is the machine's, and the container's user is another one.
subprocess.run(["chmod", "-R", "a+rwX", job], check=True)
passed = {{"HOME": "/tmp", "TMPDIR": "/tmp"}}
passed |= {{name: value for name, value in given.items() if name.lower().endswith(("_proxy", "_bundle"))
            or name in {variables!r}}}
own = ["env", *(name + "=" + value for name, value in passed.items()), "python", *sys.argv[1:]]
command = {command!r}
at = command.index("--")
mounts = ["--volume", job + ":" + job, "--volume", {authority!r} + ":" + {authority!r} + ":ro"]
os.environ.clear()
os.environ |= {engine!r} | {{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}}
os.execv("/usr/bin/buildah", [*command[: at - 1], *mounts, *command[at - 1 :], *own])
"""
FILES = ("SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")


def every(kind: str) -> list[Any]:
    return [pytest.param(one, id=one["name"]) for one in STRUCTURE[kind]]


@pytest.mark.parametrize("test", every("commandTests"))
def test_command(container: Container, test: dict[str, Any]) -> None:
    ran = container.run(test["command"], *test.get("args", []))
    assert ran.code == test.get("exitCode", 0), ran
    for expected in test.get("expectedOutput", []):
        assert re.search(expected, ran.out, re.M), ran


@pytest.mark.parametrize("test", every("fileExistenceTests"))
def test_file(container: Container, test: dict[str, Any]) -> None:
    assert (container.run("test", "-e", test["path"]).code == 0) is test["shouldExist"]


@pytest.mark.parametrize("test", every("fileContentTests"))
def test_content(container: Container, test: dict[str, Any]) -> None:
    content = container.run("cat", test["path"]).out
    assert all(re.search(expected, content) for expected in test["expectedContents"])


def test_settings(container: Container) -> None:
    wanted, found = STRUCTURE["metadataTest"], container.settings
    assert found["User"] == wanted["user"]
    assert found["WorkingDir"] == wanted["workdir"]
    assert found["Cmd"] == wanted["cmd"]
    assert (found.get("Entrypoint") or []) == wanted["entrypoint"]
    assert {f"{one['key']}={one['value']}" for one in wanted["envVars"]} <= set(found["Env"])


def test_all_that_the_flows_import_is_there(container: Container) -> None:
    """Also what they import inside of functions."""
    lines = {
        line.strip()
        for path in (PACKAGE / "flows").rglob("*.py")
        if path.name != "sample.py"
        for line in path.read_text().splitlines()
        if re.match(r"\s*(import|from) [\w.]+", line) and "(" not in line
    }
    ran = container.run("python", "-W", "error::ImportWarning", "-c", "\n".join(sorted(lines)))
    assert ran.code == 0, ran


@pytest.fixture(scope="module")
def inside(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A newcomer whose steps start the container's Python."""
    with clone(tmp_path_factory.mktemp("inside")) as made:
        program = made.folder.parent / "inside"
        program.write_text(
            INSIDE.format(
                python=sys.executable,
                log=str(made.folder.parent / "steps.log"),
                variables=FILES,
                command=container.command(),
                authority=str(made.folder / ".local" / "cloud" / "ca.pem"),
                engine=container.engine.variables,
            )
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        made.write("vertex-ai-pipelines/flows/interface.py", '"python", "-m"', f'"{program}", "-m"')
        for step in STEPS:
            path = f"vertex-ai-pipelines/components/{step}.yaml"
            made.write(path, "command: [python, ", f"command: [{program}, ")
        yield made


@pytest.fixture(scope="module")
def ran(inside: Clone) -> Ended:
    return inside.run("linnerud")


def test_every_step_of_a_run_works_in_it(inside: Clone, ran: Ended) -> None:
    """Submitted, run and proposed as ever, but each step is a program of the container."""
    assert ran.code == 0, ran
    assert (inside.folder.parent / "steps.log").read_text().split() == STEPS
    assert [(one["name"], one["state"]) for one in ran.answer["steps"]] == [
        (s, "SUCCEEDED") for s in STEPS
    ]
    assert ran.answer["state"] == "proposed"
    assert ran.answer["verdict"]["passed"] is True
