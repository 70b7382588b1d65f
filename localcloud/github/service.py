"""The local GitHub: its hosts, put together from their parts."""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from localcloud.cloud import Cloud
from localcloud.described import Operation, description
from localcloud.errors import ApiError
from localcloud.github.actions import Actions
from localcloud.github.apps import Apps, Registry
from localcloud.github.artifacts import Artifacts
from localcloud.github.attestations import Attestations
from localcloud.github.caches import Caches
from localcloud.github.call import Call
from localcloud.github.check_runs import CheckRuns
from localcloud.github.checks import answered
from localcloud.github.collaborators import Collaborators
from localcloud.github.contents import Contents
from localcloud.github.errors import GitHubError, forbidden, no_rights, not_found, render
from localcloud.github.follow import Follower
from localcloud.github.forks import Forks
from localcloud.github.git import GitError
from localcloud.github.gitdata import Refs
from localcloud.github.identity import ACTOR, Identity, Tokens
from localcloud.github.issues import Comments, Issues, Labels
from localcloud.github.job import LONGEST, Setting
from localcloud.github.job_identity import JobIdentity
from localcloud.github.jobs import Jobs
from localcloud.github.merging import Merging
from localcloud.github.people import reaches
from localcloud.github.pulls import Pulls
from localcloud.github.repos import Repos
from localcloud.github.repository import PushHook, Repositories, Repository
from localcloud.github.reviews import Reviews
from localcloud.github.routes import APP, PERSON, Areas, Entry, Method, role_for, table
from localcloud.github.runner import Runner
from localcloud.github.runs import Run, Runs
from localcloud.github.smart_http import GitHost
from localcloud.github.statuses import Statuses
from localcloud.github.tracker import Record, Tracker
from localcloud.github.triggers import Triggers
from localcloud.http import Handler, Request, Response, Route, Service

BOT = "github-actions"
LIMIT = 5000  # calls an hour that the headers promise


class GitHub:
    """GitHub for one local cloud: `services` are its hosts, `on_push` is told of every moved ref."""

    def __init__(
        self,
        cloud: Cloud,
        job_environment: Callable[[dict[str, Any]], dict[str, str]],
        timeout: float = LONGEST,
    ) -> None:
        self.cloud = cloud
        self.repositories, self.tokens = Repositories(cloud), Tokens(cloud.store)
        self.apps, self.runs = Registry(cloud.store, cloud.world.repository), Runs(cloud)
        self._identity = JobIdentity(cloud.store, self.runs, self.repositories)
        self.jobs, self.caches = Jobs(cloud.store), Caches(cloud.root / "tool-cache")
        issued = (self._token, self._revoke, self._identity.variables)
        setting = Setting(job_environment, *issued, self.jobs, self.caches, timeout)
        self.runner = Runner(self.runs, self.repositories, setting)
        tracker = Tracker(self.repositories)
        self.triggers = Triggers(self.runner, self.repositories, tracker)
        tracker.on_pull += [self._pulled, self.triggers.pulled]
        self.repositories.on_push += [Follower(tracker), self.triggers]
        api = ApiHost(self.tokens, self.repositories, table(self._areas(tracker)))
        git = GitHost(self.repositories, self.tokens, tracker)
        self.services: list[Service] = [api, git, self._identity]

    def start(self) -> None:
        """Take up the runs that an earlier local cloud left: from now on, jobs reach this one."""
        self.runner.start()

    def _areas(self, tracker: Tracker) -> Areas:
        return Areas(
            repos=Repos(self.repositories),
            forks=Forks(self.repositories),
            collaborators=Collaborators(self.repositories.people),
            refs=Refs(self.repositories),
            contents=Contents(self.repositories),
            issues=Issues(tracker),
            comments=Comments(tracker),
            labels=Labels(tracker),
            pulls=Pulls(tracker),
            merging=Merging(self.repositories, tracker),
            reviews=Reviews(tracker),
            statuses=Statuses(tracker),
            apps=Apps(self.apps, self.repositories, self.tokens),
            actions=Actions(self.runs, self.runner, self.triggers),
            artifacts=Artifacts(self.runs, self.caches.root),
            attestations=Attestations(self.cloud.store),
            checks=CheckRuns(self.jobs),
        )

    def _pulled(self, where: Repository, record: Record, activity: str) -> None:
        """The caches of a pull request end with it, unless its jobs are at work with them."""
        if activity != "closed":
            return
        ref = f"refs/pull/{record['number']}/merge"
        working = [(run["repository"], run["ref"]) for run in self.runs.in_status("in_progress")]
        if (where.full_name, ref) not in working:
            self.caches.forget(where.full_name, ref)

    @property
    def on_push(self) -> list[PushHook]:
        """Called with repository, ref, before and after (zeros: not there) of each ref that moved."""
        return self.repositories.on_push

    def ensure(self, owner: str, name: str) -> Repository:
        """The repository, made where it is not there yet."""
        return self.repositories.find(owner, name) or self.repositories.create(owner, name)

    def register_app(self, name: str, permissions: Mapping[str, str]) -> dict[str, Any]:
        """Register an App (again: rotate its key); returns app_id, installation_id and private_key."""
        return self.apps.register(name, permissions)

    def person_token(self, login: str, owner_of: str = "") -> str:
        """A person's token, who may be one of the owners of an organization."""
        if owner_of:
            self.repositories.people.join(owner_of, login)
        return self.tokens.person(login)

    def job_token(self, permissions: Mapping[str, str], repository: str = "", run: int = 0) -> str:
        """What a workflow job's own GITHUB_TOKEN is: github-actions[bot]'s, while the run lasts."""
        asked = {name.replace("-", "_"): level for name, level in permissions.items()}
        granted = {
            name: level for name, level in asked.items() if name != "id_token" and level != "none"
        }
        names = [repository or self.cloud.world.repository]
        return self.tokens.installation(BOT, {"metadata": "read", **granted}, names, run)

    def _token(self, run: Run, permissions: Mapping[str, str]) -> str:
        return self.job_token(permissions, run["repository"], run["id"])

    def busy(self) -> bool:
        """Whether a workflow run is at work."""
        return self.runner.busy()

    def _revoke(self, run: Run) -> None:
        self.tokens.revoke_of(run["id"])
        self._identity.forget(run["id"])

    def close(self) -> None:
        """End the runs in progress."""
        self.runner.close()


