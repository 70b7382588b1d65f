"""Calls that may be repeated, of a service that is away for a moment or does not answer."""

from collections.abc import Callable
from typing import TypeVar

CALL, PATIENCE = 30.0, 120.0  # seconds: for one call, for a service that cannot answer just now
T = TypeVar("T")


def passing() -> tuple[type[Exception], ...]:
    """The errors that pass by themselves, over gRPC and over HTTP."""
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import Timeout

    return (
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.ServiceUnavailable,
        exceptions.GatewayTimeout,  # gRPC's DeadlineExceeded is one
        exceptions.TooManyRequests,
        NoConnection,
        Timeout,
        TransportError,
    )


def patient(call: Callable[[], T]) -> T:
    """What `call` gives, asked again for two minutes. Raises what it raised last, never a RetryError."""
    from google.api_core.exceptions import RetryError
    from google.api_core.retry import Retry, if_exception_type

    retrying: Callable[[], T] = Retry(predicate=if_exception_type(*passing()), timeout=PATIENCE)(call)
    try:
        return retrying()
    except RetryError as error:
        raise error.cause or error from None
