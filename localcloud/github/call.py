"""One authenticated REST call, and pages of its answers."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from localcloud.github.errors import GitHubError, missing, no_rights, not_found
from localcloud.github.identity import Identity
from localcloud.github.people import reaches
from localcloud.github.repository import Repository
from localcloud.http import Request, Response

API = "https://api.github.com"
PER_PAGE, MOST = 30, 100


@dataclass(frozen=True)
class Call:
    """What an API method gets: the request, who asks, the repository in the path, and the role there.

    An App has every role where it is installed: its permissions have been looked at.
    """

    request: Request
    caller: Identity
    place: Repository | None
    role: str

    @property
    def repository(self) -> Repository:
        """The repository in the path. Raises GitHubError (404)."""
        if self.place is None:
            raise not_found()
        return self.place

    @property
    def login(self) -> str:
        """Who asks."""
        return self.caller.login

    def may(self, role: str) -> bool:
        """Whether the caller has that role in the repository, or a higher one."""
        return reaches(self.role, role)

    def only(self, author: str, role: str) -> None:
        """Let nobody pass but the author and who has that role. Raises GitHubError (403)."""
        if self.login != author and not self.may(role):
            raise no_rights()

    @cached_property
    def body(self) -> Any:
        """The body's JSON. Raises GitHubError (400)."""
        try:
            return json.loads(self.request.body or b"{}")
        except ValueError:
            raise GitHubError(400, "Problems parsing JSON") from None

    @property
    def data(self) -> dict[str, Any]:
        """The body as a table. Raises GitHubError (400)."""
        if not isinstance(self.body, dict):
            raise GitHubError(400, "Body should be a JSON object")
        return self.body

    def need(self, field: str, kind: type = str) -> Any:
        """A field that must be there. Raises GitHubError (422)."""
        value = self.data.get(field)
        if value is None:
            raise missing(field)
        if not isinstance(value, kind):
            shown = json.dumps(value)[:80]
            raise GitHubError(
                422, f"Invalid request.\n\nFor 'properties/{field}', {shown} is not a {kind.__name__}."
            )
        return value

    def param(self, name: str) -> str:
        """A name from the path."""
        return self.request.params[name]

    def number(self, name: str = "number") -> int:
        """A number from the path. Raises GitHubError (404)."""
        try:
            return int(self.param(name))
        except ValueError:
            raise not_found() from None

    def query(self, name: str, default: str = "") -> str:
        """A field of the query string."""
        return self.request.query.get(name) or default


def page(
    call: Call, items: Sequence[Any], shape: Callable[[Any], Any] = lambda item: item, under: str = ""
) -> Response:
    """The page that was asked for, shaped; `under` names the list where GitHub wraps it."""
    per_page = min(_positive(call.query("per_page"), PER_PAGE), MOST)
    number = _positive(call.query("page"), 1)
    last = max(1, -(-len(items) // per_page))
    shown = [shape(item) for item in items[(number - 1) * per_page : number * per_page]]
    body = {"total_count": len(items), under: shown} if under else shown
    links = _links(call.request, number, last)
    return Response(body, headers={"link": links} if links else {})


def _positive(text: str, default: int) -> int:
    return int(text) if text.isdigit() and int(text) > 0 else default


def _links(request: Request, number: int, last: int) -> str:
    before = {"prev": number - 1, "first": 1} if number > 1 else {}
    after = {"next": number + 1, "last": last} if number < last else {}
    base = f"{API}{request.path}?"
    queries = {rel: urlencode({**request.query, "page": to}) for rel, to in {**before, **after}.items()}
    return ", ".join(f'<{base}{query}>; rel="{rel}"' for rel, query in queries.items())
