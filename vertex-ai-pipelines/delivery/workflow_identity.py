"""Who a workflow's job is, in GitHub's word, and AWS's keys for it: nothing is kept anywhere.

GitHub offers it to the steps of a job that has `id-token: write`: an address and a token to ask there.
"""

import os

from delivery import patience
from delivery.grants import GITHUB, GITHUB_AUDIENCE
from flows import web_identity
from flows.errors import RetrainError

ADDRESS, BEARER = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
MENDS = {
    "AccessDenied": (
        f"the role's trust policy must name {GITHUB_AUDIENCE} as {GITHUB}:aud, and as :sub"
        " repo:OWNER/NAME:ref:refs/heads/main and repo:OWNER@ID/NAME@ID:ref:refs/heads/main, and as"
        " :job_workflow_ref this OWNER/NAME/.github/workflows/FILE@refs/heads/main, in the same case as"
        " GitHub"
    ),
    "InvalidIdentityToken": (
        f"does the role's account have the identity provider https://{GITHUB}, with the audience"
        f" {GITHUB_AUDIENCE}?"
    ),
    "ExpiredTokenException": "a token lives for minutes: start the workflow again",
}


def keys(region: str, role: str) -> dict[str, str] | None:
    """Keys of `role` for this job, as boto3's arguments; None where GitHub offers no identity.

    Raises RetrainError where GitHub or AWS refuses.
    """
    if not (os.environ.get(ADDRESS) and os.environ.get(BEARER)):
        return None
    return web_identity.exchange(region, role, identity_token(GITHUB_AUDIENCE), MENDS)


def identity_token(audience: str) -> str:
    """GitHub's signed word on this job, for `audience` alone. Raises RetrainError."""
    import requests

    try:
        # Asking again is safe: each answer is a token of its own.
        asked = os.environ[ADDRESS], os.environ[BEARER]
        answer = patience.ask(*asked, "application/json", audience=audience)
        answer.raise_for_status()
        return str(answer.json()["value"])
    except requests.HTTPError as error:
        why = f"it answers {error.response.status_code}"
    except (requests.RequestException, KeyError, ValueError) as error:
        why = type(error).__name__
    raise RetrainError(
        f"GitHub gives this job no identity token for {audience}: {why}", "start the workflow again"
    )
