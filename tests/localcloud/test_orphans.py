"""What a local cloud that was killed leaves at work is ended by the next one."""

import signal
import subprocess
from pathlib import Path

from localcloud.client import is_alive
from localcloud.github.job import PID, end_orphan
from tests.eventually import eventually


def test_a_run_s_process_is_killed_and_no_other(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name / "workspace").mkdir(parents=True)
    own, other = (
        subprocess.Popen(["sleep", "60"], cwd=tmp_path / name / "workspace", start_new_session=True)
        for name in ("own", "other")
    )
    (tmp_path / "own" / PID).write_text(str(own.pid))
    (tmp_path / "other" / PID).write_text(str(own.pid))
    end_orphan(tmp_path / "other")
    assert own.poll() is None, "the number is not that run's process"
    end_orphan(tmp_path / "own")
    assert own.wait() == -signal.SIGKILL
    assert other.poll() is None
    other.kill()
    other.wait()
    end_orphan(tmp_path / "own")
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