class ApiHost:
    """The service at api.github.com: checks who asks for what, then lets the parts answer."""

    hosts: tuple[str, ...] = (r"api\.github\.com",)

    def __init__(self, tokens: Tokens, repositories: Repositories, entries: list[Entry]) -> None:
        self.tokens, self.repositories, self.entries = tokens, repositories, entries

    def routes(self) -> list[Route]:
        """The table, each call behind the gate."""
        api = description("github")
        return [
            Route(verb, path, self._gate((needs, role_for(verb, path, needs)), api.find(verb, path), to))
            for verb, path, needs, to in self.entries
        ]

    def refuse(self, request: Request, error: ApiError) -> Response:
        """GitHub's error body."""
        return _dressed(request, render(request, error))

    def _gate(self, wanted: tuple[str, str], operation: Operation | None, to: Method) -> Handler:
        """A call behind what it wants: a permission of an App, a role of a person."""
        method = partial(answered, description("github"), operation, to)

        def handle(request: Request) -> Response:
            caller = self._caller(request, wanted[0])
            token = ACTOR.set(caller.login)
            try:
                with nullcontext() if request.method == "GET" else self.repositories.writing:
                    place, role = self._place(request, caller)  # as whoever wrote before has left it
                    _check(caller, role, wanted, operation)
                    return _dressed(request, method(Call(request, caller, place, role)))
            except GitError as error:
                raise GitHubError(422, f"git refused: {error}") from None
            finally:
                ACTOR.reset(token)

        return handle

    def _caller(self, request: Request, needs: str) -> Identity:
        if needs == APP:
            return Identity("app", {})
        caller = self.tokens.identify(request.headers.get("authorization", ""))
        if needs == PERSON and caller.permissions is not None:
            raise forbidden()
        return caller

    def _place(self, request: Request, caller: Identity) -> tuple[Repository | None, str]:
        """The repository in the path, and the caller's role in it. Raises GitHubError (404)."""
        names = request.params
        if not {"owner", "repo"} <= names.keys():
            return None, "admin"
        found = self.repositories.get(names["owner"], names["repo"])
        role = self.repositories.role(found, caller)
        if role == "none":
            raise not_found()
        return found, role


def _check(caller: Identity, role: str, wanted: tuple[str, str], operation: Operation | None) -> None:
    """Whether a caller with that role may make the call. Raises GitHubError (403, 404)."""
    needs, needed = wanted
    guest = caller.permissions is not None and role != "admin"  # an App that is not installed there
    if ":" in needs and (not caller.may(needs) or (guest and needs.endswith(":write"))):
        raise forbidden()
    if not reaches(role, needed):
        raise _lacking(operation)


def _lacking(operation: Operation | None) -> GitHubError:
    """A role that is too low: not there, where GitHub describes that and no refusal."""
    answers = operation.answers if operation else {}
    return not_found() if "404" in answers and "403" not in answers else no_rights()


def _dressed(request: Request, answer: Response) -> Response:
    """An answer with GitHub's headers; 304 where the client has it already."""
    reset = (int(time.time()) // 3600 + 1) * 3600
    headers = {
        "content-type": "application/json; charset=utf-8",
        "x-github-request-id": secrets.token_hex(8).upper(),
        "x-github-media-type": "github.v3; format=json",
        "x-ratelimit-limit": str(LIMIT),
        "x-ratelimit-remaining": str(LIMIT - 1),
        "x-ratelimit-used": "1",
        "x-ratelimit-reset": str(reset),
        "x-ratelimit-resource": "core",
        **answer.headers,
    }
    if request.method != "GET" or answer.status != 200:
        return Response(answer.body, answer.status, headers)
    headers["etag"] = f'W/"{hashlib.sha256(answer.encoded()).hexdigest()}"'
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(b"", 304, headers)
    return Response(answer.body, answer.status, headers)
