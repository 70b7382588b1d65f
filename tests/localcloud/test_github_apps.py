"""Apps: JWTs, installations' tokens, and what these may not do."""

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from github import Auth, GithubException, GithubIntegration

from tests.localcloud.github_harness import Site


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("github"))
    site.commit({"README.md": "# Models\n"})
    site.commit({"x": "1"}, "change")
    yield site
    site.close()


def ask(
    shared: Site, token: str, method: str = "GET", path: str = "/app", **more: Any
) -> requests.Response:
    headers = {"authorization": f"Bearer {token}"}
    return requests.request(method, shared.api + path, headers=headers, timeout=5, **more)


def token_for(key: str, **claims: object) -> str:
    now = int(time.time())
    return jwt.encode({"iat": now - 60, "exp": now + 300, **claims}, key, algorithm="RS256")


def test_installation_through_pygithub(shared: Site) -> None:
    secret = shared.hub.register_app("notify", {"actions": "write"})
    auth = Auth.AppAuth(secret["app_id"], secret["private_key"])
    integration = GithubIntegration(
        auth=auth, base_url=shared.api, seconds_between_requests=0, seconds_between_writes=0, retry=None
    )
    installation = integration.get_repo_installation("acme", "models")
    assert (installation.id, installation.app_slug) == (secret["installation_id"], "notify")
    assert [one.id for one in integration.get_installations()] == [installation.id]
    assert integration.get_app().slug == "notify"
    token = integration.get_access_token(installation.id, {"actions": "read"})
    assert token.token.startswith("ghs_")
    assert token.permissions == {"metadata": "read", "actions": "read"}
    assert [one.full_name for one in installation.get_repos()] == ["acme/models"]


def test_an_app_for_actions_cannot_open_a_pull_request(shared: Site) -> None:
    repo = shared.app_client("notify", actions="write").get_repo("acme/models")
    for call in (
        lambda: repo.create_pull("main", "change", title="No"),
        lambda: repo.create_git_ref("refs/heads/no", str(shared.repository.head)),
        lambda: repo.create_issue("No"),
        lambda: repo.get_contents("README.md"),
    ):
        with pytest.raises(GithubException) as error:
            call()
        assert (error.value.status, error.value.data["message"]) == (
            403,
            "Resource not accessible by integration",
        )
    assert repo.get_workflows().totalCount == 0
    releaser = shared.app_client("release", contents="write", pull_requests="write")
    pull = releaser.get_repo("acme/models").create_pull("main", "change", title="Yes")
    assert pull.user.login == "release[bot]"
    pull.create_issue_comment("May talk where pull requests may be written")


def test_tokens_are_no_wider_than_the_app(shared: Site) -> None:
    secret = shared.hub.register_app("narrow", {"actions": "write"})
    path = f"/app/installations/{secret['installation_id']}/access_tokens"
    mine = token_for(secret["private_key"], iss=str(secret["app_id"]))
    wide = ask(shared, mine, "POST", path, json={"permissions": {"contents": "read"}})
    assert (wide.status_code, "not granted" in wide.text) == (422, True)
    other = ask(shared, mine, "POST", path, json={"repositories": ["other"]})
    assert (other.status_code, "does not exist or is not accessible" in other.text) == (422, True)
    good = ask(shared, mine, "POST", path, json={"repositories": ["models"]})
    assert good.status_code == 201
    assert [one["full_name"] for one in good.json()["repositories"]] == ["acme/models"]
    token = good.json()["token"]
    shared.hub.ensure("acme", "other")
    assert ask(shared, token, path="/repos/acme/other").status_code == 404
    assert ask(shared, token, path="/user").status_code == 403
    assert ask(shared, token, "DELETE", "/installation/token").status_code == 204
    assert ask(shared, token, path="/repos/acme/models").status_code == 401


def test_web_tokens_are_checked(shared: Site) -> None:
    secret = shared.hub.register_app("checked", {})
    key, app = secret["private_key"], str(secret["app_id"])
    now = int(time.time())
    assert ask(shared, token_for(key, iss=app)).json()["slug"] == "checked"
    stranger = shared.hub.register_app("stranger", {})["private_key"]
    for token, status, message in (
        ("nonsense", 401, "could not be decoded"),
        (token_for(stranger, iss=app), 401, "could not be decoded"),
        (token_for(key, iss="1"), 404, "Integration not found"),
        (token_for(key, iss=app, exp=now + 3600), 401, "too far in the future"),
        (token_for(key, iss=app, exp=now - 5), 401, "the future time"),
        (token_for(key, iss=app, iat=now + 300), 401, "'Issued at' claim"),
    ):
        answer = ask(shared, token)
        assert answer.status_code == status
        assert message in answer.json()["message"]


def test_registering_again_rotates_the_key(shared: Site) -> None:
    old = shared.hub.register_app("turning", {"contents": "read"})
    new = shared.hub.register_app("turning", {"contents": "read"})
    assert (old["app_id"], old["installation_id"]) == (new["app_id"], new["installation_id"])
    app = str(old["app_id"])
    assert ask(shared, token_for(old["private_key"], iss=app)).status_code == 401
    assert ask(shared, token_for(new["private_key"], iss=app)).status_code == 200
    assert "PRIVATE" not in str(shared.cloud.store.list("github-app"))


def test_tokens_expire_but_not_those_of_a_run(shared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hour, run = (shared.hub.job_token({"contents": "read"}, run=number) for number in (0, 7))
    assert ask(shared, hour, path="/repos/acme/models").status_code == 200
    later = time.time() + 3601
    monkeypatch.setattr("localcloud.github.identity.time.time", lambda: later)
    assert ask(shared, hour, path="/repos/acme/models").status_code == 401
    assert ask(shared, run, path="/repos/acme/models").status_code == 200
    shared.hub.tokens.revoke_of(7)
    assert ask(shared, run, path="/repos/acme/models").status_code == 401
