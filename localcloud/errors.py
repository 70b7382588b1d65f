"""The one error that a handler raises; each service renders it in its own shape."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

# google.rpc.Code: name → (number, HTTP status)
CODES = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}


class ApiError(Exception):
    """A call's refusal. `code` is a google.rpc code's name; `status` overrides its HTTP status.

    `details` are messages of google.rpc.error_details (ErrorInfo, BadRequest, …).
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int | None = None,
        reason: str = "",
        details: Sequence[Any] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.reason, self.details = code, message, reason, tuple(details)
        self.number, default = CODES[code]
        self.status = status or default

    @property
    def phrase(self) -> str:
        """The HTTP status line's words."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return self.code

    def rpc_status(self) -> Any:
        """The error as a google.rpc.Status, its details packed."""
        from google.rpc import status_pb2

        status = status_pb2.Status(code=self.number, message=self.message)
        for detail in self.details:
            status.details.add().Pack(detail)
        return status


# How the system, SQLite and DuckDB say that a disk takes nothing more.
DISK = ("No space left", "Disk quota", "Read-only file system", "disk is full", "readonly database")


def unforeseen(error: Exception, root: object) -> ApiError:
    """What a handler did not foresee; a disk that takes nothing more is not an error that passes."""
    if any(words in str(error) for words in DISK):
        mend = "free some space there, or make it writable, then call it again"
        words = f"the local cloud cannot write to {root}: {error}\n  mend: {mend}"
        return ApiError("FAILED_PRECONDITION", words)
    return ApiError("INTERNAL", f"local cloud: {error!r}")


def bad_request(violations: Iterable[tuple[str, str]]) -> ApiError:
    """INVALID_ARGUMENT with a BadRequest that names each wrong field and says what is wrong with it."""
    from google.rpc import error_details_pb2

    found = list(violations)
    detail = error_details_pb2.BadRequest()
    for field, words in found:
        detail.field_violations.add(field=field, description=words)
    return ApiError("INVALID_ARGUMENT", "\n".join(words for _, words in found), details=[detail])


def error_info(reason: str, domain: str, **metadata: str) -> Any:
    """The ErrorInfo that says for programs why a call was refused."""
    from google.rpc import error_details_pb2

    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)
