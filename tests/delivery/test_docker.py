"""What Docker is called with: every word, and the configuration that it finds."""

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery import builder
from delivery.builder import BUILDER, BUILDKIT, Builder
from delivery.settings import ROOT

HOST = "europe-west1-docker.pkg.dev"
CACHE = f"{HOST}/acme-ml/retrain/cache:base"
OWN = {"auths": {"a": {}}, "credHelpers": {"b": "x"}, "credsStore": "desktop", "currentContext": "z"}
# Writes down what it is called with, and answers as Docker with buildx does.
PROGRAM = """#!{python}
import json, os, pathlib, sys
place = pathlib.Path({place!r})
called, given = sys.argv[1:], {{name: os.environ.get(name) for name in {variables!r}}}
seen = {{"called": called, **given}}
if given["DOCKER_CONFIG"] and called[:2] == ["buildx", "build"]:
    config = pathlib.Path(given["DOCKER_CONFIG"])
    seen["mode"] = (config / "config.json").stat().st_mode & 0o777
    seen["config"] = json.loads((config / "config.json").read_text())
    seen["contexts"] = (config / "contexts" / "mine").read_text()
if called[:2] == ["buildx", "build"]:
    seen["files"] = sorted(path.name for path in pathlib.Path(called[-1]).iterdir())
with (place / "calls").open("a") as file:
    file.write(json.dumps(seen) + "\\n")
if called[:2] == ["buildx", "create"]:
    (place / "made").touch()
if called == ["buildx", "inspect"]:
    print((place / "present").read_text())
elif called[:2] == ["buildx", "inspect"]:
    sys.exit(0 if (place / "made").exists() else "no builder of that name")
"""
VARIABLES = ("SOURCE_DATE_EPOCH", "DOCKER_CONFIG", "BUILDX_CONFIG")


class Docker:
    """A Docker that builds nothing and remembers its calls."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.program = place / "bin" / "docker"
        self.program.parent.mkdir()
        self.program.write_text(
            PROGRAM.format(python=sys.executable, place=str(place), variables=VARIABLES)
        )
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)
        self.present('Driver:         docker-container\nDriver Options: image="moby/buildkit:x"')

    def present(self, text: str) -> None:
        """What `buildx inspect` says of the builder that the user has chosen."""
        (self.place / "present").write_text(text)

    def calls(self) -> list[dict[str, Any]]:
        """What it was called with so far."""
        return [json.loads(line) for line in (self.place / "calls").read_text().splitlines()]


class Credentials:
    """Google's of the caller."""

    token = ""

    def refresh(self, _: object) -> None:
        """Fetch the token."""
        self.token = "token"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    made = Docker(tmp_path)
    own = tmp_path / "own"
    (own / "contexts").mkdir(parents=True)
    (own / "contexts" / "mine").write_text("a context")
    (own / "config.json").write_text(json.dumps(OWN))
    monkeypatch.setenv("PATH", str(made.program.parent))
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    monkeypatch.delenv("BUILDX_CONFIG", raising=False)
    monkeypatch.setattr("google.auth.default", lambda *_, **__: (Credentials(), ""))
    return made


def built(folder: Path, cache: str = "", base: str = "") -> None:
    builder.build(ROOT, "torch", Builder("docker", base, cache), folder)


def test_every_word_of_a_build(docker: Docker, tmp_path: Path) -> None:
    built(tmp_path / "made", CACHE)
    *before, build = docker.calls()
    create = ["buildx", "create", "--name", BUILDER]
    pinned = ["--driver", "docker-container", "--driver-opt", f"image={BUILDKIT}"]
    assert [one["called"] for one in before] == [
        ["buildx", "inspect"],
        ["buildx", "inspect", BUILDER],
        [*create, *pinned],
    ]
    output = f"type=oci,tar=false,dest={tmp_path / 'made'},rewrite-timestamp=true"
    *called, place = build["called"]
    assert called == [
        *("buildx", "build", "--builder", BUILDER),
        *("--provenance=false", "--sbom=false", "--progress=plain", "--output", output),
        *("--cache-from", f"type=registry,ref={CACHE}"),
        *("--cache-to", f"type=registry,ref={CACHE},mode=max,ignore-error=true"),
        *("--target", "runtime", "--platform", "linux/amd64"),
        *("--build-arg", "DEPENDENCY_GROUPS=main", "--build-arg", "REQUIREMENTS=torch"),
    ]
    assert build["SOURCE_DATE_EPOCH"] == str(builder.EPOCH)
    assert build["files"] == ["Dockerfile", "poetry.lock", "pyproject.toml", "vertex-ai-pipelines"]
    assert not Path(place).exists()


def test_a_builder_is_made_once(docker: Docker, tmp_path: Path) -> None:
    for _ in range(2):
        built(tmp_path / "made")
    assert [one["called"][1] for one in docker.calls()].count("create") == 1


def test_the_user_s_builder_is_taken_where_it_runs_the_same(docker: Docker, tmp_path: Path) -> None:
    docker.present(f'Driver: docker-container\nDriver Options: image="{BUILDKIT}"')
    built(tmp_path / "made")
    [_, build] = docker.calls()
    assert "--builder" not in build["called"]


def test_docker_s_configuration_is_the_user_s_and_the_registry_s_login(
    docker: Docker, tmp_path: Path
) -> None:
    """Also where the user's keeps its logins in a store of the system's."""
    built(tmp_path / "made", CACHE)
    build = docker.calls()[-1]
    login = {"auth": "b2F1dGgyYWNjZXNzdG9rZW46dG9rZW4="}
    assert build["config"] == {
        **OWN,
        "auths": {"a": {}, HOST: login},
        "credHelpers": {"b": "x", HOST: ""},
    }
    assert (build["mode"], build["contexts"]) == (0o600, "a context")
    assert build["BUILDX_CONFIG"] == str(tmp_path / "own" / "buildx")
    assert build["DOCKER_CONFIG"] != str(tmp_path / "own")
    assert not Path(build["DOCKER_CONFIG"]).exists()
    assert json.loads((tmp_path / "own" / "config.json").read_text()) == OWN


def test_the_user_s_place_of_builders_is_kept(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "builders"))
    built(tmp_path / "made", CACHE)
    assert {one["BUILDX_CONFIG"] for one in docker.calls()} == {str(tmp_path / "builders")}


def test_without_a_cache_nobody_logs_in(
    docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth.default", lambda *_, **__: pytest.fail("it asks who calls"))
    built(tmp_path / "made")
    build = docker.calls()[-1]
    assert not [word for word in build["called"] if word.startswith("--cache")]
    assert build["DOCKER_CONFIG"] == str(tmp_path / "own")


def test_docker_is_there_where_it_and_buildx_answer(docker: Docker) -> None:
    assert builder.found("docker")
    assert [one["called"] for one in docker.calls()] == [["buildx", "version"], ["info"]]
    docker.program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit(sys.argv[1] == 'info')\n")
    assert not builder.found("docker")
