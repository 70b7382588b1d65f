"""HTTP with the caller's Google identity."""

from typing import Any

from flows import google_identity


def session(adapter: Any = None, scope: str = google_identity.CLOUD) -> Any:
    """A session of `requests` as the caller, with an `adapter` of patience.py's where one is given."""
    from google.auth.transport.requests import AuthorizedSession

    made = AuthorizedSession(google_identity.credentials(scope))
    if adapter:
        made.mount("https://", adapter)
    return made
