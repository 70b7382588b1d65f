"""What a workflow's expressions may name before any job runs: github, inputs and vars."""

from typing import Any

from localcloud.github.call import API
from localcloud.github.expression_values import number
from localcloud.github.identity import account_id
from localcloud.github.repository import Repository
from localcloud.github.runs import Run
from localcloud.github.shapes import WEB
from localcloud.github.workflows import Workflow

KINDS = {"heads": "branch", "tags": "tag"}  # a pull request's ref is of none


def contexts(where: Repository, run: Run, workflow: Workflow) -> dict[str, Any]:
    """The contexts of a run that is about to be queued. No repository here has variables."""
    return {"github": _github(where, run), "inputs": inputs(run, workflow), "vars": {}}


def inputs(run: Run, workflow: Workflow) -> dict[str, Any]:
    """The inputs of a dispatch with their types; none for other events."""
    if run["event"] != "workflow_dispatch":
        return {}
    declared = workflow.declared()
    return {name: _typed(declared[name].get("type"), text) for name, text in run["inputs"].items()}


def _typed(kind: Any, text: str) -> Any:
    if kind == "boolean":
        return text == "true"
    return number(text) if kind == "number" else text


def _github(where: Repository, run: Run) -> dict[str, Any]:
    ref = run["ref"]
    return {
        "actor": run["actor"],
        "actor_id": str(account_id(run["actor"])),
        "triggering_actor": run["actor"],
        "event_name": run["event"],
        "event": run["payload"],
        "ref": ref,
        "ref_name": ref.split("/", 2)[2],
        "ref_type": KINDS.get(ref.split("/")[1], ""),
        "ref_protected": False,
        "head_ref": run.get("head_ref", ""),
        "base_ref": run.get("base_ref", ""),
        "sha": run["sha"],
        "repository": where.full_name,
        "repository_id": str(where.record["id"]),
        "repository_owner": where.owner,
        "repository_owner_id": str(account_id(where.owner)),
        "repository_visibility": "private" if where.record["private"] else "public",
        "run_id": str(run["id"]),
        "run_number": str(run["run_number"]),
        "run_attempt": str(run["attempt"]),
        "workflow": run["name"],
        "workflow_ref": f"{where.full_name}/{run['path']}@{ref}",
        "workflow_sha": run["sha"],
        "server_url": WEB,
        "api_url": API,
        "graphql_url": f"{API}/graphql",
    }
