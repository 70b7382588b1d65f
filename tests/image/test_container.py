"""The image as a container: its structure, what it can import, and a run whose steps are in it."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.manifests import described
from flows import config
from localcloud.client import Client
from tests.clone import ROOT, Clone, Ended
from tests.faults.worlds import template
from tests.flows import serving
from tests.flows.serving import Server
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
    """Also what they import inside of functions; of the flows, those whose steps run in this image."""
    others = {PACKAGE / "flows" / name for name in config.names() if config.load(name).image != "base"}
    lines = {
        line.strip()
        for path in (PACKAGE / "flows").rglob("*.py")
        if path.name != "sample.py" and path.parent not in others
        for line in path.read_text().splitlines()
        if re.match(r"\s*(import|from) [\w.]+", line) and "(" not in line
    }
    ran = container.run("python", "-W", "error::ImportWarning", "-c", "\n".join(sorted(lines)))
    assert ran.code == 0, ran


@pytest.fixture(scope="module")
def inside(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A newcomer whose steps start the container's Python."""
    made = template().copy(tmp_path_factory.mktemp("inside") / "world")
    try:
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
    finally:
        made.remove()


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


BUNDLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def variables(cloud: Client, root: Path, released: serving.Released) -> dict[str, str]:
    """The server's environment; the files that it names are there for any user to read."""
    outer = cloud.environment().set
    readable = {"ca.pem": outer["SSL_CERT_FILE"], "who.json": outer["GOOGLE_APPLICATION_CREDENTIALS"]}
    for name, path in readable.items():
        (root / name).write_bytes(Path(path).read_bytes())
        (root / name).chmod(0o644)
    given = {name: value for name, value in outer.items() if name.lower().endswith("_proxy")}
    given |= dict.fromkeys(BUNDLES, str(root / "ca.pem"))
    given |= {"GOOGLE_APPLICATION_CREDENTIALS": str(root / "who.json"), "AIP_HTTP_PORT": "0"}
    return given | {"AIP_STORAGE_URI": released.uri, "MANIFEST_SHA256": released.sha256}


class Contained(Server):
    """A server whose process is a container's."""

    def __init__(self, container: Container, root: Path, given: dict[str, str]) -> None:
        self._log = root / "log"
        files = tuple(str(root / name) for name in ("ca.pem", "who.json"))
        own = [f"{name}={value}" for name, value in given.items()]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                container.command("env", *own, "python", "-m", "flows", "serve", mounts=files),
                env={"PATH": os.environ["PATH"], "HOME": "/root", **container.engine.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def inside(self) -> int:
        """The server's own process, below those that made the container: any thread of theirs did."""
        process = self.process.pid
        while children := self._children(process):
            process = int(children[0])
        return process

    @staticmethod
    def _children(process: int) -> list[str]:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        return [child for task in tasks for child in task.read_text().split()]


def test_it_serves_as_the_image_s_user_until_sigterm(
    container: Container, cloud: Client, program: Any, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    algorithm, form = serving.linnerud(tmp_path / "files")
    found = described("linnerud", algorithm, form, tmp_path / "files")
    released = serving.release(program, tmp_path / "files", found, "image")
    server = Contained(container, tmp_path, variables(cloud, tmp_path, released))
    try:
        answer = server.ready().predict([[86.6, 91.4, 50]])
        assert (answer.status, len(answer.body["predictions"][0])) == (200, 3)
        status = Path(f"/proc/{server.inside}/status").read_text()
        assert "\nUid:\t10001\t10001\t10001\t10001\n" in status
        os.kill(server.inside, signal.SIGTERM)
        assert server.ended() == 0
        assert server.log[-1] == "stopped: 1 requests answered · 0 refused · 0 failed"
    finally:
        server.process.kill()
        server.process.wait()
