"""Steps see their image, and nothing of the developer's machine; what they leave behind goes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from localcloud.client import Client, free_port, is_alive
from localcloud.packages import Base, Environments, PackagesError
from tests.conftest import WORLD
from tests.eventually import eventually
from tests.localcloud.jobs import MEND, Jobs, labels, single, tasks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def jobs(cloud: Client) -> Jobs:
    return Jobs(cloud)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Jobs]:
    """The jobs of a local cloud that may be killed."""
    client = Client(tmp_path / "cloud")
    client.up(WORLD, free_port())
    try:
        yield Jobs(client)
    finally:
        client.down()


def run(jobs: Jobs, image: str, code: str) -> tuple[str, str]:
    """The error of a step that is this program, "" where it succeeded, and its log."""
    job = jobs.run(single(image, ["python", "-c", code]))
    error = tasks(job)["step"].get("error", {}).get("message", "")
    return error, (jobs.folder(job["name"]) / "logs" / "step.log").read_text()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import pandas", "'pandas'"),
        ("import pytest", "'pytest'"),
        ("from google.cloud import aiplatform", "'google-cloud-aiplatform' (google.cloud.aiplatform)"),
        ("import yaml", "'PyYAML' (yaml)"),
    ],
)
def test_a_forgotten_dependency_is_named_with_its_group(jobs: Jobs, code: str, name: str) -> None:
    image = jobs.push({}, labels("numpy", "google-cloud-storage"))
    error, _ = run(jobs, image, code)
    assert error == (
        f"error: {name} is not in this image: its dependency group 'main' does not hold it\n"
        f"  mend: {MEND}"
    )


def test_the_groups_own_packages_and_the_images_own_modules_are_there(jobs: Jobs) -> None:
    image = jobs.push({"app/own/tool.py": "WORD = 'own'"}, labels("numpy", "msgspec"), "PYTHONPATH=/app")
    code = (
        "import numpy, msgspec, own.tool, sys, subprocess, importlib.metadata as m;"
        "print(own.tool.WORD, sorted(d.name for d in m.distributions()), flush=True);"
        "subprocess.run([sys.executable, '-c', 'import numpy, own.tool; import pandas'])"
    )
    error, log = run(jobs, image, code)
    assert (error, log.splitlines()[0]) == ("", "own ['msgspec', 'numpy']")
    assert log.splitlines()[-1] == "ModuleNotFoundError: No module named 'pandas'"


def test_an_import_that_is_wrong_by_itself_gets_no_such_advice(jobs: Jobs) -> None:
    image = jobs.push({"app/own/tool.py": ""}, labels("numpy"), "PYTHONPATH=/app")
    for code in ("import own.tools", "import numpy.absent"):
        error, _ = run(jobs, image, code)
        assert error.startswith("ModuleNotFoundError: No module named")


def test_another_version_than_the_images_is_refused(jobs: Jobs) -> None:
    image = jobs.push({}, {"python.requirements": "numpy==0.1"})
    error, _ = run(jobs, image, "pass")
    assert error.startswith(f"error: the image holds numpy==0.1, this machine has {version('numpy')}")


def test_an_environment_that_was_changed_under_its_links_is_made_again(tmp_path: Path) -> None:
    base, made = Base((f"msgspec=={version('msgspec')}",), "main", ""), Environments(tmp_path, tmp_path)
    python = made.python(base)
    link = next(python.parents[1].glob("lib/python*/site-packages/msgspec-*.dist-info"))
    link.unlink()
    link.symlink_to(tmp_path / "gone")
    assert made.python(base) == python
    assert link.exists()
    with pytest.raises(PackagesError, match="absent==1, this machine has none"):
        made.python(Base(("absent==1",), "main", ""))


def test_packages_of_one_image_alone_lie_beside_those_of_this_python(tmp_path: Path) -> None:
    for number, text in (("1.0", "one"), ("2.0", "two")):
        info = tmp_path / "more" / "tiny" / number / f"tiny-{number}.dist-info"
        info.mkdir(parents=True)
        (info.parent / "tiny.py").write_text(f"WORD = '{text}'\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny\nVersion: {number}\n")
        (info / "RECORD").write_text(f"tiny.py,,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    made = Environments(tmp_path / "made", tmp_path / "more")

    def word(*requirements: str) -> str:
        code = (
            "import msgspec, importlib.util as u; print(u.find_spec('tiny') and __import__('tiny').WORD)"
        )
        python = made.python(Base((f"msgspec=={version('msgspec')}", *requirements), "main", ""))
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert [word("tiny==2.0"), word("tiny==1.0"), word()] == ["two", "one", "None"]
    with pytest.raises(PackagesError, match=r"tiny==3\.0, this machine has 1\.0\n  mend: ./install it"):
        made.python(Base(("tiny==3.0",), "main + tiny", "", "./install it"))


LOOK = "import json, os; print(json.dumps([dict(os.environ), os.getcwd()]))"


def test_a_step_sees_nothing_of_the_developer(jobs: Jobs) -> None:
    image = jobs.push({}, labels("numpy"), "GREETING=hello", "PATH=/nowhere")
    for reference in (image, "python:3.12"):
        _, log = run(jobs, reference, LOOK)
        variables, folder = json.loads(log)
        own = {"GREETING"} if reference == image else set()
        way = set(jobs.cloud.environment().set) - {"GOOGLE_APPLICATION_CREDENTIALS"}
        assert set(variables) - way == own | {"PATH", "LANG", "HOME", "TMPDIR", "LOCALCLOUD_GCS"}
        assert not {"GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "GOOGLE_CLOUD_PROJECT"} & set(variables)
        inside = (variables["HOME"], variables["TMPDIR"], folder)
        assert all(path.startswith(str(jobs.cloud.root)) for path in inside)
        assert str(Path.home()) not in variables["PATH"] or reference != image


LITTER = "import os, tempfile, time; tempfile.mkdtemp(); print(os.getpid(), flush=True); time.sleep(60)"


def started(jobs: Jobs, code: str) -> tuple[str, Path, int]:
    """A job whose one step runs: its name, its folder, the step's process."""
    name = jobs.submit(single("python:3.12", ["python", "-c", code]))
    log = jobs.folder(name) / "logs" / "step.log"
    jobs.until(name, lambda _: log.exists() and log.read_text().endswith("\n"))
    return name, jobs.folder(name), int(log.read_text())


