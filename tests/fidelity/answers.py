"""Checks each answer of a local service against its vendor's description, and notes what was called."""

import json
from collections.abc import Callable
from typing import Any

from localcloud.described import Description, Problem, normal
from localcloud.http import Query, Request, Response, Router


class Checked:
    """A router whose every answer is compared with the description; what differs is in `wrong`."""

    def __init__(self, api: Description, router: Router, host: str, token: Callable[[], str]) -> None:
        self.api, self.router, self.host, self.token = api, router, host, token
        self.called: set[str] = set()
        self.wrong: list[str] = []

    def ask(self, verb: str, target: str, body: Any = None, **headers: str) -> Any:
        """A call that must succeed; its answer as JSON (bytes where it is none)."""
        response = self.send(verb, target, body, **headers)
        assert response.status < 400, (verb, target, response.encoded())
        return response.body

    def send(self, verb: str, target: str, body: Any = None, **headers: str) -> Response:
        """Any call, its answer checked."""
        path, _, query = target.partition("?")
        known = {"authorization": self.token()} | {k.replace("_", "-"): v for k, v in headers.items()}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(verb, self.host, path, Query.parse(query), known, data)
        response = self.router(request)
        self._check(request, response)
        return response

    def _check(self, request: Request, response: Response) -> None:
        route = self.router.find(request)[1]
        operation = self.api.find(request.method, route.path) if route else None
        if operation is None or route is None:
            return
        if response.status < 400:
            self.called.add(f"{request.method} {normal(route.path)}")
        answers = operation.answers
        if str(response.status) not in answers and response.status >= 300:
            return
        if str(response.status) not in answers and response.status == 204:
            answers = {**answers, "204": None}
        if str(response.status) not in answers:
            self.wrong.append(f"{operation.name}: status {response.status} is none of {sorted(answers)}")
        schema = answers.get(str(response.status))
        if schema and not isinstance(response.body, bytes):
            found = self.api.problems(schema, response.body)
            self.wrong += [f"{operation.name} {response.status}: {_words(one)}" for one in found]


def _words(problem: Problem) -> str:
    value = "" if problem.value is None else f" = {json.dumps(problem.value)[:60]}"
    return f"{problem.kind} {problem.at}.{problem.name}{value}"
