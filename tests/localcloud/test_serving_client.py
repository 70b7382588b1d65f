"""Calls to a server that closes connections: what is sent again, and what is not."""

import socket
import threading
from collections.abc import Iterator
from http.client import IncompleteRead, RemoteDisconnected

import pytest

from localcloud.serving_client import Pool

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
HALF = WHOLE[:-1]


class Peer:
    """A server whose connections answer what `script` says, call by call, and then end."""

    def __init__(self, *script: list[bytes]) -> None:
        self.calls, self._script = 0, script
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(9)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for answers in self._script:
            connection, _ = self._socket.accept()
            with connection:
                for answer in answers:
                    connection.recv(65536)
                    self.calls += 1
                    connection.sendall(answer)
        self._socket.close()

    def close(self) -> None:
        self._thread.join()


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    found: list[Peer] = []
    yield found
    for one in found:
        one.close()


def test_a_connection_that_ended_while_it_was_idle_is_opened_again(peers: list[Peer]) -> None:
    peers.append(peer := Peer([WHOLE], [WHOLE]))
    pool = Pool(peer.port)
    assert [pool.post("/", b"", {}).body for _ in range(2)] == [b"ok", b"ok"]
    pool.close()


def test_an_answer_that_breaks_off_is_not_asked_for_again(peers: list[Peer]) -> None:
    peers.append(peer := Peer([WHOLE, HALF]))
    pool = Pool(peer.port)
    pool.post("/", b"", {})
    with pytest.raises(IncompleteRead):
        pool.post("/", b"", {})
    assert peer.calls == 2


def test_a_new_connection_that_ends_is_not_opened_again(peers: list[Peer]) -> None:
    peers.append(peer := Peer([b""]))
    with pytest.raises(RemoteDisconnected):
        Pool(peer.port).post("/", b"", {})
    assert peer.calls == 1
