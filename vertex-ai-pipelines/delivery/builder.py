"""How the part of an image is made that needs a container engine: all below the flows' own layer."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from delivery import context, lock, requirements
from delivery.dockerfile import DOCKERFILE, bases, recipe
from delivery.references import pinned
from flows.errors import InputError, RetrainError

Kind = Literal["docker", "buildah", "files"]
KINDS: tuple[Kind, ...] = ("docker", "buildah", "files")
# The same for equal content, or two commits of it would have two digests; zip knows no earlier day.
EPOCH = 315532800  # 1980-01-01
# What builds, wherever it does: another one makes other bytes of the same Dockerfile.
BUILDKIT = (
    "moby/buildkit:v0.32.2@sha256:28a898719c18a33f4e8000685287fa36fd0dd9560c6440227d3a732d79bb41d8"
)
BUILDER = "retrain-buildkit-v0.32.2"  # buildx's builder of it; who makes it by hand may take a mirror's
TAIL = 20  # lines of an engine's log in an error
CAUSES = {  # what an engine's log says of bad input, and what that means
    "DO NOT MATCH THE HASHES": (
        f"{lock.LOCK}: a package is not the one that was locked: its hash does not fit",
        "find out why before anything else; where the index is right: poetry lock",
    ),
    "changed significantly since poetry.lock was last generated": (
        f"{lock.LOCK} does not fit {lock.PROJECT}",
        "run: poetry lock, and commit both",
    ),
    "No matching distribution found": (
        f"{lock.LOCK}: a locked package has no wheel for the base's Python and linux/amd64",
        "lock a version that has one, or choose a base with another Python",
    ),
}


@dataclass(frozen=True)
class Builder:
    """An engine; "files" is none: its images have neither base nor packages.

    `base` stands in for the Dockerfile's own; `cache` is where buildx keeps its cache, as an image name.
    `is_shared`: what is below the flows may come from the registry, whoever has put it there.
    """

    kind: Kind = "files"
    base: str = ""
    cache: str = ""
    is_shared: bool = True

    def __post_init__(self) -> None:
        if self.base:
            pinned(self.base, "--base")

    @property
    def is_whole(self) -> bool:
        """Whether its images run by themselves."""
        return self.kind != "files"


def found(kind: Kind) -> bool:
    """Whether this machine has the engine, and it answers."""
    probes = {
        "docker": [["docker", "buildx", "version"], ["docker", "info"]],
        "buildah": [["buildah", "--version"]],
        "files": [],
    }
    return all(_answers(command) for command in probes[kind])


def needed(kind: Kind) -> None:
    """Raises InputError where this machine lacks the engine."""
    if not found(kind):
        engine = {"docker": "Docker with buildx, and its daemon running,"}.get(kind, kind)
        raise InputError(f"builder '{kind}': {engine} is not on this machine", "install it")


def check(root: Path, builder: Builder) -> None:
    """What is wrong with the input, before any build. Raises InputError that names it."""
    lock.check(root)
    context.refuse_secrets(root)
    for base in bases(root):
        pinned(base, f"{DOCKERFILE}: FROM")
    plan, mend = recipe(root), "put it into a stage of its own, and start the last one FROM that"
    if plan.more:
        what = f"{DOCKERFILE}: its last stage does more than to copy the flows: '{plan.more[0]}'"
        raise InputError(what, mend)
    if builder.is_whole and not plan.below:
        raise InputError(f"{DOCKERFILE}: its last stage stands on an image, not on a stage", mend)


def build(root: Path, group: str, builder: Builder, folder: Path) -> None:
    """The image below the flows' layer, as an OCI layout in `folder`; equal content, equal bytes.

    Raises InputError for a lock or a hash that does not fit, RetrainError with the log's last lines.
    """
    with tempfile.TemporaryDirectory() as place:
        context.write(root, Path(place), builder.base)
        arguments = [
            "--target",
            recipe(root).below,
            "--platform",
            "linux/amd64",
            "--build-arg",
            f"DEPENDENCY_GROUPS={','.join(lock.for_poetry(root, group))}",
            "--build-arg",
            f"REQUIREMENTS={group if group in requirements.groups(root) else ''}",
        ]
        if builder.kind == "docker":
            _docker([*arguments, place], folder, builder.cache)
        else:
            _buildah([*arguments, place], folder)


def _docker(arguments: list[str], folder: Path, place: str) -> None:
    output = f"type=oci,tar=false,dest={folder},rewrite-timestamp=true"
    named = ["--builder", name] if (name := _docker_builder()) else []
    cache = f"type=registry,ref={place}"
    cached = (
        ["--cache-from", cache, "--cache-to", f"{cache},mode=max,ignore-error=true"] if place else []
    )
    fixed = ["--provenance=false", "--sbom=false", "--progress=plain", "--output", output]
    command = ["docker", "buildx", "build", *named, *fixed, *cached, *arguments]
    with _logged_in(place.partition("/")[0]) as variables:
        _run(command, {**variables, "SOURCE_DATE_EPOCH": str(EPOCH)})


def _buildah(arguments: list[str], folder: Path) -> None:
    """Layers are kept, so that the next build takes those that have not changed."""
    with tempfile.TemporaryDirectory() as named:
        file = Path(named) / "image"
        fixed = ["--layers", "--force-rm", "--isolation", "chroot"]
        fixed += ["--timestamp", str(EPOCH), "--iidfile", str(file)]
        _run(["buildah", "bud", *fixed, *arguments])
        _run(["buildah", "push", "--format", "oci", file.read_text().strip(), f"oci:{folder}:image"])


def _docker_builder() -> str:
    """The buildx builder to name: none where the present one runs our BuildKit, else ours."""
    if BUILDKIT in _said(["docker", "buildx", "inspect"]):
        return ""
    if not _answers(["docker", "buildx", "inspect", BUILDER]):
        made = ["--driver", "docker-container", "--driver-opt", f"image={BUILDKIT}"]
        _run(["docker", "buildx", "create", "--name", BUILDER, *made])
    return BUILDER


@contextmanager
def _logged_in(host: str) -> Iterator[dict[str, str]]:
    """Variables by which Docker knows the registry as the caller's Google identity does; for that long.

    All else of the user's Docker configuration holds: contexts, builders, other registries.
    """
    if not host:
        yield {}
        return
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in own.glob("*"):
            if path.name != "config.json":
                (folder / path.name).symlink_to(path)
        builders = Path(os.environ.get("BUILDX_CONFIG") or own / "buildx")
        builders.mkdir(parents=True, exist_ok=True)
        file = folder / "config.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(with_login(own / "config.json", host, _token())))
        yield {"DOCKER_CONFIG": name, "BUILDX_CONFIG": str(builders)}


def with_login(file: Path, host: str, token: str) -> dict[str, object]:
    """Docker's configuration in `file`, with a Google access token for `host`."""
    config = json.loads(file.read_text()) if file.exists() else {}
    login = {"auth": base64.b64encode(f"oauth2accesstoken:{token}".encode()).decode()}
    # An empty helper: this file's login counts, whatever helper or store all other hosts have.
    helpers = {**config.get("credHelpers", {}), host: ""}
    return {**config, "auths": {**config.get("auths", {}), host: login}, "credHelpers": helpers}


def _token() -> str:
    import google.auth
    from google.auth.transport.requests import Request

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())
    return str(credentials.token)


def _run(command: list[str], variables: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run an engine. Raises what its log says of bad input, or its last lines."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        done = subprocess.run(
            command, stdout=log, stderr=log, env={**os.environ, **variables}, check=False
        )
        log.seek(0)
        said = log.read()
    if done.returncode == 0:
        return
    tail = "\n".join(f"  {line}" for line in said.splitlines()[-TAIL:])
    for sign, (what, mend) in CAUSES.items():
        if sign in said:
            raise InputError(f"{what}\n{tail}", mend)
    what = f"{' '.join(command[:2])} ended with {done.returncode}\n{tail}"
    raise RetrainError(what, "mend what it says, then call it again: what was built is kept")


def _answers(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
