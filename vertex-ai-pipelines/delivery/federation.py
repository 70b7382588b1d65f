"""How a workflow's job becomes a Google account: what GitHub must say of it, and which is whose."""

import os
from collections.abc import Iterator
from typing import Any

from delivery import access, google_session, grants
from delivery.grants import GITHUB, Grant, Repository
from delivery.settings import Environment
from flows.errors import InputError

API = "https://iam.googleapis.com/v1"
TIMEOUT = 30  # seconds a call
USER = "roles/iam.workloadIdentityUser"
HIDDEN = (401, 403, 404)  # GitHub's answers to who may not see something
EVENTS = ("push", "schedule", "workflow_dispatch")  # never a pull request: anybody can open one
MAPPING = {
    # GitHub's own subject may be longer than the 127 bytes that Google takes; this names the run.
    "google.subject": "assertion.repository_id + '/' + assertion.run_id + '/' + assertion.run_attempt",
    "attribute.job_workflow_ref": "assertion.job_workflow_ref",
    "attribute.repository_id": "assertion.repository_id",
}


def repository(name: str) -> Repository:
    """The repository's numbers. Raises as `is_private` does."""
    found = _asked(name)
    return Repository(found.full_name, found.id, found.owner.id)


def is_private(name: str) -> bool:
    """Whether not everybody sees the repository, asked of GitHub with GITHUB_TOKEN.

    Raises InputError where it is not there for that token, RetrainError where GitHub does not answer.
    """
    return bool(_asked(name).private)


def _asked(name: str) -> Any:
    import github

    from flows.github import CLIENT

    token = os.environ.get("GITHUB_TOKEN", "")
    auth = github.Auth.Token(token) if token else None
    with access.named(name, "start it again"):
        try:
            return github.Github(auth=auth, **CLIENT).get_repo(name)
        except github.GithubException as error:
            if error.status not in HIDDEN or isinstance(error, github.RateLimitExceededException):
                raise
            raise InputError(
                f"GitHub does not show {name}: it says {error.status}",
                "put a token that may read the repository into GITHUB_TOKEN, or mend settings.toml",
            ) from None


def provider(environment: Environment) -> str:
    """The provider's resource name. Raises InputError where settings.toml has none."""
    if environment.workload_identity_provider is None:
        raise InputError(
            f"settings.toml: environment '{environment.name}' has no workload_identity_provider",
            "name one: projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER",
        )
    return environment.workload_identity_provider


def configuration(trusted: Repository) -> dict[str, Any]:
    """The provider as it has to be: for one repository's tokens, and for no pull request's."""
    wanted = {"repository_id": trusted.number, "repository_owner_id": trusted.owner}
    terms = [f"assertion.{claim} == '{number}'" for claim, number in wanted.items()]
    events = ", ".join(f"'{event}'" for event in EVENTS)
    return {
        "attributeCondition": " && ".join([*terms, f"assertion.event_name in [{events}]"]),
        "attributeMapping": MAPPING,
        "oidc": {"issuerUri": f"https://{GITHUB}"},
    }


def users(environment: Environment, trusted: Repository) -> list[Grant]:
    """Who may be which account: a workflow on main its own, a branch the one for experiments."""
    pool = provider(environment).rpartition("/providers/")[0]
    place = f"principalSet://iam.googleapis.com/{pool}/attribute"
    if grants.is_experiment(environment):
        who = f"{place}.repository_id/{trusted.number}"
        return [Grant(who, USER, "account", environment.pipeline_account)]
    files = {workflow: grants.workflow_ref(trusted, workflow) for workflow in grants.WORKFLOWS}
    return [
        Grant(f"{place}.job_workflow_ref/{file}", USER, "account", grants.account(environment, workflow))
        for workflow, file in files.items()
    ]


def lacking(environment: Environment, trusted: Repository) -> Iterator[tuple[str, str]]:
    """What keeps workflows out, or others not: in words, and the command that mends it."""
    session = google_session.session()
    yield from _provider_lacks(session, environment, trusted)
    for user in users(environment, trusted):
        name = f"{API}/projects/{environment.project}/serviceAccounts/{user.name}:getIamPolicy"
        asked = {"options.requestedPolicyVersion": "3"}  # else who has a condition is not seen
        policy = _answer(session.post(name, params=asked, timeout=TIMEOUT)) or {}
        bindings = [one for one in policy.get("bindings", []) if one["role"] == USER]
        members = {member for one in bindings for member in one["members"]}
        command = f"gcloud iam service-accounts add-iam-policy-binding {user.name} --role {USER}"
        mend = f"{command} --member '{user.member}'"
        if user.member not in members:
            yield f"{user.name}: {user.member} may not be it", mend
        for other in sorted(members - {user.member}):
            yield (
                f"{user.name}: {other} may be it, too",
                mend.replace("add-", "remove-").replace(user.member, other),
            )


def _provider_lacks(
    session: Any, environment: Environment, trusted: Repository
) -> Iterator[tuple[str, str]]:
    name, wanted = provider(environment), configuration(trusted)
    found = _answer(session.get(f"{API}/{name}", timeout=TIMEOUT))
    mapping = ",".join(f"{key}={value}" for key, value in MAPPING.items())
    options = (
        f'{name} --issuer-uri "{wanted["oidc"]["issuerUri"]}" --attribute-mapping "{mapping}"'
        f' --attribute-condition "{wanted["attributeCondition"]}"'
    )
    command = "gcloud iam workload-identity-pools providers"
    if found is None or found.get("state") != "ACTIVE":
        yield f"{name}: there is none", f"{command} create-oidc {options}"
        return
    wrong = [key for key, value in wanted.items() if found.get(key) != value]
    wrong += ["disabled"] if found.get("disabled") else []
    if wrong:
        mend = f"{command} update-oidc {options} --no-disabled"
        yield f"{name}: its {', '.join(wrong)} is not as it has to be", mend


def _answer(response: Any) -> Any | None:
    """The answer's JSON; None where there is nothing of that name. Raises HTTPError."""
    if response.status_code == 404:
        return None
    response.raise_for_status()
    return response.json()
