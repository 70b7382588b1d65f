"""The process: every service behind one proxy, until it is told to stop or idle for long."""

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import uvicorn
from grpc_status import rpc_status

from localcloud.authority import Authority
from localcloud.aws import Aws
from localcloud.bigquery import BigQuery
from localcloud.cloud import Cloud, World
from localcloud.cloud_logging import CloudLogging
from localcloud.code import fingerprint
from localcloud.environment import environment
from localcloud.errors import ApiError, unforeseen
from localcloud.faults import Fault, Faults, NoAnswerError, perform
from localcloud.fulcio import Fulcio
from localcloud.github import GitHub
from localcloud.http import Query, Request, Response, Router, Service
from localcloud.iam_api import IamApi
from localcloud.iam_credentials import IamCredentials
from localcloud.identity import Metadata, OAuth
from localcloud.internal import HOST, OWNER_LABEL, Internal
from localcloud.kms import Kms
from localcloud.models import Models
from localcloud.names import Names
from localcloud.pipelines import Pipelines
from localcloud.proxy import Origin, Proxy
from localcloud.registry import Registry
from localcloud.rekor import Rekor
from localcloud.resourcemanager import ResourceManager
from localcloud.rpc import Rpc, RpcService
from localcloud.secretmanager import SecretManager
from localcloud.security_tokens import SecurityTokens
from localcloud.serving import Serving
from localcloud.storage import Storage
from localcloud.timestamps import Timestamps

T = TypeVar("T")
IDLE = 2 * 3600  # seconds without a call after which the local cloud stops by itself
THREADS = 64
MANAGED: list[Callable[[Cloud], RpcService]] = [SecretManager, Kms, ResourceManager, Models]
GOOGLE = (OAuth, Metadata, IamCredentials, IamApi, SecurityTokens, CloudLogging)
PLAIN: list[Callable[[Cloud], Service]] = [*GOOGLE, Aws, Fulcio, Timestamps, Rekor]
log = logging.getLogger("localcloud")


class Server:
    """All services of one local cloud, and the two plaintext servers that the proxy leads to."""

    def __init__(self, root: Path, world: World, port: int) -> None:
        self.cloud = Cloud(root, world, port)
        self.registry = Registry(self.cloud)
        self.pipelines = Pipelines(self.cloud, self.registry)
        self.serving = Serving(self.cloud, self.registry)
        self.github = GitHub(self.cloud, self._job_environment)
        place = self.github.ensure(*world.repository.split("/"))
        self.github.repositories.people.join(place.owner, OWNER_LABEL)
        storage = Storage(self.cloud)
        self.bigquery = BigQuery(self.cloud, storage)
        managed = [kind(self.cloud) for kind in MANAGED]
        self.rpc = Rpc(self.cloud, [*managed, *self.serving.services, self.pipelines])
        services: list[Service] = [
            *(storage, self.bigquery, self.registry, self.serving.monitoring, Internal(self)),
            *(kind(self.cloud) for kind in PLAIN),
            *self.github.services,
            *self.rpc.rest,
        ]
        self.router = Router(services)
        self.names = Names(self.router)
        self.faults = Faults(self.names.known)
        self.key = secrets.token_urlsafe(32)  # who can read state.json may use the inner plane
        self.last_call = time.monotonic()
        self.stopping = threading.Event()
        self.calls = (root / "calls.log").open("a", buffering=1)
        self._pool = ThreadPoolExecutor(THREADS)
        self._grpc = grpc.server(ThreadPoolExecutor(THREADS), handlers=(GrpcDoor(self),))
        self._grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._socket = _listen(0)
        authority = Authority(root)
        self.proxy = Proxy(authority, self.router.serves, self._socket.getsockname()[1], self._grpc_port)

    async def serve(self) -> None:
        """Serve until stopped."""
        self._grpc.start()
        config = uvicorn.Config(
            self.asgi, interface="asgi3", log_level="warning", lifespan="off", timeout_keep_alive=60
        )
        inner = threading.Thread(
            target=partial(uvicorn.Server(config).run, sockets=[self._socket]), daemon=True
        )
        inner.start()
        door = await asyncio.start_server(
            self.proxy.handle, sock=_listen(self.cloud.port), limit=1 << 20
        )
        self.github.start()
        self.serving.start()
        async with door:
            _write_state(self.cloud.root, self.cloud.port, self.key)
            while not self.stopping.is_set() and not self._idle():
                await asyncio.sleep(0.05)

    def close(self) -> None:
        """End what runs and write everything out."""
        (self.cloud.root / "state.json").unlink(missing_ok=True)
        self.pipelines.close()
        self.serving.close()
        self.github.close()
        self._grpc.stop(0)
        self.bigquery.close()
        self.cloud.store.close()

    def _idle(self) -> bool:
        return time.monotonic() - self.last_call > IDLE and not self.busy()

    def busy(self) -> bool:
        """Whether a pipeline job, a deployment or a workflow run is at work."""
        return any(one.busy() for one in (self.pipelines, self.serving, self.github))

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """One HTTP call: from ASGI to a handler in a thread, and back."""
        if (body := await _body(receive)) is None:
            return
        port = (scope.get("client") or ("", 0))[1]
        request = _request(scope, body, self.proxy.origins.get(port, Origin("", "")))
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._pool, self.answer, request, port)
        if response is None:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        content = response.encoded()
        headers = {"content-length": str(len(content)), **response.all_headers()}
        encoded = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else content})

    def answer(self, request: Request, port: int) -> Response | None:
        """A handler's answer; what a handler did not foresee is logged and is a 500.

        None where a fault wants the caller to get none.
        """
        start, name = time.monotonic(), self.names.http(request)
        fault = self.meet(name, request.caller) if request.host != HOST else None
        response: Response | None = None
        try:
            response = self.broken(fault, request.host, port, partial(self.router, request))
        except NoAnswerError:
            pass
        except ApiError as error:
            response = self.router.refuse(request, error)
        except Exception as error:
            log.exception("%s https://%s%s", request.method, request.host, request.path)
            response = self.router.refuse(request, unforeseen(error, self.cloud.root))
        call = f"{name} {request.method} {request.host}{request.path}"
        self.note(request.caller, call, response.status if response else "-", start)
        return response

    def meet(self, name: str, caller: str) -> Fault | None:
        """The fault that a call meets, written down before it happens: it may be the log's last line."""
        fault = self.faults.take(name, caller)
        if fault:
            self.note(caller, f"{name} FAULT", f"{fault.number} {fault.action}", time.monotonic())
        return fault

    def broken(self, fault: Fault | None, host: str, port: int, work: Callable[[], T]) -> T:
        """What `work` gives, broken by `fault`."""
        if fault is None:
            return work()
        try:
            return perform(fault, host, self.proxy.client(port), work)
        except NoAnswerError as error:
            if error.is_broken:
                self.proxy.break_off(port)
            raise

    def note(self, caller: str, call: str, result: int | str, start: float) -> None:
        """One line of the request log: never a query, a header or a body."""
        self.last_call = time.monotonic()
        milliseconds = (self.last_call - start) * 1000
        with suppress(OSError):  # a full disk ends the log, not the calls
            self.calls.write(
                f"{self.cloud.now()} {caller or '-'} {call} {result} {milliseconds:.1f}ms\n"
            )

    def _job_environment(self, run: dict[str, Any]) -> dict[str, str]:
        """A workflow job's whole environment: on no machine of Google's, without an account there."""
        label = f"run-{run['id']}"
        home = self.cloud.root / "empty"
        base = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "LANG": "C.UTF-8"}
        return base | environment(self.cloud.root, self.cloud.port, label).set


