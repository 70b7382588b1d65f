"""GitHub's refusals: an ApiError with GitHub's status, and the list that a 422 carries."""

from typing import Any

from localcloud.errors import ApiError
from localcloud.http import Request, Response

CODES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
DOCUMENTATION = "https://docs.github.com/rest"


class GitHubError(ApiError):
    """A call that GitHub turns down; `errors` is what stands beside the message of a 422."""

    def __init__(self, status: int, message: str, errors: list[Any] | None = None) -> None:
        super().__init__(CODES.get(status, "FAILED_PRECONDITION"), message, status=status)
        self.errors = errors


def not_found() -> GitHubError:
    """The thing is not there, or the caller may not know that it is."""
    return GitHubError(404, "Not Found")


def forbidden() -> GitHubError:
    """The token lacks the permission."""
    return GitHubError(403, "Resource not accessible by integration")


def no_rights() -> GitHubError:
    """The person's role in the repository is too low."""
    return GitHubError(403, "Must have admin rights to Repository.")


def missing(field: str) -> GitHubError:
    """A field that the call needs was not sent."""
    return GitHubError(422, f'Invalid request.\n\n"{field}" wasn\'t supplied.')


def invalid(resource: str, field: str, code: str = "invalid") -> GitHubError:
    """A field's value is wrong."""
    error = {"resource": resource, "field": field, "code": code}
    return GitHubError(422, "Validation Failed", [error])


def custom(resource: str, message: str, **more: str) -> GitHubError:
    """A rule is broken; `message` says which."""
    error = {"resource": resource, "code": "custom", **more, "message": message}
    return GitHubError(422, "Validation Failed", [error])


def render(_request: Request, error: ApiError) -> Response:
    """The error body of GitHub's REST API."""
    # What is not served is not found, as at GitHub; the message says which of the two it is.
    status = 404 if error.code == "UNIMPLEMENTED" else error.status
    body: dict[str, Any] = {"message": error.message}
    if isinstance(error, GitHubError) and error.errors:
        body["errors"] = error.errors
    body |= {"documentation_url": DOCUMENTATION, "status": str(status)}
    return Response(body, status=status)
