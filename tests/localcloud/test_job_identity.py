"""Identity tokens of workflow jobs: who gets one, what it says, and who can check it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from github.Repository import Repository

from localcloud.http import Query, Request, Response, Router
from localcloud.store import Store
from tests.eventually import eventually
from tests.localcloud.github_harness import Site

ISSUER = "https://token.actions.githubusercontent.com"
# It says how it can ask, and waits for the test to have asked: in the run's folder, which act is in.
WAIT = """
          cd ../../..
          echo "$ACTIONS_ID_TOKEN_REQUEST_URL $ACTIONS_ID_TOKEN_REQUEST_TOKEN" > part
          mv part asks
          until [ -e enough ]; do sleep 0.02; done"""
JOB = (
    """
  {}:
    runs-on: ubuntu-24.04
    {}
    steps:
      - run: |"""
    + WAIT
)
BUTTON = "name: {0}\non:\n  workflow_dispatch:\n    inputs: {{where: {{type: string}}}}\n{1}\n"
GRANT = "permissions: {id-token: write}"
BESIDE = "  other: {runs-on: ubuntu-24.04, steps: [{run: 'test -z \"$ACTIONS_ID_TOKEN_REQUEST_URL\"'}]}"
WORKFLOWS = {
    "granted": f"jobs:\n{BESIDE}" + JOB.format("one", GRANT),
    "above": f"{GRANT}\njobs:" + JOB.format("one", ""),
    "all": "permissions: write-all\njobs:" + JOB.format("one", ""),
    "none": "jobs:" + JOB.format("one", ""),
    "reads": "jobs:" + JOB.format("one", "permissions: read-all"),
    "narrowed": f"{GRANT}\njobs:" + JOB.format("one", "permissions: {contents: read}"),
    "somewhere": "jobs:"
    + JOB.format("one", GRANT + "\n    environment: {name: 'to ${{ inputs.where }}'}"),
    "calls": f"jobs:\n  call:\n    {GRANT}\n    uses: ./.github/workflows/called.yml",
}
CALLED = f"on: workflow_call\n{GRANT}\njobs:" + JOB.format("inner", "")
FILES = {
    f".github/workflows/{name}.yml": BUTTON.format(name, jobs) for name, jobs in WORKFLOWS.items()
} | {".github/workflows/called.yml": CALLED}


@dataclass
class Asking:
    """A run whose job waits: `url` and `token` are what it has to ask with."""

    site: Site
    run: int
    folder: Path

    @property
    def given(self) -> dict[str, str]:
        url, token = (self.folder / "asks").read_text().rstrip("\n").split(" ")
        return {"url": url, "token": token}

    def ask(self, audience: str = "", **changed: str) -> Response:
        """The answer to the job's request, some of it `changed`."""
        given = changed if len(changed) > 1 else self.given | changed
        url = urlsplit(given["url"])
        fields = {key: values[0] for key, values in parse_qs(url.query).items()}
        query = Query((fields | ({"audience": audience} if audience else {})).items())
        headers = {"authorization": f"bearer {given['token']}"}
        return router(self.site)(Request("GET", url.netloc, url.path, query, headers))

    def claims(self, audience: str = "sts.amazonaws.com") -> dict[str, Any]:
        """The claims of a token for `audience`, its signature checked as anybody can."""
        token = self.ask(audience).body["value"]
        return jwt.decode(
            token, public_key(self.site, token), ["RS256"], audience=audience, issuer=ISSUER
        )

    def end(self) -> None:
        (self.folder / "enough").touch()
        repo = self.site.client().get_repo("acme/models")
        eventually(lambda: repo.get_workflow_run(self.run).status == "completed")
        assert repo.get_workflow_run(self.run).conclusion == "success"
        for name in ("asks", "enough"):
            (self.folder / name).unlink()


def router(site: Site) -> Router:
    return Router(site.hub.services)


def public_key(site: Site, token: str) -> jwt.PyJWK:
    """The key that the token names, found as OpenID Connect says."""
    places: list[dict[str, Any]] = []
    for url in (f"{ISSUER}/.well-known/openid-configuration", ""):
        where = urlsplit(url or places[0]["jwks_uri"])
        places.append(router(site)(Request("GET", where.netloc, where.path)).body)
    assert places[0]["issuer"] == ISSUER
    keys = jwt.PyJWKSet.from_dict(places[1])
    return keys[jwt.get_unverified_header(token)["kid"]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("github"))
    made.commit(FILES)
    since(made, "2026-07-14T23:59:59Z")
    yield made
    made.close()


def since(site: Site, moment: str) -> None:
    """Let the repository be made at that moment."""
    record = site.hub.ensure("acme", "models").record | {"created_at": moment}
    site.cloud.store.put("github-repository", "acme/models", record)


@pytest.fixture(scope="module")
def repo(site: Site) -> Repository:
    return site.client().get_repo("acme/models")