class GrpcDoor(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Takes every gRPC call, known or not: an unknown one is refused by name."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def service(self, details: Any) -> Any:
        """gRPC's hook: a handler for the call, from bytes to bytes."""
        return grpc.unary_unary_rpc_method_handler(partial(self._call, details.method))

    def _call(self, path: str, body: bytes, context: Any) -> bytes:
        server, start, metadata = self._server, time.monotonic(), dict(context.invocation_metadata())
        port = int(context.peer().rsplit(":", 1)[1])
        host, caller = server.proxy.origins.get(port, Origin("", ""))
        name, code = server.names.grpc(host, path), "OK"
        status: Any = None
        fault = server.meet(name, caller)
        work = partial(server.rpc.call, path, body, metadata.get("authorization", ""), caller)
        try:
            return server.broken(fault, host, port, work)
        except NoAnswerError:
            code, status = "-", ApiError("UNAVAILABLE", "nobody hears this").rpc_status()
            _wait_until_gone(context)
        except ApiError as error:
            code, status = error.code, error.rpc_status()
        except Exception as error:
            log.exception("%s", path)
            unknown = unforeseen(error, server.cloud.root)
            code, status = unknown.code, unknown.rpc_status()
        finally:
            server.note(caller, f"{name} GRPC {path}", code, start)
        # The details travel in a trailer, as the SDKs read them.
        return bytes(context.abort_with_status(rpc_status.to_status(status)))


def _wait_until_gone(context: Any) -> None:
    """Until the caller of a gRPC call has given up."""
    gone = threading.Event()
    if context.add_callback(gone.set):
        gone.wait()


async def _body(receive: Any) -> bytes | None:
    """None where the caller broke off: half a request is none."""
    parts = [message := await receive()]
    while message.get("more_body"):
        parts.append(message := await receive())
    is_whole = message["type"] == "http.request"
    return b"".join(part.get("body", b"") for part in parts) if is_whole else None


def _request(scope: Any, body: bytes, origin: Origin) -> Request:
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    host = headers.get("host", origin.host).rpartition(":")[0] or headers.get("host", origin.host)
    query = Query.parse(scope["query_string"].decode("latin-1"))
    path = scope["raw_path"].decode("latin-1").partition("?")[0]
    return Request(scope["method"], host, path, query, headers, body, origin.caller)


def _listen(port: int) -> socket.socket:
    # A protocol must be named: with 0, asyncio leaves Nagle's algorithm on, 44 ms a call.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def _write_state(root: Path, port: int, key: str) -> None:
    part = root / "state.json.part"
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(json.dumps({"pid": os.getpid(), "port": port, "key": key}))
    part.replace(root / "state.json")


def main(root: Path, world: World, port: int) -> int:
    """Serve in the foreground until stopped by a signal, a call or idleness."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    (root / "empty").mkdir(exist_ok=True)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    fingerprint()  # now: the files may change while this process runs
    (root / "world.json").write_text(json.dumps(asdict(world)))
    server = Server(root, world, port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stopping.set())
    try:
        asyncio.run(server.serve())
    finally:
        server.close()
    return 0
