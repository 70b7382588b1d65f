"""Forks: a person's own copy of a repository, from which pull requests come."""

from localcloud.github import shapes
from localcloud.github.call import Call, page
from localcloud.github.errors import GitHubError
from localcloud.github.repos import NOT_YOURS
from localcloud.github.repository import Repositories, Repository
from localcloud.http import Response

DISABLED = "The repository exists, but forking is disabled."
EMPTY = "The repository exists, but it contains no Git content. Empty repositories cannot be forked."
ALL, TAGS = "refs/heads/*", "refs/tags/*"


class Forks:
    """The calls below /forks."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    def list(self, call: Call) -> Response:
        """GET the forks, newest first."""
        found = [one for one in self._repositories.network(call.repository) if _is_of(one, call)]
        return page(call, found if call.query("sort") == "oldest" else found[::-1], shapes.repository)

    def create(self, call: Call) -> Response:
        """POST: a fork of the caller's, or of an organization that the caller owns; again: the same."""
        where, owner = call.repository, call.data.get("organization") or call.login
        if not self._repositories.people.owns(owner, call.login):
            raise GitHubError(403, NOT_YOURS)
        if where.record["private"]:
            raise GitHubError(403, DISABLED)
        if where.head is None:
            raise GitHubError(403, EMPTY)
        network = self._repositories.network(where)
        fork = next((one for one in network if one.owner.lower() == owner.lower()), None)
        fork = fork or self._made(call, owner)
        if not fork.refs():  # new, or left as it was when an earlier local cloud ended
            _fill(fork, where, bool(call.data.get("default_branch_only")))
        return Response(shapes.full_repository(fork, self._repositories.origins(fork)), status=202)

    def _made(self, call: Call, owner: str) -> Repository:
        where, name = call.repository, call.data.get("name")
        return self._repositories.create(
            owner,
            name or self._free(owner, where.name),
            private=False,
            default_branch=where.default_branch,
            description=where.record.get("description"),
            owner_type="Organization" if call.data.get("organization") else "User",
            parent=where.full_name,
            source=where.record.get("source", where.full_name),
        )

    def _free(self, owner: str, name: str) -> str:
        """The name, or with the first number that makes it one of nothing else of the owner's."""
        taken = {one.name.lower() for one in self._repositories.list(owner)}
        names = [name, *(f"{name}-{number}" for number in range(1, len(taken) + 1))]
        return next(one for one in names if one.lower() not in taken)


def _is_of(one: Repository, call: Call) -> bool:
    return bool(one.record.get("parent") == call.repository.full_name)


def _fill(fork: Repository, where: Repository, default_only: bool) -> None:
    """Fetch all branches and tags, or the default branch alone; nobody is told: it is no push."""
    taken = [f"refs/heads/{where.default_branch}"] if default_only else [ALL, TAGS]
    fork.raw("fetch", "--quiet", "--no-tags", str(where.path), *(f"+{one}:{one}" for one in taken))
