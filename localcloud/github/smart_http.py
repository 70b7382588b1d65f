"""Git over HTTPS at github.com: git's own http-backend behind GitHub's tokens; and a page to read."""

from html import escape
from urllib.parse import urlencode

from localcloud.errors import ApiError
from localcloud.github.commits import changed_files
from localcloud.github.errors import GitHubError, not_found
from localcloud.github.git import run
from localcloud.github.identity import ACTOR, Identity, Tokens
from localcloud.github.people import reaches
from localcloud.github.pullview import span
from localcloud.github.repository import Repositories, Repository
from localcloud.github.tracker import Tracker
from localcloud.http import Request, Response, Route

ASK = {"www-authenticate": 'Basic realm="GitHub"'}
PLAIN = {"content-type": "text/plain; charset=utf-8"}
HTML = {"content-type": "text/html; charset=utf-8"}
NEEDS = {"git-upload-pack": "contents:read", "git-receive-pack": "contents:write"}
JOBS = ("run-", "job-")  # how the proxy users of what is no person begin
ROLE = {"git-upload-pack": "read", "git-receive-pack": "write"}


class GitHost:
    """The service at github.com."""

    hosts: tuple[str, ...] = (r"github\.com",)

    def __init__(self, repositories: Repositories, tokens: Tokens, tracker: Tracker) -> None:
        self.repositories, self.tokens, self.tracker = repositories, tokens, tracker

    def routes(self) -> list[Route]:
        """Git's three calls, and the page of a pull request."""
        return [
            Route("GET", "/{owner}/{repo}/info/refs", self.refs),
            Route("POST", "/{owner}/{repo}/git-upload-pack", self.upload),
            Route("POST", "/{owner}/{repo}/git-receive-pack", self.receive),
            Route("GET", "/{owner}/{repo}/pull/{number}", self.page),
        ]

    def refuse(self, _request: Request, error: ApiError) -> Response:
        """Plain text, which git shows; 401 makes it ask for credentials."""
        ask = ASK if error.status == 401 else {}
        return Response(error.message.encode(), status=error.status, headers={**PLAIN, **ask})

    def refs(self, request: Request) -> Response:
        """What there is to fetch, or to push to."""
        service = request.query.get("service", "")
        if service not in NEEDS:
            raise GitHubError(403, "Please upgrade your git client.")
        where, _ = self._open(request, service)
        return _backend(where, request, "info/refs")

    def upload(self, request: Request) -> Response:
        """A fetch or clone."""
        where, _ = self._open(request, "git-upload-pack")
        return _backend(where, request, "git-upload-pack")

    def receive(self, request: Request) -> Response:
        """A push."""
        with self.repositories.writing:
            where, caller = self._open(request, "git-receive-pack")
            before = where.refs()
            answer = _backend(where, request, "git-receive-pack")
            token = ACTOR.set(caller.login)
            try:
                self.repositories.pushed(where, before, where.refs())
            finally:
                ACTOR.reset(token)
        return answer

    def _open(self, request: Request, service: str) -> tuple[Repository, Identity]:
        caller = self.tokens.identify(request.headers.get("authorization", ""))
        owner, name = request.params["owner"], request.params["repo"].removesuffix(".git")
        where = self.repositories.find(owner, name)
        role = self.repositories.role(where, caller) if where else "none"
        if where is None or role == "none" or not caller.may("metadata:read"):
            raise GitHubError(404, "Repository not found.")
        if not caller.may(NEEDS[service]) or not reaches(role, ROLE[service]):
            raise GitHubError(403, f"Permission to {where.full_name}.git denied to {caller.login}.")
        return where, caller

    def page(self, request: Request) -> Response:
        """A pull request for a person to read; a browser on this machine needs no token, a job does."""
        where = self.repositories.get(request.params["owner"], request.params["repo"])
        if request.caller.startswith(JOBS) and not self._reads(request, where):
            raise not_found()
        number = request.params["number"]
        record = self.tracker.get(where, int(number) if number.isdigit() else 0)
        files = changed_files(where, *span(where, record)) if record["pull"] else []
        changed = "".join(
            f"<h3>{escape(one['filename'])}</h3>{_pre(one.get('patch', ''))}" for one in files
        )
        title = escape(f"{record['title']} #{record['number']}")
        text = f"<h1>{title}</h1><p>{record['state']}</p>{_pre(record['body'] or '')}{changed}"
        page = f'<!doctype html><meta charset="utf-8"><title>{title}</title>{text}'
        return Response(page.encode(), headers=HTML)

    def _reads(self, request: Request, where: Repository) -> bool:
        """Whether the repository is public, or the request's token one that reads its pull requests."""
        given = request.headers.get("authorization", "")
        if not given:
            return not where.record["private"]
        caller = self.tokens.identify(given)
        return self.repositories.role(where, caller) != "none" and caller.may("pull_requests:read")


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _backend(where: Repository, request: Request, path: str) -> Response:
    """`git http-backend`, a CGI program, on one request."""
    headers = request.headers
    variables = {
        "GIT_PROJECT_ROOT": str(where.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{path}",
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": urlencode(dict(request.query)),
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = run(where.path, ["http-backend"], request.body, variables)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    if done.returncode or not head:
        raise ApiError("INTERNAL", f"git http-backend failed: {done.stderr.decode(errors='replace')}")
    found = dict(line.split(": ", 1) for line in head.decode().splitlines())
    status = int(found.pop("Status", "200").split()[0])
    return Response(body, status=status, headers=found)
