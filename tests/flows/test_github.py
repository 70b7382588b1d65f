from typing import Any

import github as pygithub
import pytest

from flows import github
from flows.errors import InputError, RetrainError
from flows.secrets import GitHubApp

APP = GitHubApp(app_id=1, installation_id=2, private_key="none")


class Requester:
    calls: list[Any] = []

    def __init__(self, **_: Any) -> None:
        self.requester = self

    def requestJsonAndCheck(self, verb: str, url: str, input: Any) -> Any:  # noqa: N802, A002
        self.calls.append((verb, url, input))
        return {}, {"token": "t"}


def test_a_token_is_for_one_repository_and_few_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pygithub, "GithubIntegration", Requester)
    assert github.installation_token(APP, "owner/name", {"actions": "write"}) == "t"
    wanted = {"repositories": ["name"], "permissions": {"actions": "write"}}
    assert Requester.calls == [("POST", "/app/installations/2/access_tokens", wanted)]


def test_a_key_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="not a PEM key"):
        github.installation_token(APP, "owner/name", {"actions": "write"})


def test_githubs_refusal_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise pygithub.UnknownObjectException(404, {"message": "Not Found"})

    monkeypatch.setattr(Requester, "requestJsonAndCheck", refuse)
    monkeypatch.setattr(pygithub, "GithubIntegration", Requester)
    with pytest.raises(RetrainError, match=r"GitHub says 404: Not Found\n.*install the App"):
        github.installation_token(APP, "owner/name", {})
