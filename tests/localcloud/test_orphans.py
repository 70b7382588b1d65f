"""What a local cloud that was killed leaves at work is ended by the next one."""

import signal
import subprocess
from pathlib import Path

import pytest

from localcloud import client
from localcloud.client import Client, ClientError, free_port, is_alive
from localcloud.github.job import end_orphan
from localcloud.serving_servers import end_orphans as end_servers
from tests.conftest import WORLD
from tests.eventually import eventually


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], env=environment, start_new_session=True)


def test_a_run_s_processes_are_killed_and_no_others(tmp_path: Path) -> None:
    run, home = tmp_path / "1", str(tmp_path)
    own = [sleeper(HOME=f"{run}/home"), sleeper(HOME=home, XDG_CACHE_HOME=f"{run}/act")]
    # Of a run whose folder's name begins like it, and of a person who looks into the folder.
    others = [sleeper(HOME=f"{run}2/home"), sleeper(HOME=home, PWD=f"{run}/jobs", LOG=f"{run}/log.txt")]
    end_orphan(run)
    assert [one.wait() for one in own] == [-signal.SIGKILL] * 2
    assert [one.poll() for one in others] == [None, None]
    for one in others:
        one.kill()
        one.wait()
    end_orphan(run)
    end_orphan(tmp_path / "never")


def test_a_server_s_processes_are_killed_and_no_others(tmp_path: Path) -> None:
    home = tmp_path / "endpoints" / "e" / "server-1"
    home.mkdir(parents=True)
    own = sleeper(HOME=str(home), AIP_HTTP_PORT="20000")
    others = [sleeper(HOME=f"{tmp_path}/endpoint", AIP_HTTP_PORT="20000"), sleeper(HOME=str(home))]
    end_servers(tmp_path / "endpoints")
    assert own.wait() == -signal.SIGKILL
    assert [one.poll() for one in others] == [None, None]
    assert not home.exists()
    for one in others:
        one.kill()
        one.wait()


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


def test_one_that_is_given_up_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "START_SECONDS", 0)
    own = Client(tmp_path / "cloud")
    with pytest.raises(ClientError, match="did not start"):
        own.up(WORLD, free_port())
    assert own._process
    assert own._process.returncode == -signal.SIGKILL
