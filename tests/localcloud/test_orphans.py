"""What a local cloud that was killed leaves at work is ended by the next one."""

import signal
import subprocess
from pathlib import Path

from localcloud.client import is_alive
from localcloud.github.job import end_orphan
from tests.eventually import eventually


def test_a_run_s_processes_are_killed_and_no_others(tmp_path: Path) -> None:
    # A process of its own session in the run's folder, and one whose folder's name begins like it.
    own, other = (
        subprocess.Popen(
            ["sleep", "60"], env={"HOME": str(tmp_path / name / "home")}, start_new_session=True
        )
        for name in ("1", "12")
    )
    end_orphan(tmp_path / "1")
    assert own.wait() == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()
    end_orphan(tmp_path / "1")
    end_orphan(tmp_path / "never")


def test_a_killed_process_that_nobody_waited_for_is_not_alive() -> None:
    # A process of a parent that does not wait: the shell becomes `sleep` itself.
    parent = subprocess.Popen(["sh", "-c", "sleep 0 & echo $!; exec sleep 60"], stdout=subprocess.PIPE)
    assert parent.stdout
    child = int(parent.stdout.readline())
    eventually(lambda: not is_alive(child))
    assert Path(f"/proc/{child}/stat").exists(), "it is a zombie"
    assert is_alive(parent.pid)
    parent.kill()
    parent.communicate()
