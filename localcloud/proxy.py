"""The one door: CONNECT, TLS ended with the private authority, plaintext behind. Others are refused."""

import asyncio
import base64
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from localcloud.authority import Authority

HEAD_LIMIT = 1 << 20
CHUNK = 1 << 16
# What ends a connection without a word: it broke off, was no HTTP at all, or this process ends.
HANGUPS = (
    ConnectionError,
    asyncio.CancelledError,
    asyncio.IncompleteReadError,
    asyncio.LimitOverrunError,
    ssl.SSLError,
    ValueError,
)


class Origin(NamedTuple):
    """Where a connection behind the proxy came from."""

    host: str
    caller: str


class Proxy:
    """Accepts clients at one port. `origins` tells the servers behind it, by client port, who calls."""

    def __init__(
        self, authority: Authority, serves: Callable[[str], bool], http_port: int, grpc_port: int
    ) -> None:
        self._authority, self._serves = authority, serves
        self._http_port, self._grpc_port = http_port, grpc_port
        self.origins: dict[int, Origin] = {}
        self._clients: dict[int, asyncio.StreamWriter] = {}
        self.refused: list[str] = []
        self.active = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, to its end."""
        self._loop = asyncio.get_running_loop()
        with contextlib.suppress(*HANGUPS):
            await self._serve(reader, writer)
        with contextlib.suppress(Exception):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        connect = method == "CONNECT"
        host = (target.rpartition(":")[0] if connect else urlsplit(target).hostname) or ""
        if not self._serves(host):
            return await self._refuse(writer, host)
        origin = Origin(host, _caller(head))
        if connect:
            return await self._tunnel(reader, writer, origin)
        return await self._relay(reader, writer, _direct(head, target), origin)

    async def _refuse(self, writer: asyncio.StreamWriter, host: str) -> None:
        self.refused.append(host)
        body = f"the local cloud does not serve {host}: nothing leaves this machine\n".encode()
        status = f"HTTP/1.1 403 localcloud refuses {host}\r\n"
        headers = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"{status}{headers}".encode("latin-1") + body)
        await writer.drain()

    async def _tunnel(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: Origin
    ) -> None:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._authority.context(origin.host))
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        port = self._grpc_port if chosen == "h2" else self._http_port
        await self._join(reader, writer, port, b"", origin)

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, origin: Origin
    ) -> None:
        await self._join(reader, writer, self._http_port, head, origin)

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
        first: bytes,
        origin: Origin,
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        own_port = inner_writer.get_extra_info("sockname")[1]
        self.origins[own_port], self._clients[own_port] = origin, writer
        try:
            inner_writer.write(first)
            own = writer.get_extra_info("socket")
            await asyncio.gather(_pump(reader, inner_writer, own), _pump(inner_reader, writer))
        finally:
            self.origins.pop(own_port, None)
            self._clients.pop(own_port, None)

    def client(self, port: int) -> tuple[int, int]:
        """The two ports of the client's connection that leads to `port` behind the proxy."""
        writer = self._clients[port]
        return writer.get_extra_info("peername")[1], writer.get_extra_info("sockname")[1]

    def break_off(self, port: int) -> None:
        """End that connection without a word; from any thread."""
        if writer := self._clients.get(port):
            self._loop.call_soon_threadsafe(writer.transport.abort)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: socket.socket | None = None
) -> None:
    try:
        while data := await reader.read(CHUNK):
            if asked:  # through a proxy, urllib3 sends a request's body once its head is acknowledged
                asked.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            writer.write(data)
            await writer.drain()
    except TimeoutError:  # the other side has left without its goodbye of TLS
        pass
    finally:
        with contextlib.suppress(Exception):
            writer.close()


def _caller(head: bytes) -> str:
    """The user name of the client's proxy address."""
    found = re.search(rb"(?i)\r\nproxy-authorization: basic (\S+)", head)
    return base64.b64decode(found[1]).decode().partition(":")[0] if found else ""


def _direct(head: bytes, target: str) -> bytes:
    """A plain request as its server reads it; the connection's last, as the next is no longer plain."""
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    head = re.sub(rb"(?i)\r\n(proxy-)?connection:[^\r]*", b"", head)
    head = re.sub(rb"(?i)\r\nproxy-authorization:[^\r]*", b"", head)
    head = head.replace(target.encode("latin-1"), path.encode("latin-1"), 1)
    return head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
