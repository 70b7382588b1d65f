"""The Dockerfile, as far as is needed to know what it copies and to put the last layer on ourselves."""

import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flows.errors import InputError

DOCKERFILE = "Dockerfile"
READ = {"COPY", "WORKDIR", "ENV", "USER", "CMD"}
# RUN makes no file of ours; the others say nothing of what the image holds.
PASSED_OVER = {"RUN", "LABEL", "ARG", "EXPOSE", "SHELL", "COMMENT", "FROM"}
FROM = re.compile(r"(?:--\S+\s+)*(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?", re.I)
Steps = list[tuple[str, str]]


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
class Stage:
    """What stands between one FROM and the next; `steps` are its instructions in order."""

    base: str
    name: str
    steps: Steps


@dataclass(frozen=True)
class Recipe:
    """The image: what its last stage copies from the tree, and its settings.

    `below` is the stage that the last one only adds files to, "" where it does more or stands on no
    stage; `more` is what it does more; `earlier` is what the other stages copy from the tree.
    """

    copies: tuple[Copy, ...]
    earlier: tuple[Copy, ...]
    below: str
    more: tuple[str, ...]
    workdir: str
    variables: tuple[str, ...]
    user: str
    command: tuple[str, ...]


def recipe(root: Path) -> Recipe:
    """What the Dockerfile makes. Raises InputError where it has an instruction of no known form."""
    stages = read(root)
    last, line = stages[-1], _ancestry(stages)
    steps = [step for stage in line for step in stage.steps]
    more = tuple(_more(last))
    return Recipe(
        copies=_copies(last.steps, steps[: len(steps) - len(last.steps)]),
        earlier=tuple(copy for stage in stages[:-1] for copy in _copies(stage.steps, [])),
        below=last.base if len(line) > 1 and not more else "",
        more=more,
        workdir=str(_workdir(steps)),
        variables=tuple(pair for name, value in steps if name == "ENV" for pair in _pairs(value)),
        user=_last(steps, "USER"),
        command=_command(_last(steps, "CMD")),
    )


def read(root: Path) -> list[Stage]:
    """All stages, in order. Raises InputError where one has an instruction of no known form."""
    stages: list[Stage] = []
    for name, value in _parsed(root):
        if name == "FROM":
            found = FROM.fullmatch(value)
            if not found:
                raise InputError(f"{DOCKERFILE}: 'FROM {value}' is not of the form FROM BASE AS NAME")
            stages.append(Stage(found["base"], (found["name"] or "").lower(), []))
        elif name not in READ | PASSED_OVER:
            known = ", ".join(sorted(READ | PASSED_OVER - {"COMMENT"}))
            raise InputError(f"{DOCKERFILE}: '{name} {value}' is not known here", f"use only {known}")
        elif stages:
            stages[-1].steps.append((name, value))
    if not stages:
        raise InputError(f"{DOCKERFILE}: it has no FROM instruction")
    return stages


def bases(root: Path) -> list[str]:
    """The images that the Dockerfile builds on or copies from: references, not its own stages."""
    stages = read(root)
    own = {stage.name for stage in stages} | {"scratch"}
    found = {stage.base for stage in stages}
    found |= {name for stage in stages for step in stage.steps for name in _sources(*step)}
    return sorted(base for base in found if base.lower() not in own and not base.isdigit())


def on(root: Path, base: str) -> str:
    """The Dockerfile's text with `base` in place of the image that its first stage stands on."""
    text, own = (root / DOCKERFILE).read_text(), re.escape(read(root)[0].base)
    return re.sub(rf"^(\s*FROM\s.*?){own}(?!\S)", lambda line: line[1] + base, text, flags=re.M | re.I)


def _sources(instruction: str, value: str) -> list[str]:
    """The images or stages that an instruction's flags name: --from=IMAGE, --mount=…,from=IMAGE."""
    flags = re.match(r"(?:--\S+\s+)*", value) if instruction in ("COPY", "RUN") else None
    return re.findall(r"\bfrom=([^,\s]+)", flags[0]) if flags else []


def _parsed(root: Path) -> Iterator[tuple[str, str]]:
    from dockerfile_parse import DockerfileParser

    try:
        text = (root / DOCKERFILE).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{DOCKERFILE}: there is no such file in {root}") from None
    for step in DockerfileParser(fileobj=io.BytesIO(text)).structure:
        yield step["instruction"], step["value"]


def _ancestry(stages: list[Stage]) -> list[Stage]:
    """The last stage and those of the Dockerfile that it stands on, lowest first."""
    line = [stages[-1]]
    for stage in reversed(stages[:-1]):
        if stage.name and stage.name == line[0].base.lower():
            line.insert(0, stage)
    return line


def _more(stage: Stage) -> list[str]:
    """What the stage does that is neither a copy from the tree nor a setting that is read here."""
    return [
        f"{name} {value}"
        for name, value in stage.steps
        if name not in {*READ, "COMMENT"} or (name == "COPY" and value.startswith("--from="))
    ]


def _copies(steps: Steps, before: Steps) -> tuple[Copy, ...]:
    """Every COPY from the tree; those from other stages and images bring what is not in the tree."""
    return tuple(
        copy
        for index, (name, value) in enumerate(steps)
        if name == "COPY" and not value.startswith("--from=")
        for copy in _each(value, _workdir([*before, *steps[:index]]))
    )


def _each(value: str, workdir: PurePosixPath) -> Iterator[Copy]:
    *sources, target = value.split()
    into = target.endswith(("/", "/.")) or target == "."
    if not sources or value.startswith(("[", "--")) or (len(sources) > 1 and not into):
        raise InputError(f"{DOCKERFILE}: 'COPY {value}' is not of the form COPY SOURCE TARGET")
    for source in sources:
        yield Copy(str(PurePosixPath(source.lstrip("/"))), str(workdir / target), into)


def _workdir(steps: Steps) -> PurePosixPath:
    return PurePosixPath("/").joinpath(*(value for name, value in steps if name == "WORKDIR"))


def _pairs(value: str) -> list[str]:
    pairs = shlex.split(value)
    if not all("=" in pair for pair in pairs):
        raise InputError(f"{DOCKERFILE}: 'ENV {value}' is not of the form ENV NAME=VALUE")
    if named := [pair for pair in pairs if "$" in pair]:
        raise InputError(f"{DOCKERFILE}: 'ENV {named[0]}' names another variable", "write its value")
    return pairs


def _last(steps: Steps, name: str) -> str:
    found = [value for known, value in steps if known == name]
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
