"""Who this process is at Google Cloud, found once: to read a key costs more than a call does."""

import functools
import os
from typing import Any

CLOUD = "https://www.googleapis.com/auth/cloud-platform"


def credentials(scope: str = CLOUD) -> Any:
    """The caller's. Raises google.auth's DefaultCredentialsError where there are none."""
    return _found(scope, os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"))


@functools.cache
def _found(scope: str, _: str | None) -> Any:
    import google.auth

    return google.auth.default(scopes=[scope])[0]
