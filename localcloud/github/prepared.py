"""What act reads instead of the commit: its workflow files, each job told what is its own.

act knows neither a job's permissions, environment and limits, nor all that GitHub tells of a run.
So each job's name carries what the file says of it (act evaluates it, and reports it with every
line), its environment gets what it asks for identity tokens with, and facts stand in expressions.
"""

import copy
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from localcloud.github.attempts import Before, narrow, stand_in
from localcloud.github.jobs import Job as Record
from localcloud.github.permissions import DEFAULT, granted, lowered
from localcloud.github.repository import Repository
from localcloud.github.runs import Run, from_fork
from localcloud.github.shapes import WEB
from localcloud.github.startup import needs
from localcloud.github.workflow_yaml import load

FOLDER = ".github/workflows"
STANDINS = Path(__file__).with_name("standins")
CACHE = "actions/cache@"
SAVE = (
    f"run: bash '{STANDINS / 'actions' / 'cache' / 'save.sh'}'"  # what the real action does at the end
)
FOREIGN = ("concurrency", "permissions", "environment", "run-name")
WITH_INPUTS = ("workflow_dispatch", "workflow_call")
MARK = re.compile(r"⟦([^¦⟧]*)¦([^¦⟧]*)¦([^¦⟧]*)¦([^¦⟧]*)⟧")
SPAN = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
FACT = re.compile(r"(?<![\w.])(github\.[a-z_]+|secrets\.GITHUB_TOKEN)(?![\w.-])")
CONFIG = '[core]\n\trepositoryformatversion = 0\n[remote "origin"]\n\turl = {}\n'


class StartupError(Exception):
    """Why a run cannot begin."""


@dataclass(frozen=True)
class Planned:
    """A job as a workflow file has it; `key` begins with those of the jobs that call its file."""

    key: str
    path: str
    content: dict[str, Any]
    permissions: Mapping[str, str]
    called: bool = False  # it calls a workflow, and is no work of its own

    @property
    def steps(self) -> list[dict[str, Any]]:
        """Its steps, as the file has them."""
        return self.content.get("steps") or []


@dataclass(frozen=True)
class Given:
    """What a job gets of its own: variables, and what stands for expressions such as github.token."""

    variables: Mapping[str, str]
    facts: Mapping[str, str]


Give = Callable[[Planned], Given]


@dataclass(frozen=True)
class Call:
    """A workflow file as one job calls it, or the run: `most` is what the caller grants."""

    path: str
    above: str  # what its jobs' keys begin with
    most: Mapping[str, str] | None
    before: Before


@dataclass
class Prepared:
    """A folder that act can run: `file` is the run's workflow, `actions` the stand-ins by reference."""

    folder: Path
    file: str = ""
    jobs: dict[str, Planned] = field(default_factory=dict)
    actions: dict[str, Path] = field(default_factory=dict)
    kept: list[Record] = field(default_factory=list)  # of the attempt before, not run again
    settled: set[str] = field(default_factory=set)  # the keys of jobs that are not run again at all


