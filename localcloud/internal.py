"""The inner plane at localcloud.internal: what no real cloud has, for the local cloud's own command."""

import json
import os
import secrets
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from localcloud.code import fingerprint
from localcloud.environment import environment
from localcloud.errors import ApiError
from localcloud.github.identity import noreply
from localcloud.github.schedule import TIME, moment
from localcloud.http import Handler, Request, Response, Route, google_error
from localcloud.identity import key_file
from localcloud.trusted_root import trusted_roots

if TYPE_CHECKING:
    from localcloud.server import Server

HOST = "localcloud.internal"
OWNER_LABEL = "owner"
ANSWERED = 0.1  # seconds in which an answer has gone out


class Internal:
    """Status, stop, the owner's environment, faults, the clock, jobs' caches, Apps, trusted roots."""

    hosts = (r"localcloud\.internal",)

    def __init__(self, server: "Server") -> None:
        self._server, self._cloud = server, server.cloud

    def routes(self) -> list[Route]:
        """The calls that are served."""
        table = [
            Route("GET", "/status", self.status),
            Route("POST", "/stop", self.stop),
            Route("GET", "/environment", self.environment),
            Route("GET", "/token", self.token),
            Route("POST", "/apps/{name}", self.app),
            Route("POST", "/tick", self.tick),
            Route("GET", "/runs/{owner}/{repo}/{id}", self.run),
            Route("PUT", "/caches", self.cache),
            Route("GET", "/trusted-roots", self.trusted_roots),
            Route("GET", "/faults", self.list_faults),
            Route("POST", "/faults", self.add_fault),
            Route("DELETE", "/faults", self.clear_faults),
        ]
        return [Route(route.method, route.path, self._guarded(route.handler)) for route in table]

    def _guarded(self, handler: Handler) -> Handler:
        """A step or another user of the machine must not become the owner."""

        def handle(request: Request) -> Response:
            if not secrets.compare_digest(request.headers.get("x-key", ""), self._server.key):
                raise ApiError("PERMISSION_DENIED", "only the local cloud's own command may ask this")
            return handler(request)

        return handle

    def refuse(self, request: Request, error: ApiError) -> Response:
        """As Google's services refuse."""
        return google_error(request, error)

    def status(self, _request: Request) -> Response:
        """Who this is, what it refused to let out, and how many faults are armed."""
        cloud = self._cloud
        body = {
            "pid": os.getpid(),
            "port": cloud.port,
            "root": str(cloud.root),
            "world": asdict(cloud.world),
            "code": fingerprint(),
            "busy": self._server.busy(),
        }
        told = {"refused": self._server.proxy.refused[-20:], "faults": self._server.faults.armed()}
        return Response(body | told)

    def stop(self, _request: Request) -> Response:
        """Stop after this answer."""
        threading.Timer(ANSWERED, self._server.stopping.set).start()
        return Response({})

    def environment(self, request: Request) -> Response:
        """The owner's environment, or that of an account's machine: variables to set and to unset."""
        cloud, account = self._cloud, request.query.get("account", "")
        if account:
            found = environment(
                cloud.root, cloud.port, cloud.label(f"as-{account}".replace("@", "."), account)
            )
        else:
            found = environment(cloud.root, cloud.port, OWNER_LABEL, self._personal())
        return Response({"set": found.set, "unset": found.unset})

    def token(self, request: Request) -> Response:
        """An access token of the owner's, or of an account's, for an hour."""
        account = request.query.get("account", "") or self._cloud.world.owner
        return Response({"token": self._cloud.issue_token(account)})

    def app(self, request: Request) -> Response:
        """A GitHub App with the permissions of the body, installed in the repository; a fresh key."""
        return Response(self._server.github.register_app(request.params["name"], request.json()))

    def tick(self, request: Request) -> Response:
        """Put the local GitHub's clock forward to `at`, or to now: the runs that this starts."""
        given, triggers = request.json().get("at"), self._server.github.triggers
        at = moment(str(given)) if given else triggers.now()
        runs = triggers.tick(at)
        return Response({"at": at.strftime(TIME), "runs": [_brief(run) for run in runs]})

    def run(self, request: Request) -> Response:
        """One workflow run, in brief."""
        names = request.params
        found = self._server.github.runs.get(f"{names['owner']}/{names['repo']}", int(names["id"]))
        return Response(_brief(found))

    def cache(self, request: Request) -> Response:
        """An entry for actions/cache: `key`, and `paths` with the folder of this machine for each."""
        body = request.json()
        self._server.github.caches.seed(body.get("key", ""), body.get("paths") or {})
        return Response({})

    def trusted_roots(self, _request: Request) -> Response:
        """Whom verifiers of Sigstore's signatures have to trust."""
        return Response({"roots": trusted_roots(self._cloud.store)})

    def list_faults(self, _request: Request) -> Response:
        """All faults, those that have happened among them."""
        return Response({"faults": self._server.faults.list()})

    def add_fault(self, request: Request) -> Response:
        """Arm a fault: method, action, nth and caller."""
        return Response(asdict(self._server.faults.add(**request.json())))

    def clear_faults(self, _request: Request) -> Response:
        """Forget all faults."""
        self._server.faults.clear()
        return Response({})

    def _github_token(self) -> str:
        """The owner's one token: it does not expire."""
        known = self._cloud.store.get("owner", "github")
        token = known["token"] if known else self._server.github.person_token(OWNER_LABEL)
        self._cloud.store.put("owner", "github", {"token": token})
        return str(token)

    def _personal(self) -> dict[str, str]:
        """The owner's own credentials, made once; only this local cloud knows them."""
        cloud, world = self._cloud, self._cloud.world
        path = cloud.root / "owner.json"
        if not path.exists() or cloud.store.get("account-key", world.owner) is None:
            path.touch(mode=0o600)
            path.write_text(json.dumps(key_file(cloud, world.owner)))
        keys = cloud.store.get("owner", "aws") or {
            "id": "AKIA" + secrets.token_hex(8).upper(),
            "secret": secrets.token_urlsafe(30),
        }
        cloud.store.put("owner", "aws", keys)
        return {
            "GOOGLE_CLOUD_PROJECT": world.project,
            "GOOGLE_APPLICATION_CREDENTIALS": str(path),
            "AWS_ACCESS_KEY_ID": keys["id"],
            "AWS_SECRET_ACCESS_KEY": keys["secret"],
            "AWS_DEFAULT_REGION": world.aws_region,
            "GITHUB_REPOSITORY": world.repository,
            "GITHUB_TOKEN": self._github_token(),
            "GIT_CONFIG_GLOBAL": self._git_config(),
        }

    def _git_config(self) -> str:
        """A file for git that names the owner: who looks around may commit, too."""
        path = self._cloud.root / "owner.gitconfig"
        if not path.exists():
            path.write_text(f"[user]\n\tname = {OWNER_LABEL}\n\temail = {noreply(OWNER_LABEL)}\n")
        return str(path)


def _brief(run: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "repository", "name", "path", "event", "status", "conclusion", "summary")
    return {name: run[name] for name in names} | {"faults": run.get("faults", [])}
