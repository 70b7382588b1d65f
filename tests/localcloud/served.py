"""Serves services of the local cloud over plain HTTP, for clients that can be given an address."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from localcloud.cloud import Cloud, World
from localcloud.errors import ApiError
from localcloud.http import Query, Request, Response, Router, Service, google_error

WORLD = World("acme-ml", "123456789012", "europe-west1", "acme/models", "eu-west-1")


def new_cloud(root: Path) -> Cloud:
    """A local cloud of its own."""
    return Cloud(root, WORLD)


class Server(ThreadingHTTPServer):
    """One service, as if it were at `host`."""

    daemon_threads = True

    def __init__(self, service: Service, host: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.host, self._router = host, Router([service])
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: Request) -> Response:
        """The router's answer; a defect is a loud 501, which no client tries again."""
        try:
            return self._router(request)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            return google_error(request, ApiError("UNIMPLEMENTED", words))


class Handler(BaseHTTPRequestHandler):
    """From http.server to the router and back."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_one_request(self) -> None:
        """Any method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        url = urlsplit(self.path)
        query = Query.parse(url.query)
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.command, self.server.host, url.path, query, headers, self._body())
        self._send(self.server.answer(request))

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, response: Response) -> None:
        """Addresses of the host become the server's own, so that the client comes back."""
        own, data = f"https://{self.server.host}", response.encoded()
        if response.status < 400 and not isinstance(response.body, bytes):
            data = data.replace(own.encode(), self.server.address.encode())
        self.send_response(response.status)
        for key, value in response.all_headers().items():
            self.send_header(key, value.replace(own, self.server.address))
        if response.status not in (204, 304):
            self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: pytest shows what matters."""


@contextmanager
def serve(service: Service, host: str) -> Iterator[str]:
    """The address at which `service` answers as if it were `host`."""
    server = Server(service, host)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.address
    server.shutdown()
    server.server_close()
    thread.join()
