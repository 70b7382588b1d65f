"""How an online prediction fails: the server's own refusals, and those of what is before it."""

import json
from typing import Any

from localcloud.errors import ApiError
from localcloud.serving_client import Answer

LARGEST = 1_572_864  # bytes of a request or an answer
SHOWN = 4096  # characters of what a server said that an error shows
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def check_size(size: int) -> None:
    """Raises INVALID_ARGUMENT for a request that is too large."""
    if size > LARGEST:
        words = f"Request payload size exceeds the limit: {LARGEST} bytes."
        raise ApiError("INVALID_ARGUMENT", words)


def good(answer: Answer | ApiError) -> Answer:
    """A server's good answer. Raises what else it is, in the server's words."""
    error = answer if isinstance(answer, ApiError) else _refused(answer)
    if error:
        raise error
    assert isinstance(answer, Answer)
    return answer


def as_it_is(_: str, answer: Answer) -> Answer:
    """Of a raw prediction's answer nothing is read."""
    return answer


def predictions(deployed: str, answer: Answer) -> dict[str, Any]:
    """The JSON object with a list of predictions that an answer is. Raises INTERNAL."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if isinstance(found, dict) and isinstance(found.get("predictions"), list):
        return found
    words = f"The answer of DeployedModel {deployed} is no JSON object with a list of predictions."
    raise ApiError("INTERNAL", words)


def _refused(answer: Answer) -> ApiError | None:
    if not 200 <= answer.status < 300:
        other = "FAILED_PRECONDITION" if answer.status < 500 else "INTERNAL"
        words = answer.body.decode(errors="replace")[:SHOWN] or f"The model server said {answer.status}."
        return ApiError(CODES.get(answer.status, other), words)
    if len(answer.body) > LARGEST:
        return ApiError(
            "FAILED_PRECONDITION", f"Response payload size exceeds the limit: {LARGEST} bytes."
        )
    return None


def lost(error: Exception) -> ApiError:
    """The error where a server gave no answer."""
    if isinstance(error, TimeoutError):
        return ApiError("DEADLINE_EXCEEDED", "The model server took too long to respond.")
    words = "upstream connect error or disconnect/reset before headers"
    return ApiError("UNAVAILABLE", f"The model server gave no answer: {words} ({error}).")