class Preparation:
    """Writes a run's workflow, and all that it calls, into a folder; what was good before may stay."""

    def __init__(self, where: Repository, run: Run, facts: Mapping[str, str], give: Give) -> None:
        self._where, self._run, self._facts, self._give = where, run, facts, give
        self._commit = run.get("sha") or run["head_sha"]  # of a pull request: its merge

    def write(self, folder: Path, before: Before) -> Prepared:
        """Do it. Raises StartupError for what the local GitHub cannot run."""
        made = Prepared(folder)
        (folder / FOLDER).mkdir(parents=True)
        for name in ("objects", "refs"):
            (folder / ".git" / name).mkdir(parents=True)
        (folder / ".git" / "HEAD").write_text(f"{self._commit}\n")
        (folder / ".git" / "config").write_text(CONFIG.format(f"{WEB}/{self._where.full_name}"))
        made.file = self._file(made, Call(self._run["path"], "", None, before))
        return made

    def _file(self, made: Prepared, call: Call) -> str:
        """One file for one caller. Returns where it stands."""
        text = self._text(call.path)
        root, content = yaml.compose(text, yaml.SafeLoader), load(text.encode())
        jobs = content.get("jobs") if isinstance(content, dict) else None
        if root is None or not isinstance(jobs, dict):
            raise StartupError(f"{call.path} has no jobs")
        _narrow(root, "workflow_call" if call.above else self._run["event"])
        _fill(root, self._facts)
        nodes = _get(root, "jobs")
        for index, (key, job) in enumerate(jobs.items()):
            given = job.get("permissions", content.get("permissions"))
            allowed = granted(given, DEFAULT if call.most is None else call.most)
            allowed = lowered(allowed) if from_fork(self._run) else allowed
            planned = Planned(f"{call.above}{key}", call.path, job, allowed, "uses" in job)
            before = call.before.behind(call.above, needs(job), jobs)
            name, node = nodes.value[index]
            nodes.value[index] = (name, self._job(made, planned, copy.deepcopy(node), before))
        target = f"{FOLDER}/{call.above.replace('/', '.')}{Path(call.path).name}"
        shown = yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True)
        (made.folder / target).write_text(shown)
        return target

    def _text(self, path: str) -> str:
        entry = self._where.entry(self._commit, path)
        if entry is None:
            raise StartupError(f"{path} does not exist at this commit")
        return self._where.blob(entry.sha).decode()

    def _job(self, made: Prepared, job: Planned, node: yaml.Node, before: Before) -> yaml.Node:
        made.jobs[job.key] = job
        _drop(node, FOREIGN)
        if job.called:
            call = Call(self._callee(job), f"{job.key}/", job.permissions, before)
            _put(node, "uses", f"./{self._file(made, call)}")
        elif before.is_good(job.key):
            made.settled.add(job.key)
            made.kept += before.of(job.key)
            stand_in(node, before.of(job.key))
        else:
            if failed := before.failed(job.key):
                made.kept += before.of(job.key)
                narrow(node, failed)
            self._work(made, job, node)
        _put(node, "name", _mark(job) + str(job.content.get("name") or ""))
        return node

    def _work(self, made: Prepared, job: Planned, node: yaml.Node) -> None:
        """A job that does something: its actions, its token, its variables."""
        self._check(job)
        given = self._give(job)
        for step, its in zip(job.steps, _get(node, "steps").value if job.steps else [], strict=True):
            self._add(made, step)
            _extend(its, "with", _defaults(step))
        if any(name.startswith(CACHE) for name in made.actions):
            _get(node, "steps").value.append(yaml.compose(SAVE))
        _fill(node, given.facts)
        _extend(node, "env", given.variables)

    @staticmethod
    def _callee(job: Planned) -> str:
        uses = str(job.content["uses"])
        if not uses.startswith("./"):
            raise StartupError(
                f"job '{job.key}' calls {uses}: only workflows of this repository are here"
            )
        return uses.removeprefix("./")

    @staticmethod
    def _check(job: Planned) -> None:
        for key in ("container", "services"):
            if job.content.get(key):
                raise StartupError(f"job '{job.key}' wants {key}: the local GitHub runs no containers")

    def _add(self, made: Prepared, step: dict[str, Any]) -> None:
        """Find what stands in for an action, and for those that an action of the repository uses."""
        uses = str(step.get("uses") or "")
        if uses.startswith("./"):
            for inner in self._inner(uses.removeprefix("./").strip("/")):
                self._add(made, inner)
        elif uses:
            name, _, version = uses.partition("@")
            if not (STANDINS / name / "action.yml").exists() or not version:
                raise StartupError(f"the local GitHub has nothing that stands in for the action {uses}")
            known = {one.lower() for one in _inputs(step)}
            for given in step.get("with") or {}:
                if str(given).lower() not in known:
                    raise StartupError(f"what stands in for the action {uses} knows no input '{given}'")
            owner, repository = name.split("/")[:2]
            made.actions[f"{owner}/{repository}@{version}"] = STANDINS / owner / repository

    def _inner(self, folder: str) -> Iterator[dict[str, Any]]:
        for name in ("action.yml", "action.yaml"):
            entry = self._where.entry(self._commit, f"{folder}/{name}")
            if entry:
                runs = (load(self._where.blob(entry.sha)) or {}).get("runs") or {}
                yield from runs.get("steps") or []


