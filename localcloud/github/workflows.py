"""Workflow files: found in the repository, read, and their dispatch inputs checked."""

import json
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from localcloud.github.call import API, Call, page
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.git import Git
from localcloud.github.repository import Repository
from localcloud.github.shapes import WEB, node_id
from localcloud.github.workflow_yaml import load
from localcloud.http import Response

FOLDER = ".github/workflows"
NO_BUTTON = "Workflow does not have 'workflow_dispatch' trigger"


@dataclass(frozen=True)
class Workflow:
    """One workflow file at one commit."""

    path: str
    content: dict[Any, Any]

    @property
    def file(self) -> str:
        """The file's name, by which calls name the workflow."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def name(self) -> str:
        """Its name; its path where it has none."""
        return str(self.content.get("name") or self.path)

    @property
    def triggers(self) -> dict[str, Any]:
        """Event → its options."""
        given = self.content.get("on")
        if isinstance(given, str | list):
            return dict.fromkeys(map(str, [given] if isinstance(given, str) else given))
        return given if isinstance(given, dict) else {}

    def each_job(self) -> list[tuple[str, dict[str, Any]]]:
        """The jobs that are tables, with their names in the file."""
        jobs = self.content.get("jobs")
        found = jobs.items() if isinstance(jobs, dict) else ()
        return [(str(name), job) for name, job in found if isinstance(job, dict)]

    def declared(self) -> dict[str, dict[str, Any]]:
        """The inputs of its button. Raises GitHubError (422)."""
        if "workflow_dispatch" not in self.triggers:
            raise GitHubError(422, NO_BUTTON)
        inputs = (self.triggers["workflow_dispatch"] or {}).get("inputs") or {}
        return {str(name): options or {} for name, options in inputs.items()}

    def inputs(self, given: dict[str, Any]) -> dict[str, str]:
        """Every input's value, defaults filled in. Raises GitHubError (422)."""
        declared = self.declared()
        unknown = [name for name in given if name not in declared]
        if unknown:
            raise GitHubError(422, f"Unexpected inputs provided: {json.dumps(unknown)}")
        return {name: _value(name, options, given.get(name)) for name, options in declared.items()}


def _value(name: str, options: dict[str, Any], given: Any) -> str:
    if given in (None, "") and options.get("required") and options.get("default") in (None, ""):
        raise GitHubError(422, f"Required input '{name}' not provided")
    value = _text(options.get("default") if given is None else given)
    allowed = _allowed(options)
    if value and allowed and value not in allowed:
        raise GitHubError(
            422, f"Provided value '{value}' for input '{name}' not in the list of allowed values"
        )
    return value


def _allowed(options: dict[str, Any]) -> list[str]:
    if options.get("type") == "boolean":
        return ["true", "false"]
    return [_text(option) for option in options.get("options") or []]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def workflow_id(where: Repository, path: str) -> int:
    """The number of a workflow; the same as long as its path is."""
    return 10_000_000 + zlib.crc32(f"{where.key}/{path}".encode()) % 100_000_000


def read(where: Repository, commit: str, path: str) -> Workflow | None:
    """The workflow file at a commit. Raises GitHubError (422) where it is no YAML table."""
    entry = where.entry(commit, path)
    return parsed(where, path, entry.sha) if entry else None


def parsed(where: Repository, path: str, blob: str) -> Workflow:
    """The workflow file of that content. Raises GitHubError (422) where it is no YAML table."""
    try:
        content = _content(where.path, blob)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise GitHubError(422, f"failed to parse workflow: {error}") from None
    if not isinstance(content, dict):
        raise GitHubError(422, f"failed to parse workflow: {path} is not a table")
    return Workflow(path, content)


@lru_cache(maxsize=500)
def _content(folder: Path, blob: str) -> Any:
    return load(Git(folder).blob(blob))


def files(where: Repository, commit: str | None) -> dict[str, str]:
    """The workflow files at a commit: path → its blob."""
    found = where.tree(commit, f"{FOLDER}/") if commit else []
    return {one.path: one.sha for one in found if one.path.endswith((".yml", ".yaml"))}


def paths(where: Repository, commit: str | None) -> list[str]:
    """The paths of the workflow files at a commit."""
    return [*files(where, commit)]


def find(where: Repository, name: str) -> str:
    """The path on the default branch of the workflow with that file name or number. Raises 404."""
    for path in paths(where, where.head):
        if name in (path.rsplit("/", 1)[-1], path, str(workflow_id(where, path))):
            return path
    raise not_found()


def show(where: Repository, path: str) -> dict[str, Any]:
    """A workflow as GitHub shows it."""
    number, file = workflow_id(where, path), path.rsplit("/", 1)[-1]
    web = f"{WEB}/{where.full_name}"
    return {
        "id": number,
        "node_id": node_id("W", number),
        "name": _name(where, path),
        "path": path,
        "state": "disabled_fork" if where.is_off else "active",
        "created_at": where.record["created_at"],
        "updated_at": where.record["pushed_at"],
        "url": f"{API}/repos/{where.full_name}/actions/workflows/{number}",
        "html_url": f"{web}/blob/{where.default_branch}/{path}",
        "badge_url": f"{web}/workflows/{file}/badge.svg",
    }


def _name(where: Repository, path: str) -> str:
    try:
        found = read(where, str(where.head), path)
    except GitHubError:
        return path
    return found.name if found else path


def list_workflows(call: Call) -> Response:
    """GET the workflows of the default branch."""
    where = call.repository
    return page(call, paths(where, where.head), lambda path: show(where, path), "workflows")


def get_workflow(call: Call) -> Response:
    """GET one workflow, by file name or number."""
    return Response(show(call.repository, find(call.repository, call.param("workflow"))))
