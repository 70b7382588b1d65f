"""Accounts and repositories: who am I, get and create."""

from localcloud.github import shapes
from localcloud.github.call import Call, page
from localcloud.github.errors import GitHubError
from localcloud.github.repository import Repositories
from localcloud.http import Response

KEPT = ("description", "private")


class Repos:
    """The calls below /user, /users, /orgs and /repos/OWNER/NAME itself."""

    def __init__(self, repositories: Repositories) -> None:
        self.repositories = repositories

    def user(self, call: Call) -> Response:
        """GET /user."""
        return Response(shapes.full_account(call.login))

    def account(self, call: Call) -> Response:
        """GET /users/LOGIN."""
        return Response(shapes.full_account(call.param("login")))

    def organization(self, call: Call) -> Response:
        """GET /orgs/ORG."""
        return Response(shapes.full_account(call.param("org"), "Organization"))

    def rate_limit(self, _call: Call) -> Response:
        """GET /rate_limit."""
        core = {"limit": 5000, "used": 0, "remaining": 5000, "reset": 4102444800}
        return Response({"resources": {"core": core, "search": core, "graphql": core}, "rate": core})

    def get(self, call: Call) -> Response:
        """GET a repository."""
        return Response(shapes.full_repository(call.repository))

    def update(self, call: Call) -> Response:
        """PATCH a repository: its description and default branch."""
        found, data = call.repository, call.data
        branch = data.get("default_branch", found.default_branch)
        if branch != found.default_branch and not found.branch(branch):
            message = f"The branch {branch} was not found. Please push that ref first"
            raise GitHubError(422, f"{message} or create it via the Git Data API.")
        found.record |= {"default_branch": branch, **{key: data[key] for key in KEPT if key in data}}
        found.raw("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        self.repositories.store.put("github-repository", found.key, found.record)
        return Response(shapes.full_repository(self.repositories.get(found.owner, found.name)))

    def mine(self, call: Call) -> Response:
        """GET /user/repos."""
        return page(call, self.repositories.list(), shapes.repository)

    def of(self, call: Call) -> Response:
        """GET /orgs/ORG/repos and /users/LOGIN/repos."""
        return page(call, self.repositories.list(call.param("owner")), shapes.repository)

    def create(self, call: Call) -> Response:
        """POST /user/repos."""
        return self._create(call, call.login, "User")

    def create_in(self, call: Call) -> Response:
        """POST /orgs/ORG/repos."""
        return self._create(call, call.param("org"), "Organization")

    def _create(self, call: Call, owner: str, kind: str) -> Response:
        fields = {key: call.data[key] for key in KEPT if key in call.data}
        private = {"private": False, **fields, "owner_type": kind}
        found = self.repositories.create(owner, call.need("name"), **private)
        return Response(shapes.full_repository(found), status=201)
