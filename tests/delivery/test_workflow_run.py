"""The workflow run that a verb is a step of: its time, asked of GitHub over the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from delivery import patience, submit, workflow_run
from flows.errors import InputError, RetrainError
from localcloud.errors import ApiError
from localcloud.http import Request, Response, Route
from tests.localcloud.served import serve

MADE = "2026-11-21T08:45:00Z"


class GitHub:
    """Gives one answer after another to the run 42, whose job has the token."""

    hosts = (r"api\.github\.com",)

    def __init__(self) -> None:
        self.answers: list[Response] = []

    def routes(self) -> list[Route]:
        return [Route("GET", "/repos/acme/models/actions/runs/42", self.run)]

    def run(self, request: Request) -> Response:
        assert request.headers["authorization"] == "Bearer job-token"
        return self.answers.pop(0)

    def refuse(self, request: Request, error: ApiError) -> Response:
        return Response({"message": str(error)}, status=404)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Response]]:
    """What GitHub answers; the environment is that of the run's step."""
    github = GitHub()
    with serve(github, "api.github.com") as url:
        for name, value in (("RUN_ID", "42"), ("REPOSITORY", "acme/models"), ("TOKEN", "job-token")):
            monkeypatch.setenv(f"GITHUB_{name}", value)
        monkeypatch.setenv("GITHUB_API_URL", url)
        monkeypatch.setattr("urllib3.util.Retry.sleep", lambda *_: None)
        yield github.answers


def test_a_run_s_time_is_the_trigger(answers: list[Response]) -> None:
    answers.append(Response({"created_at": MADE, "run_started_at": "2026-11-22T00:00:00Z"}))
    assert submit.present() == datetime(2026, 11, 21, 8, 45, tzinfo=UTC)


def test_a_busy_github_is_asked_again(answers: list[Response]) -> None:
    answers += [Response({}, status=503), Response({}, status=502), Response({"created_at": MADE})]
    assert workflow_run.created_at() == datetime(2026, 11, 21, 8, 45, tzinfo=UTC)


def test_a_github_that_stays_busy_is_named(answers: list[Response]) -> None:
    answers += [Response({}, status=503)] * 9
    with pytest.raises(RetrainError, match="workflow run 42: its time is not known: GitHub answers 503"):
        workflow_run.created_at()
    assert len(answers) == 9 - patience.TRIES


@pytest.mark.parametrize("body", [{}, {"created_at": "soon"}])
def test_an_answer_without_a_time_is_named(answers: list[Response], body: dict[str, str]) -> None:
    answers.append(Response(body))
    with pytest.raises(RetrainError, match="has no time"):
        workflow_run.created_at()


def test_a_step_without_a_token_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_RUN_ID", "42")
    monkeypatch.setenv("GITHUB_REPOSITORY", "acme/models")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"GITHUB_TOKEN: \$\{\{ github.token \}\}"):
        workflow_run.created_at()


def test_outside_of_a_workflow_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_RUN_ID", raising=False)
    before = datetime.now(UTC)
    assert workflow_run.created_at() is None
    assert before <= submit.present() <= datetime.now(UTC)