def scratch(folder: Path) -> list[Path]:
    """What lies in a job's folder beside its record."""
    return [path for path in folder.iterdir() if path.name.startswith("step-")]


def test_temporary_files_go_with_the_step(jobs: Jobs) -> None:
    job = jobs.run(single("python:3.12", ["python", "-c", LITTER.replace("60", "0")]))
    assert scratch(jobs.folder(job["name"])) == []


def test_temporary_files_go_when_the_step_is_killed(jobs: Jobs) -> None:
    name, folder, step = started(jobs, LITTER)
    assert scratch(folder)
    os.kill(step, signal.SIGKILL)
    ended(jobs, name)
    assert scratch(folder) == []


def test_temporary_files_and_steps_go_when_the_worker_is_killed(jobs: Jobs) -> None:
    name, folder, step = started(jobs, LITTER)
    os.kill(working_in(folder), signal.SIGKILL)
    assert ended(jobs, name)["state"] == "PIPELINE_STATE_FAILED"
    gone(step)
    assert scratch(folder) == []


def test_a_step_goes_when_the_server_that_forked_it_is_killed(mortal: Jobs) -> None:
    name, folder, step = started(mortal, LITTER)
    os.kill(parent(step), signal.SIGKILL)
    assert ended(mortal, name)["state"] == "PIPELINE_STATE_FAILED"
    gone(step)
    assert scratch(folder) == []
    again = mortal.run(single("python:3.12", ["python", "-c", "pass"]))
    assert again["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_temporary_files_and_steps_go_when_the_local_cloud_is_killed(mortal: Jobs) -> None:
    name, folder, step = started(mortal, LITTER)
    client = mortal.cloud
    server = client._process
    assert server
    server.kill()
    server.wait()
    gone(step)
    client.up(WORLD, free_port())
    assert scratch(folder) == []
    assert Jobs(client).get(name)["state"] == "PIPELINE_STATE_FAILED"


def ended(jobs: Jobs, name: str) -> dict[str, Any]:
    return jobs.until(name, lambda job: job["state"].endswith(("FAILED", "SUCCEEDED", "CANCELLED")))


def working_in(folder: Path) -> int:
    """The process whose working folder is this one: a job's worker."""
    for found in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if found.readlink() == folder:
                return int(found.parent.name)
    raise AssertionError(f"no process works in {folder}")


def parent(process: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def gone(process: int) -> None:
    """Return when there is no such process, or only its body."""
    eventually(lambda: not is_alive(process))


def test_what_was_learned_goes_with_a_copy_of_the_folder(mortal: Jobs, tmp_path: Path) -> None:
    image = mortal.push({}, labels("msgspec"), "GREETING=hello")
    assert run(mortal, image, "import msgspec")[0] == ""
    mortal.cloud.down()
    there = shutil.copytree(mortal.cloud.root, tmp_path / "copy" / "cloud", symlinks=True)
    (there / "port").unlink()
    copy = Client(there)
    copy.up(WORLD, free_port())
    try:
        known = "import sys; print('msgspec' in sys.modules)"
        assert run(Jobs(copy), image, known) == ("", "True\n")
    finally:
        copy.down()
