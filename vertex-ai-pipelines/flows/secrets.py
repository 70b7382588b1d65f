"""Secrets, fetched at the moment of use. Values are never logged; the version that was read may be."""

from typing import Any, TypeVar

from flows import google_identity
from flows.errors import InputError, RetrainError
from flows.tables import Table, decode_json


class Secret(Table):
    """A payload. Its text form names no value, so that no log or traceback shows one."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class S3Keys(Secret):
    """An AWS access key."""

    aws_access_key_id: str
    aws_secret_access_key: str

    def as_mapping(self) -> dict[str, str]:
        """The key as boto3's arguments."""
        return {key: getattr(self, key) for key in self.__struct_fields__}


class GitHubApp(Secret):
    """A GitHub App: its key mints tokens for one installation."""

    app_id: int
    installation_id: int
    private_key: str


S = TypeVar("S", bound=Secret)


def access(project: str, name: str, kind: type[S]) -> tuple[S, int]:
    """The newest version of the secret `name` in `project`, as a `kind`, and that version's number.

    Raises InputError where it is missing, disabled or not a `kind`; RetrainError where the caller
    may not read it or the service fails.
    """
    path = f"projects/{project}/secrets/{name}/versions/latest"
    response = _fetch(path)
    number = int(response.name.rpartition("/")[2])
    try:
        return decode_json(response.payload.data, kind, path), number
    except InputError:
        # The decoder's own words may quote the payload.
        keys = ", ".join(kind.__struct_fields__)
        raise InputError(
            f"secret {name}, version {number}, in {project}: it is not a JSON table of exactly {keys}",
            "add a version in that form",
        ) from None


def _fetch(path: str) -> Any:
    from google.api_core import exceptions
    from google.cloud import secretmanager_v1

    try:
        own = google_identity.credentials()
        client = secretmanager_v1.SecretManagerServiceClient(credentials=own)
        return client.access_secret_version(name=path, timeout=30)
    except exceptions.NotFound:
        raise InputError(f"{path}: there is no such secret, or it has no version", "add one") from None
    except exceptions.FailedPrecondition:
        raise InputError(
            f"{path}: the newest version is disabled or destroyed",
            "enable it or add a version: 'latest' never falls back to an older one",
        ) from None
    except exceptions.PermissionDenied:
        raise RetrainError(
            f"{path}: {account()} may not read it, or there is no such secret",
            "grant that account roles/secretmanager.secretAccessor on this secret alone",
        ) from None
    except exceptions.GoogleAPICallError as error:
        raise RetrainError(f"{path}: {error.message}") from None


def account() -> str:
    """The address of the account that this program runs as, as far as its credentials know it."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import Request

    try:
        credentials: Any = google.auth.default()[0]
        credentials.refresh(Request())
    except GoogleAuthError:
        return "this account"
    return str(getattr(credentials, "service_account_email", "this account"))
