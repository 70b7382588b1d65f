"""The environment in which clients reach the local cloud."""

import os
import subprocess
from pathlib import Path

from localcloud.environment import environment


def test_what_git_keeps_as_the_user_s_own_is_a_file_of_the_local_cloud(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()  # as the server makes it
    outer = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/elsewhere"}
    found = environment(tmp_path, 1, "someone").over(outer)
    assert Path(found["GIT_CONFIG_GLOBAL"]).parent == tmp_path / "empty"  # root's git replaces a device
    told = [["--global", "user.name", "Ann"], ["user.name"]]
    asked = [subprocess.check_output(["git", "config", *one], cwd=tmp_path, env=found) for one in told]
    assert asked == [b"", b"Ann\n"]
