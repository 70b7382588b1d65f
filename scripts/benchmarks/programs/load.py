"""Asks a server by many connections, as fast as it answers, with nothing but the standard library.

`load.py PORT PATH CONNECTIONS SECONDS BODY` prints what came back as one JSON object. Every answer has
to be 200 and the same as the first one.
"""

import json
import select
import socket
import sys
import time
from contextlib import ExitStack


class Asking:
    """One connection: it asks again as soon as it has the whole answer."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request, self._got, self._end = request, b"", 0
        self.asked = 0.0

    def ask(self) -> None:
        """Send the request."""
        self._got, self._end = b"", 0
        self.asked = time.perf_counter()
        self.socket.send(self._request)

    def read(self) -> bytes | None:
        """The answer's body once it is whole. Raises ConnectionError where it is not a good one."""
        data = self.socket.recv(1 << 16)
        self._got += data
        if not self._end and (head := self._got.find(b"\r\n\r\n")) > 0:
            if not data or not self._got.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(self._got[:200])
            at = self._got.lower().find(b"content-length: ") + 16
            self._end = head + 4 + int(self._got[at : self._got.find(b"\r", at)])
        if not data:
            raise ConnectionError("the server closed the connection")
        return self._got[self._got.find(b"\r\n\r\n") + 4 :] if len(self._got) == self._end else None


def measure(port: int, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Requests a second, and the latencies in milliseconds that half and 99 % of them were below."""
    with ExitStack() as stack:
        poll, all_ = stack.enter_context(select.epoll()), dict[int, Asking]()
        for _ in range(connections):
            one = Asking(port, request)
            all_[stack.enter_context(one.socket).fileno()] = one
            poll.register(one.socket, select.EPOLLIN)
        begun = time.perf_counter()
        times = ask(poll, all_, begun + seconds)
        taken = time.perf_counter() - begun
    times.sort()
    middle, late = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return {"requests": len(times) / taken, "p50": middle, "p99": late}


def ask(poll: select.epoll, all_: dict[int, Asking], until: float) -> list[float]:
    """The seconds that each answer took. Raises ConnectionError where one is not as the first."""
    times, first = [], b""
    for one in all_.values():
        one.ask()
    while time.perf_counter() < until:
        for number, _ in poll.poll(1):
            one = all_[number]
            answer = one.read()
            if answer is None:
                continue
            times.append(time.perf_counter() - one.asked)
            first = first or answer
            if answer != first:
                raise ConnectionError(f"another answer than {first[:200]!r}: {answer[:200]!r}")
            one.ask()
    return times


if __name__ == "__main__":
    port, path, connections, seconds, body = sys.argv[1:]
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    asked = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
    print(json.dumps(measure(int(port), asked, int(connections), float(seconds))))
