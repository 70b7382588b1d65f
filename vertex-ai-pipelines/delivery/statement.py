"""What is said of an image: which workflow of which repository built it (in-toto, SLSA provenance)."""

from collections.abc import Iterator
from typing import Any

import msgspec

from delivery import workflow_run
from delivery.workflow_run import needed

WEB = "https://github.com"
WORKFLOW, MAIN = ".github/workflows/train.yml", "refs/heads/main"
STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
BUILD = "https://actions.github.io/buildtypes/workflow/v1"  # as GitHub's own attestations name it


def made(name: str, digest: str) -> bytes:
    """The statement of this workflow run, of the image `name` with that digest.

    Raises InputError outside of a workflow.
    """
    repository, reference = needed("GITHUB_REPOSITORY"), needed("GITHUB_WORKFLOW_REF")
    path, _, ref = reference.removeprefix(f"{repository}/").partition("@")
    source = f"{WEB}/{repository}"
    run = f"{source}/actions/runs/{needed('GITHUB_RUN_ID')}/attempts/{needed('GITHUB_RUN_ATTEMPT')}"
    commit = {"gitCommit": needed("GITHUB_SHA")}
    return msgspec.json.encode(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": _split(digest)}],
            "predicateType": PROVENANCE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD,
                    "externalParameters": {"workflow": {"ref": ref, "repository": source, "path": path}},
                    "internalParameters": {"github": {"event_name": needed("GITHUB_EVENT_NAME")}},
                    "resolvedDependencies": [
                        {"uri": f"git+{source}@{needed('GITHUB_REF')}", "digest": commit}
                    ],
                },
                "runDetails": {
                    "builder": {"id": f"{WEB}/{reference}"},
                    "metadata": {"invocationId": run},
                },
            },
        }
    )


def is_ours(repository: str) -> bool:
    """Whether this process is a step of train.yml on main of `repository`, as GitHub tells it."""
    return bool(workflow_run.number()) and needed("GITHUB_WORKFLOW_REF") == (
        f"{repository}/{WORKFLOW}@{MAIN}"
    )


def wrong(statement: dict[str, Any], name: str, digest: str, repository: str) -> Iterator[str]:
    """What keeps a statement from saying: train.yml, on main of `repository`, built name@digest."""
    source = f"{WEB}/{repository}"
    workflow = ("predicate", "buildDefinition", "externalParameters", "workflow")
    expected = {
        ("_type",): STATEMENT,
        ("predicateType",): PROVENANCE,
        ("predicate", "buildDefinition", "buildType"): BUILD,
        (*workflow, "repository"): source,
        (*workflow, "path"): WORKFLOW,
        (*workflow, "ref"): MAIN,
        ("predicate", "runDetails", "builder", "id"): f"{source}/{WORKFLOW}@{MAIN}",
    }
    subjects = statement.get("subject")
    if {"name": name, "digest": _split(digest)} not in (subjects if isinstance(subjects, list) else []):
        yield f"it is of another image, not of {name}@{digest}"
    for path, value in expected.items():
        found = _at(statement, path)
        if found != value:
            yield f"its {path[-1]} is '{found}', not '{value}'"


def _split(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _at(found: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
