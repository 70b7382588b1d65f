"""A local cloud of older code makes room for newer code, and loses nothing."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.client import Client, free_port
from tests.clone import ROOT
from tests.conftest import WORLD
from tests.localcloud.jobs import Jobs, labels, single

pytestmark = pytest.mark.slow
START = "import sys; from localcloud.client import Client; from tests.conftest import WORLD"


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Client]:
    """A running local cloud whose code differs from today's by a comment."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "localcloud", source / "localcloud")
    with (source / "localcloud" / "names.py").open("a") as file:
        file.write("# As it was before.\n")
    client, port = Client(tmp_path / "cloud"), free_port()
    start = f"{START}\nfrom pathlib import Path\nClient(Path({str(client.root)!r})).up(WORLD, {port})"
    path = f"{source}:{ROOT}:{ROOT}/vertex-ai-pipelines:{ROOT}/scripts"
    subprocess.run([sys.executable, "-P", "-c", start], env={"PYTHONPATH": path}, check=True)
    yield client
    client.down()


def test_newer_code_takes_over_with_what_it_held(older: Client) -> None:
    before = older.status()
    token = older.environment().set["GITHUB_TOKEN"]
    after = older.up(WORLD, None)
    assert before
    assert after["pid"] != before["pid"]
    assert after["port"] == before["port"]
    assert older.environment().set["GITHUB_TOKEN"] == token
    assert older.up(WORLD, None)["pid"] == after["pid"]


def test_one_that_works_is_let_finish(older: Client) -> None:
    jobs, before = Jobs(older), older.status()
    image = jobs.push({"app/none.txt": ""}, labels())
    name = jobs.submit(single(image, ["python", "-c", "import time; time.sleep(600)"]))
    assert before
    assert older.up(WORLD, None)["pid"] == before["pid"]
    assert jobs.get(name)["state"] == "PIPELINE_STATE_RUNNING"
