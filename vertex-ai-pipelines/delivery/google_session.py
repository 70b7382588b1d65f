"""HTTP with the caller's Google identity."""

from typing import Any

CLOUD = "https://www.googleapis.com/auth/cloud-platform"


def session(adapter: Any = None, scope: str = CLOUD) -> Any:
    """A session of `requests` as the caller, with an `adapter` of patience.py's where one is given."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    made = AuthorizedSession(google.auth.default(scopes=[scope])[0])
    if adapter:
        made.mount("https://", adapter)
    return made