def _inputs(step: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a step's action, as its stand-in declares them."""
    action = STANDINS / str(step.get("uses") or "").partition("@")[0] / "action.yml"
    return yaml.safe_load(action.read_text()).get("inputs") or {} if action.is_file() else {}


def _defaults(step: dict[str, Any]) -> dict[str, str]:
    """The inputs of an action that are the job's token where the step does not say otherwise."""
    found = {name: str((options or {}).get("default", "")) for name, options in _inputs(step).items()}
    given = step.get("with") or {}
    return {name: text for name, text in found.items() if "github.token" in text and name not in given}


def _mark(job: Planned) -> str:
    """What comes before the name: key, environment, whether it may fail, minutes."""
    environment = job.content.get("environment") or ""
    named = environment.get("name") if isinstance(environment, dict) else environment
    may_fail = job.content.get("continue-on-error") or ""
    told = "true" if may_fail is True else may_fail
    return f"⟦{job.key}¦{named}¦{told}¦{job.content.get('timeout-minutes') or ''}⟧"


def _get(node: yaml.Node, name: str) -> yaml.Node:
    found: yaml.Node = next(value for key, value in node.value if key.value == name)
    return found


def _scalar(text: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style='"')


def _narrow(root: yaml.Node, event: str) -> None:
    """Leave out what act does nothing with, and may not know; of the events, all but this run's."""
    _drop(root, FOREIGN)
    given = _get(root, "on")
    kept = given.value if isinstance(given, yaml.MappingNode) else []
    kept = [pair for pair in kept if pair[0].value in WITH_INPUTS]
    if event not in [key.value for key, _ in kept]:
        kept = [*kept, (_scalar(event), yaml.ScalarNode("tag:yaml.org,2002:null", ""))]
    _drop(root, ("on",))
    root.value.append((_scalar("on"), yaml.MappingNode("tag:yaml.org,2002:map", kept)))


def _drop(node: yaml.Node, names: Container[str]) -> None:
    """Take fields out of a table."""
    node.value = [pair for pair in node.value if pair[0].value not in names]


def _put(node: yaml.Node, name: str, text: str) -> None:
    """Set a field of a table."""
    _drop(node, (name,))
    node.value.append((_scalar(name), _scalar(text)))


def _extend(node: yaml.Node, name: str, fields: Mapping[str, str]) -> None:
    """Set fields of a table in a table."""
    if not fields:
        return
    found = [value for key, value in node.value if key.value == name]
    if not found:
        found = [yaml.MappingNode("tag:yaml.org,2002:map", [])]
        node.value.append((_scalar(name), found[0]))
    for key, text in fields.items():
        _put(found[0], key, text)


def _named(facts: Mapping[str, str], found: re.Match[str]) -> str:
    text = facts.get(found[0])
    return found[0] if text is None else "'{}'".format(text.replace("'", "''"))


def _fill(node: yaml.Node, facts: Mapping[str, str], condition: bool = False) -> None:
    """Put facts for their names in every expression below a node; an `if` is one as a whole."""
    if isinstance(node, yaml.ScalarNode):
        span = re.compile(r".+", re.DOTALL) if condition else SPAN
        node.value = span.sub(lambda found: FACT.sub(partial(_named, facts), found[0]), node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _fill(value, facts, key.value == "if")
    else:
        for value in node.value:
            _fill(value, facts)
