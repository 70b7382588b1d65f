"""Calls to one server process, over connections that are kept open."""

import contextlib
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import NamedTuple

TIMEOUT = 60.0  # seconds that a prediction may take, as on Vertex AI


class Answer(NamedTuple):
    """What the server said."""

    status: int
    kind: str  # the content type
    body: bytes


class Pool:
    """The connections to a port on this machine; safe to use from many threads."""

    def __init__(self, port: int) -> None:
        self._port, self._idle = port, list[HTTPConnection]()
        self._closed = False

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One call. Raises OSError or HTTPException where no whole answer came.

        A connection that was open already may have been closed at the other end meanwhile: where it
        cannot be written to, or ends before an answer has begun, the call is sent once more.
        """
        connection = self._connection()
        try:
            response = _begun(connection, path, body, dict(headers))
            answer = Answer(response.status, response.headers.get("content-type", ""), response.read())
        except BaseException:
            connection.close()
            raise
        if response.will_close or self._closed:
            connection.close()
        else:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close what is idle; what is under way is closed when it ends."""
        self._closed = True
        while self._idle:
            with contextlib.suppress(IndexError):
                self._idle.pop().close()

    def _connection(self) -> HTTPConnection:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return HTTPConnection("127.0.0.1", self._port, TIMEOUT)


def _begun(connection: HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> HTTPResponse:
    """The answer to a call, once it has begun; a connection that was closed is opened again."""
    was_open = connection.sock is not None
    try:
        connection.request("POST", path, body, headers)
    except ConnectionError:
        if not was_open:
            raise
    else:
        try:
            return connection.getresponse()
        except ConnectionResetError:  # RemoteDisconnected is one
            if not was_open:
                raise
    connection.close()
    connection.request("POST", path, body, headers)
    return connection.getresponse()


def healthy(port: int, route: str, seconds: float) -> bool:
    """Whether the server says 200 at its health route."""
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds)
    with contextlib.closing(connection), contextlib.suppress(OSError, HTTPException):
        connection.request("GET", route)
        return connection.getresponse().status == 200
    return False
