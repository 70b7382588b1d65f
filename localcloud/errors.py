"""The one error that a handler raises; each service renders it in its own shape."""

from http import HTTPStatus

# google.rpc.Code: name → (number, HTTP status)
CODES = {
    "CANCELLED": (1, 499),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "UNAUTHENTICATED": (16, 401),
}


class ApiError(Exception):
    """A call's refusal. `code` is a google.rpc code's name; `status` overrides its HTTP status."""

    def __init__(self, code: str, message: str, status: int | None = None, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.reason = code, message, reason
        self.number, default = CODES[code]
        self.status = status or default

    @property
    def phrase(self) -> str:
        """The HTTP status line's words."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return self.code
