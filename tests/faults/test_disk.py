"""A disk that is full, and one that cannot be written: real small file systems, mounted for one test."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clone import Clone, clone
from tests.faults.worlds import FLOW, only

pytestmark = pytest.mark.slow
STORY = """
verb() { # its name, then the verb: what it prints and how it ends
  local name=$1
  shift
  "./scripts/$@" >"$told/$name.out" 2>"$told/$name.err"
  echo $? >"$told/$name.code"
}
set -u
told=$1
shift # what is left is how to be root, where the story is not
mkdir -p .local
"$@" mount -t tmpfs -o size=512m,uid=$UID tmpfs .local || exit 97
"$@" mount -o remount,ro .local || exit 98
verb readonly run $flow
"$@" mount -o remount,rw .local || exit 98
verb up localcloud up
head -c 1G /dev/zero >.local/filler 2>/dev/null
verb full run $flow
rm .local/filler
verb after run $flow --json
verb down localcloud down
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What each verb of the story printed, in files."""
    folder = tmp_path_factory.mktemp("disk")
    with clone(folder) as made:
        only(made)
        _tell(made, folder)
        yield folder


def _tell(made: Clone, folder: Path) -> None:
    story = STORY.replace("$flow", FLOW)
    start, root = own_mounts(made.base)
    done = subprocess.run(
        [*start, "bash", "-c", story, "bash", str(folder), *root],
        cwd=made.folder,
        env=made.base,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    means = "this machine gives no mounts of one's own (unshare), neither by right nor by sudo"
    assert (folder / "down.code").exists(), f"{means}; {done}"


def own_mounts(env: dict[str, str]) -> tuple[list[str], list[str]]:
    """What starts a program of this user with mounts of its own, and what that puts before `mount`.

    Root may; others by sudo, as on GitHub's runners, or as root of a name space, where that is allowed.
    """
    if os.geteuid() == 0:
        return ["unshare", "--mount"], []
    sudo = ["sudo", "-n"]
    if (
        not shutil.which("sudo")
        or subprocess.run([*sudo, "true"], capture_output=True, check=False).returncode
    ):
        return ["unshare", "--map-root-user", "--mount"], []
    user = ["setpriv", f"--reuid={os.getuid()}", f"--regid={os.getgid()}", "--init-groups"]
    variables = [f"{name}={value}" for name, value in env.items()]
    return [*sudo, "unshare", "--mount", *user, "env", "-i", *variables], sudo


@pytest.mark.parametrize(
    ("verb", "says"), [("readonly", "Read-only file system"), ("full", "full|No space left on device")]
)
def test_a_disk_that_takes_nothing_ends_the_run_with_a_clear_error(
    told: Path, verb: str, says: str
) -> None:
    err = (told / f"{verb}.err").read_text()
    assert (told / f"{verb}.code").read_text().strip() == "1", err
    assert re.search(says, err), err
    assert ".local" in err
    assert "mend: " in err
    assert "Traceback" not in err


def test_the_next_run_goes_on_where_nothing_was_lost(told: Path) -> None:
    assert (told / "up.code").read_text().strip() == "0", (told / "up.err").read_text()
    after = (told / "after.err").read_text()
    assert (told / "after.code").read_text().strip() == "0", after
    assert "sample data" not in after, "what the local cloud held is held"
    assert "pull request #1, open" in after
