"""`run` where users really are: odd folders, no .git, their own proxies, keys and settings."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud.client import Client
from tests.clone import LIMIT, ROOT, tracked

FLOW = "linnerud"
NOWHERE = "http://127.0.0.1:9"
MISSING = "/nonexistent"
# What would lead a client past the local cloud, or break it.
HOSTILE = {
    **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY", "grpc_proxy"), NOWHERE),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), "*"),
    **dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"), MISSING),
    **dict.fromkeys(("GIT_SSL_CAINFO", "GIT_DIR", "GIT_INDEX_FILE", "BASH_ENV"), MISSING),
    **dict.fromkeys(("PYTHONPATH", "PYTHONSTARTUP", "GOOGLE_APPLICATION_CREDENTIALS"), MISSING),
    "AWS_PROFILE": "gone",
    "AWS_ENDPOINT_URL": NOWHERE,
    "STORAGE_EMULATOR_HOST": NOWHERE,
    "CLOUDSDK_CORE_PROJECT": "another",
    "GITHUB_TOKEN": "another",
    "CDPATH": "/",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
}
HOME = {
    ".gitconfig": f"""[url "https://github.invalid/"]
  insteadOf = https://github.com/
[http]
  proxy = {NOWHERE}
[core]
  hooksPath = {MISSING}
  autocrlf = true
[commit]
  gpgSign = true
""",
    ".netrc": "machine github.com login another password another\n",
    ".aws/config": f"[default]\nendpoint_url = {NOWHERE}\nregion = nowhere\n",
    ".aws/credentials": "[default]\nregion = nowhere\n",
    ".config/pip/pip.conf": f"[global]\nindex-url = {NOWHERE}\n",
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The files of a downloaded archive, in a folder with spaces and letters of other alphabets."""
    folder = tmp_path_factory.mktemp("environments") / "Größe 大 and more" / "retrain main"
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for name, text in HOME.items():
        path = folder.parent / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield folder
    Client(folder / ".local" / "cloud").down()
    shutil.rmtree(folder.parent)


def start(archive: Path, variables: dict[str, str]) -> "subprocess.Popen[str]":
    """`./scripts/run` with these variables alone."""
    base = {"PATH": os.environ["PATH"], "HOME": str(archive.parent / "home")}
    return subprocess.Popen(
        ["./scripts/run", FLOW, "--json"],
        cwd=archive,
        env=base | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a run that ended well says."""
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return dict(json.loads(out.splitlines()[-1]))


@pytest.fixture(scope="module")
def hostile(archive: Path) -> dict[str, Any]:
    """A run among somebody's own settings."""
    return answer(start(archive, HOSTILE))


@pytest.mark.slow
def test_nothing_of_the_users_settings_breaks_a_run(hostile: dict[str, Any]) -> None:
    assert (hostile["state"], hostile["pull_request"]["number"]) == ("proposed", 1)


@pytest.mark.slow
def test_no_call_was_let_out(archive: Path, hostile: dict[str, Any]) -> None:
    status = Client(archive / ".local" / "cloud").status()
    assert hostile["pull_request"]
    assert status is not None
    assert status["refused"] == []


@pytest.mark.slow
def test_two_runs_at_once_make_two_versions_and_one_pull_request(
    archive: Path, hostile: dict[str, Any]
) -> None:
    found = [answer(process) for process in [start(archive, {}), start(archive, {})]]
    versions = {one["model"]["version"] for one in (*found, hostile)}
    assert len(versions) == 3
    assert {one["pull_request"]["number"] for one in found} == {hostile["pull_request"]["number"]}
    newest = max(found, key=lambda one: str(one["model"]["version"]))
    assert newest["state"] == "proposed"
    assert {one["state"] for one in found} <= {"proposed", "superseded"}
