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


def wrong(statement: dict[str, Any], digest: str, repository: str) -> Iterator[str]:
    """What keeps a statement from saying: train.yml, on main of `repository`, built that digest."""
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
    digests = [_at(one, ("digest",)) for one in subjects] if isinstance(subjects, list) else []
    if _split(digest) not in digests:
        yield f"it is of another image, not of {digest}"
    for path, value in expected.items():
        found = _at(statement, path)
        if found != value:
            yield f"its {path[-1]} is '{found}', not '{value}'"


def commit_of(statement: dict[str, Any]) -> str:
    """The commit that it says the image was built at; empty where it says none."""
    found = _at(statement, ("predicate", "buildDefinition", "resolvedDependencies"))
    first = found[0] if isinstance(found, list) and found else None
    return str(_at(first, ("digest", "gitCommit")) or "")


def _split(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _at(found: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