def started(site: Site, repo: Repository, name: str, **inputs: str) -> Asking:
    """A run of that workflow, whose job waits until it is told to end."""
    workflow = repo.get_workflow(f"{name}.yml")
    assert workflow.create_dispatch("main", inputs, throw=True)
    run = workflow.get_runs()[0].id
    asking = Asking(site, run, site.root / "runs" / str(run))
    eventually((asking.folder / "asks").exists)
    return asking


def test_the_token_says_what_runs(site: Site, repo: Repository) -> None:
    asking, now = started(site, repo, "granted"), int(time.time())
    claims = asking.claims()
    times = [claims.pop(key) - now for key in ("nbf", "iat", "exp")]
    assert [round(one, -2) for one in times] == [-600, 0, 300]
    assert claims.pop("jti") != asking.claims()["jti"]
    sha, ref = site.repository.head, "refs/heads/main"
    workflow = f"acme/models/.github/workflows/granted.yml@{ref}"
    assert claims == {
        **{"iss": ISSUER, "aud": "sts.amazonaws.com", "sub": f"repo:acme/models:ref:{ref}"},
        **{"actor": "olivia", "actor_id": claims["actor_id"], "event_name": "workflow_dispatch"},
        **{"ref": ref, "ref_type": "branch", "ref_protected": "false", "base_ref": "", "head_ref": ""},
        **{"repository": "acme/models", "repository_id": str(repo.id), "repository_owner": "acme"},
        **{"repository_owner_id": str(repo.owner.id), "repository_visibility": "private"},
        **{"run_id": str(asking.run), "run_number": "1", "run_attempt": "1"},
        **{"sha": sha, "workflow_sha": sha, "job_workflow_sha": sha, "workflow": "granted"},
        **{"workflow_ref": workflow, "job_workflow_ref": workflow},
        "runner_environment": "github-hosted",
    }
    assert claims["actor_id"].isdigit()
    token = asking.ask().body["value"]
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "https://github.com/acme"
    asking.end()


@pytest.mark.parametrize("name", ["above", "all"])
def test_the_workflow_s_grant_counts_where_the_job_has_none(
    site: Site, repo: Repository, name: str
) -> None:
    asking = started(site, repo, name)
    assert asking.claims()["workflow"] == name
    asking.end()


@pytest.mark.parametrize("name", ["none", "reads", "narrowed"])
def test_without_the_grant_there_is_nothing_to_ask_with(site: Site, repo: Repository, name: str) -> None:
    asking = started(site, repo, name)
    assert asking.given == {"url": "", "token": ""}
    asking.end()


def test_an_environment_is_the_subject(site: Site, repo: Repository) -> None:
    asking = started(site, repo, "somewhere", where="a:b")
    claims = asking.claims()
    assert claims["environment"] == "to a:b"
    assert claims["sub"] == "repo:acme/models:environment:to a%3Ab"
    asking.end()


def test_a_newer_repository_s_subject_has_numbers(site: Site, repo: Repository) -> None:
    asking = started(site, repo, "granted")
    since(site, "2026-07-15T00:00:00Z")
    numbered = f"repo:acme@{repo.owner.id}/models@{repo.id}:ref:refs/heads/main"
    assert asking.claims()["sub"] == numbered
    since(site, "2026-07-14T23:59:59Z")
    assert asking.claims()["sub"] == "repo:acme/models:ref:refs/heads/main"
    asking.end()


def test_a_called_workflow_s_job_says_both_files(site: Site, repo: Repository) -> None:
    asking = started(site, repo, "calls")
    claims, where = asking.claims(), "acme/models/.github/workflows"
    assert claims["workflow_ref"] == f"{where}/calls.yml@refs/heads/main"
    assert claims["job_workflow_ref"] == f"{where}/called.yml@refs/heads/main"
    asking.end()


def test_only_the_job_itself_gets_it_and_only_while_it_runs(site: Site, repo: Repository) -> None:
    first = started(site, repo, "granted")
    other = started(site, repo, "above")
    assert first.ask(token="wrong").status == 401
    assert first.ask(token=other.given["token"]).status == 401
    other.end()
    given = first.given
    first.end()
    assert first.ask(**given).status == 401
    repo.get_workflow_run(first.run).rerun()
    eventually(lambda: repo.get_workflow_run(first.run).run_attempt == 2)
    eventually((first.folder / "asks").exists)
    assert first.ask(**given).status == 401
    assert first.claims()["run_attempt"] == "2"
    first.end()


def test_only_hashes_of_request_tokens_are_kept(site: Site, repo: Repository) -> None:
    asking = started(site, repo, "granted")
    store: Store = site.cloud.store
    kept = store.list("github-id-token")
    assert kept
    assert asking.given["token"] not in json.dumps(kept)
    asking.end()
