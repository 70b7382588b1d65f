"""A local GitHub over plain HTTP, for the unmodified PyGithub and git."""

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from github import Auth, Github

from localcloud.authority import Authority
from localcloud.cloud import Cloud, World
from localcloud.environment import environment
from localcloud.github import GitHub
from localcloud.http import Query, Request, Router, Service
from localcloud.proxy import Proxy
from tests.eventually import eventually

WORLD = World("acme-ml", "1234567890", "europe-west1", "acme/models", "eu-west-1")
OWNER = "olivia"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Plain:
    """One host of a Router as an ASGI application; "": whichever host is asked for, as it is."""

    def __init__(self, router: Router, host: str = "") -> None:
        self.router, self.host = router, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        query = Query.parse(scope["query_string"].decode())
        path = scope["raw_path"].decode()
        host = self.host or headers["host"].partition(":")[0]
        request = Request(scope["method"], host, path, query, headers, body)
        response = await asyncio.to_thread(self.router, request)
        here = f"http{'' if self.host else 's'}://{headers['host']}".encode()
        data, official = response.encoded(), f"https://{host}".encode()
        if response.status < 400 and not isinstance(response.body, bytes):
            data = data.replace(official, here)  # PyGithub follows addresses, and only to its base_url
        found = response.all_headers().items()
        pairs = [(key.encode(), value.encode().replace(official, here)) for key, value in found]
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        await send({"type": "http.response.body", "body": data})


class Door:
    """The local cloud's proxy, by which the jobs of workflows reach the hosts of a Router."""

    def __init__(self, root: Path, router: Router) -> None:
        address, self._server, self._thread = _listen(Plain(router))
        self._loop, listening = asyncio.new_event_loop(), socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        proxy = Proxy(Authority(root), router.serves, int(address.rpartition(":")[2]), 0)
        self._open = threading.Thread(target=self._serve, args=[proxy, listening], daemon=True)
        self._open.start()

    def _serve(self, proxy: Proxy, listening: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(proxy.handle, sock=listening))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self) -> None:
        """Close it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._open.join(5)
        self._server.should_exit = True
        self._thread.join(5)


class Site:
    """A GitHub that listens: `api` and `web` are the addresses of its two hosts."""

    def __init__(self, root: Path, timeout: float = 20, services: Sequence[Service] = ()) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.cloud = Cloud(root, WORLD)
        self.hub = GitHub(self.cloud, self._environment, timeout)
        self.repository = self.hub.ensure("acme", "models")
        router = Router([*self.hub.services, *services])
        self.door = Door(root, router)
        self._servers = [_listen(Plain(router, host)) for host in ("api.github.com", "github.com")]
        self.api, self.web = (address for address, _, _ in self._servers)
        self.token = self.hub.person_token(OWNER, "acme")
        self.hub.start()

    def _environment(self, run: dict[str, Any]) -> dict[str, str]:
        base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MARK": f"job of {run['name']}"}
        return base | environment(self.root, self.door.port, f"run-{run['id']}").set

    def close(self) -> None:
        """Stop listening and working."""
        self.hub.close()
        self.door.close()
        for _, server, _ in self._servers:
            server.should_exit = True
        for _, _, thread in self._servers:
            thread.join(5)
        self.cloud.store.close()

    def client(self, auth: Auth.Auth | None = None) -> Github:
        """PyGithub, as whoever has that token; the owner unless told."""
        auth = auth or Auth.Token(self.token)
        quick = {"seconds_between_requests": 0, "seconds_between_writes": 0, "retry": None}
        return Github(base_url=self.api, auth=auth, **quick)  # type: ignore[arg-type]

    def app_client(self, name: str, **permissions: str) -> Github:
        """PyGithub as a newly registered App's installation."""
        secret = self.hub.register_app(name, permissions)
        auth = Auth.AppAuth(secret["app_id"], secret["private_key"])
        return self.client(auth.get_installation_auth(secret["installation_id"]))

    def git(self, folder: Path, *arguments: str, check: bool = True) -> str:
        """Run git there, with nothing of this machine's configuration."""
        env = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{role}_NAME": "Ann" for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": "ann@acme.test" for role in ("AUTHOR", "COMMITTER")},
        }
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(done.stderr)
        return (done.stdout + done.stderr).strip()

    def remote(self, token: str = "") -> str:
        """The address to clone from and push to."""
        return self.web.replace("//", f"//x-access-token:{token or self.token}@") + "/acme/models.git"

    def commit(self, files: dict[str, str], branch: str = "main", start: str = "main") -> str:
        """Put files on a branch (made at `start`'s commit), without a network; returns the commit."""
        where, ref = self.repository, f"refs/heads/{branch}"
        head = where.branch(branch) or where.branch(start)
        modes = {path: "100755" if path.startswith("scripts/") else "100644" for path in files}
        blobs = [(modes[path], path, where.write_blob(text.encode())) for path, text in files.items()]
        flags = ["-p", head] if head else []
        tree = where.write_tree(head, blobs)
        sha = where.text("commit-tree", tree, *flags, stdin=f"Change {', '.join(files)}\n".encode())
        self.hub.repositories.update(where, ref, sha)
        return sha


def _listen(app: Plain) -> tuple[str, uvicorn.Server, threading.Thread]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_level="error",
        lifespan="off",
        ws="none",
        loop="asyncio",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    return f"http://127.0.0.1:{listening.getsockname()[1]}", server, thread
