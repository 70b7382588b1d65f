"""The Dockerfile's last stage, as far as an image without a container engine needs it."""

import io
import json
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flows.errors import InputError

DOCKERFILE = "Dockerfile"
# RUN makes no file of ours; the others say nothing of what the image holds.
PASSED_OVER = {"RUN", "LABEL", "ARG", "EXPOSE", "COMMENT"}
READ = {"COPY", "WORKDIR", "ENV", "USER", "CMD"}
Stage = list[tuple[str, str]]


@dataclass(frozen=True)
class Copy:
    """One COPY from the tree; `into`: a file keeps its name below `target`, a folder always does so."""

    source: str
    target: str
    into: bool

    def place(self, path: Path) -> str | None:
        """Where `path`, relative to the tree, is in the image; None where this does not copy it."""
        if not path.is_relative_to(self.source):
            return None
        if path == Path(self.source):
            return str(PurePosixPath(self.target) / path.name) if self.into else self.target
        return str(PurePosixPath(self.target) / path.relative_to(self.source))

    def __str__(self) -> str:
        return f"COPY {self.source} {self.target}"


@dataclass(frozen=True)
class Recipe:
    """The last stage: what it copies from the tree, and its settings."""

    copies: tuple[Copy, ...]
    workdir: str
    variables: tuple[str, ...]
    user: str
    command: tuple[str, ...]


def recipe(root: Path) -> Recipe:
    """The Dockerfile's last stage. Raises InputError where it has an instruction of no known form."""
    stage = _last_stage(root)
    return Recipe(
        copies=_copies(stage),
        workdir=str(_workdir(stage)),
        variables=tuple(pair for name, value in stage if name == "ENV" for pair in _pairs(value)),
        user=_last(stage, "USER"),
        command=_command(_last(stage, "CMD")),
    )


def _last_stage(root: Path) -> Stage:
    from dockerfile_parse import DockerfileParser

    parsed = DockerfileParser(fileobj=io.BytesIO((root / DOCKERFILE).read_bytes())).structure
    steps = [(step["instruction"], step["value"]) for step in parsed]
    starts = [index for index, (name, _) in enumerate(steps) if name == "FROM"]
    if not starts:
        raise InputError(f"{DOCKERFILE}: it has no FROM instruction")
    stage = [(name, value) for name, value in steps[starts[-1] + 1 :] if name not in PASSED_OVER]
    for name, value in stage:
        if name not in READ:
            known = ", ".join(sorted(READ | PASSED_OVER - {"COMMENT"}))
            raise InputError(f"{DOCKERFILE}: '{name} {value}' is not known here", f"use only {known}")
    return stage


def _copies(stage: Stage) -> tuple[Copy, ...]:
    """Every COPY from the tree; those from other stages bring packages, which are not in this image."""
    return tuple(
        _copy(value, _workdir(stage[:index]))
        for index, (name, value) in enumerate(stage)
        if name == "COPY" and not value.startswith("--from=")
    )


def _copy(value: str, workdir: PurePosixPath) -> Copy:
    parts = value.split()
    if len(parts) != 2 or value.startswith(("[", "--")):
        raise InputError(f"{DOCKERFILE}: 'COPY {value}' is not of the form COPY SOURCE TARGET")
    source, target = parts
    into = target.endswith(("/", "/.")) or target == "."
    return Copy(str(PurePosixPath(source.lstrip("/"))), str(workdir / target), into)


def _workdir(stage: Stage) -> PurePosixPath:
    return PurePosixPath("/").joinpath(*(value for name, value in stage if name == "WORKDIR"))


def _pairs(value: str) -> list[str]:
    pairs = shlex.split(value)
    if not all("=" in pair for pair in pairs):
        raise InputError(f"{DOCKERFILE}: 'ENV {value}' is not of the form ENV NAME=VALUE")
    return pairs


def _last(stage: Stage, name: str) -> str:
    found = [value for known, value in stage if known == name]
    if not found:
        raise InputError(f"{DOCKERFILE}: its last stage has no {name}", f"add a line {name} …")
    return found[-1]


def _command(value: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads(value))
    except ValueError:
        raise InputError(
            f"{DOCKERFILE}: 'CMD {value}' is a shell's line", 'write it as CMD ["program", "argument"]'
        ) from None
