"""Accounts and repositories: who am I, get and create."""

from collections.abc import Iterable

from localcloud.github import shapes
from localcloud.github.call import Call, page
from localcloud.github.errors import GitHubError, custom
from localcloud.github.repository import Repositories, Repository
from localcloud.http import Response

KEPT = ("description", "private")
STAYS_PUBLIC = "Public forks can't be made private. Please duplicate the repository."
NOT_YOURS = "You need admin access to the organization before adding a repository to it."


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
        """GET a repository; of a fork, what it was made from too."""
        found = shapes.full_repository(call.repository, self.repositories.origins(call.repository))
        return Response({**found, "permissions": shapes.permissions(call.role)})

    def update(self, call: Call) -> Response:
        """PATCH a repository: its description, default branch and visibility; no fork is private."""
        found, data = call.repository, call.data
        if found.is_fork and data.get("private"):
            raise custom("Repository", STAYS_PUBLIC, field="private")
        branch = data.get("default_branch", found.default_branch)
        if branch != found.default_branch and not found.branch(branch):
            message = f"The branch {branch} was not found. Please push that ref first"
            raise GitHubError(422, f"{message} or create it via the Git Data API.")
        if data.get("private"):
            self.repositories.split(found)
        found.record |= {"default_branch": branch, **{key: data[key] for key in KEPT if key in data}}
        found.raw("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        self.repositories.store.put("github-repository", found.key, found.record)
        changed = self.repositories.get(found.owner, found.name)
        return Response(shapes.full_repository(changed, self.repositories.origins(changed)))

    def mine(self, call: Call) -> Response:
        """GET /user/repos: those in which the caller has a role by name."""
        people, every = self.repositories.people, self.repositories.list()
        found = [one for one in every if people.granted(one, call.login) != "none"]
        return page(call, found, shapes.repository)

    def of(self, call: Call) -> Response:
        """GET /orgs/ORG/repos and /users/LOGIN/repos."""
        return page(call, [*self._seen(call)], shapes.repository)

    def _seen(self, call: Call) -> Iterable[Repository]:
        for one in self.repositories.list(call.param("owner")):
            if self.repositories.role(one, call.caller) != "none":
                yield one

    def create(self, call: Call) -> Response:
        """POST /user/repos."""
        return self._create(call, call.login, "User")

    def create_in(self, call: Call) -> Response:
        """POST /orgs/ORG/repos."""
        if not self.repositories.people.owns(call.param("org"), call.login):
            raise GitHubError(403, NOT_YOURS)
        return self._create(call, call.param("org"), "Organization")

    def _create(self, call: Call, owner: str, kind: str) -> Response:
        fields = {key: call.data[key] for key in KEPT if key in call.data}
        private = {"private": False, **fields, "owner_type": kind}
        found = self.repositories.create(owner, call.need("name"), **private)
        return Response(shapes.full_repository(found), status=201)
