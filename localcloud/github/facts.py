"""What GitHub tells a job of its run, and the event that started it."""

import platform
from typing import Any

from localcloud.github.call import API
from localcloud.github.identity import account_id
from localcloud.github.repository import Repository
from localcloud.github.runs import Run
from localcloud.github.shapes import WEB

SYSTEMS = {"Darwin": "macOS"}
# Of the context `github`, what act does not know.
UNKNOWN_TO_ACT = (
    "actor_id ref_protected repository_id repository_owner_id repository_visibility triggering_actor"
    " workflow_ref workflow_sha"
)


def facts(run: Run, where: Repository) -> dict[str, str]:
    """What GitHub tells of a run, by the variables' names without GITHUB_."""
    ref, commit = run["ref"], run.get("sha") or run["head_sha"]
    found = {
        "ACTOR": run["actor"],
        "ACTOR_ID": account_id(run["actor"]),
        "TRIGGERING_ACTOR": run.get("triggering_actor", run["actor"]),
        "EVENT_NAME": run["event"],
        "REF": ref,
        "REF_NAME": ref.split("/", 2)[2],
        "REF_PROTECTED": "false",
        "REF_TYPE": "tag" if ref.startswith("refs/tags/") else "branch",
        "REPOSITORY": where.full_name,
        "REPOSITORY_ID": where.record["id"],
        "REPOSITORY_OWNER": where.owner,
        "REPOSITORY_OWNER_ID": account_id(where.owner),
        "REPOSITORY_VISIBILITY": visibility(where),
        "RUN_ATTEMPT": run["attempt"],
        "RUN_ID": run["id"],
        "RUN_NUMBER": run["run_number"],
        "SHA": commit,
        "WORKFLOW": run["name"],
        "WORKFLOW_REF": f"{where.full_name}/{run['path']}@{ref}",
        "WORKFLOW_SHA": commit,
    }
    return {name: str(value) for name, value in found.items()}


def visibility(where: Repository) -> str:
    """Who sees the repository, in GitHub's word."""
    return "private" if where.record["private"] else "public"


def variables(run: Run, where: Repository) -> dict[str, str]:
    """The variables that every step finds; act makes those of the step itself."""
    return {
        **{f"GITHUB_{name}": value for name, value in facts(run, where).items()},
        "GITHUB_API_URL": API,
        "GITHUB_SERVER_URL": WEB,
        "GITHUB_GRAPHQL_URL": f"{API}/graphql",
        "RUNNER_NAME": "local",
        "RUNNER_ENVIRONMENT": "github-hosted",
        "RUNNER_OS": SYSTEMS.get(platform.system(), platform.system()),
        "PAGER": "cat",  # act gives each step a terminal; GitHub does not
        "GIT_PAGER": "cat",
        "TERM": "dumb",
    }


def expressions(run: Run, where: Repository) -> dict[str, str]:
    """What stands for the expressions that act does not know."""
    known = facts(run, where)
    return {f"github.{name}": known[name.upper()] for name in UNKNOWN_TO_ACT.split()}


def event(run: Run, where: Repository) -> dict[str, Any]:
    """The webhook's event: what the run's record holds, or the least that there is to say."""
    least = {
        "ref": run["ref"],
        "repository": {
            "id": where.record["id"],
            "name": where.name,
            "full_name": where.full_name,
            "visibility": visibility(where),
            "default_branch": where.default_branch,
            "owner": {"login": where.owner},
        },
        "sender": {"login": run["actor"]},
        "workflow": run["path"],
        **({"inputs": run["inputs"]} if run.get("inputs") is not None else {}),
    }
    return {**least, **(run.get("payload") or {})}
