"""Collaborators of a repository: people with a role by name. Who is invited has accepted."""

from typing import Any

from localcloud.github.call import Call, page
from localcloud.github.errors import GitHubError, invalid, not_found
from localcloud.github.people import ASKED, ROLES, People
from localcloud.github.shapes import account, permissions
from localcloud.http import Response

NO_LIST = "Must have push access to view repository collaborators."


class Collaborators:
    """The calls below /collaborators."""

    def __init__(self, people: People) -> None:
        self._people = people

    def list(self, call: Call) -> Response:
        """GET everybody with a role by name."""
        if not call.may("write"):
            raise GitHubError(403, NO_LIST)
        return page(call, sorted(self._people.of(call.repository).items()), _show)

    def get(self, call: Call) -> Response:
        """GET: 204 for a collaborator, 404 for anybody else."""
        if not call.may("write"):
            raise GitHubError(403, NO_LIST)
        if self._people.granted(call.repository, call.param("username")) == "none":
            raise not_found()
        return Response(status=204)

    def put(self, call: Call) -> Response:
        """PUT a person in, with a role; 204, as for somebody who needs no invitation."""
        asked = call.data.get("permission") or "push"
        role = ASKED.get(asked, asked)
        if role not in ROLES[1:]:
            raise invalid("Repository", "permission")
        self._people.grant(call.repository, call.param("username"), role)
        return Response(status=204)

    def remove(self, call: Call) -> Response:
        """DELETE: a collaborator no more."""
        self._people.revoke(call.repository, call.param("username"))
        return Response(status=204)


def _show(one: tuple[str, str]) -> dict[str, Any]:
    login, role = one
    return {**account(login), "permissions": permissions(role), "role_name": role}
