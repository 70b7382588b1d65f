"""Calls that may be repeated, of a service that is away for a moment or does not answer."""

from collections.abc import Callable
from typing import Any, TypeVar

BUSY = (429, 500, 502, 503, 504)  # answers of a service that may be asked again
TRIES, TRY = 5, 30  # of one HTTP request that only reads, and seconds for each
CALL, PATIENCE = 30.0, 120.0  # seconds: for one call, for a service that cannot answer just now
T = TypeVar("T")


def ask(url: str, token: str, accept: str, **fields: str) -> Any:
    """The response to a GET as the bearer of `token`; a service that is busy is asked again."""
    import requests

    with requests.Session() as session:
        session.mount(url.partition("//")[0] + "//", adapter())
        headers = {"Authorization": f"Bearer {token}", "Accept": accept}
        return session.get(url, params=fields, headers=headers, timeout=TRY)


def adapter(is_safe: bool = False) -> Any:
    """For a session of `requests`: what may be repeated is asked again of a service that is busy.

    `is_safe`: all that is asked may be, a POST too.
    """
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    methods = None if is_safe else Retry.DEFAULT_ALLOWED_METHODS
    again = Retry(
        TRIES - 1,
        allowed_methods=methods,
        backoff_factor=0.5,
        status_forcelist=BUSY,
        raise_on_status=False,
    )
    return HTTPAdapter(max_retries=again)


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
