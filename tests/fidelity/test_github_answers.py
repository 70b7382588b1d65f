"""Every call of the local GitHub is made once, and its answer has the fields that GitHub describes."""

import base64
import json
from pathlib import Path
from typing import Any

from localcloud.described import description, normal
from localcloud.github.routes import paths
from localcloud.http import Router
from tests.eventually import eventually
from tests.fidelity.answers import Checked
from tests.localcloud.github_harness import Site

R = "/repos/acme/models"
FLOW = """
name: Say
on: workflow_dispatch
jobs:
  say:
    runs-on: ubuntu-24.04
    steps:
      - name: Say
        run: echo said > said
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f
        with: {path: said, overwrite: true}
"""
# Where the description is not what GitHub does, and why the local cloud does as GitHub does.
BETTER_KNOWN = {
    # The list's items are written down a second time there, as a user and an enterprise at once.
    "apps/list-installations 200",
    # Every error of GitHub's has its status in its body; the schema of 422 forgot it.
    "issues/create 422: unknown .status",
}
# Logs come from GitHub by way of another host; the local cloud sends them at once.
AT_ONCE = {
    "actions/download-job-logs-for-workflow-run: status 200 is none of ['302']",
    "actions/download-artifact: status 200 is none of ['302', '410']",
    "actions/download-workflow-run-logs: status 200 is none of ['302']",
}


class Hub(Checked):
    """The local GitHub, asked as its owner, or as an App where the call is one of an App."""

    def __init__(self, site: Site) -> None:
        self.site, self.secret = site, site.hub.register_app("notify", {"actions": "write"})
        self.bearer = f"Bearer {site.token}"
        super().__init__(description("github"), Router(site.hub.services), "api.github.com", self._token)

    def _token(self) -> str:
        return self.bearer

    def as_app(self, verb: str, target: str, body: Any = None) -> Any:
        from github import Auth

        auth = Auth.AppAuth(self.secret["app_id"], self.secret["private_key"])
        return self._as(auth.create_jwt(), verb, target, body)

    def as_person(self, login: str, verb: str, target: str, body: Any = None) -> Any:
        return self._as(self.site.hub.person_token(login), verb, target, body)

    def _as(self, token: str, verb: str, target: str, body: Any) -> Any:
        before, self.bearer = self.bearer, f"Bearer {token}"
        try:
            return self.ask(verb, target, body)
        finally:
            self.bearer = before


def accounts(hub: Hub) -> None:
    for path in ("/user", "/user/repos", "/users/olivia", "/users/acme/repos", "/orgs/acme"):
        hub.ask("GET", path)
    for path in ("/orgs/acme/repos", "/rate_limit", R):
        hub.ask("GET", path)
    hub.ask("POST", "/user/repos", {"name": "own"})
    hub.ask("POST", "/orgs/acme/repos", {"name": "more", "private": True, "description": "More"})
    hub.ask("PATCH", R, {"description": "Models"})


def apps(hub: Hub) -> None:
    number = hub.secret["installation_id"]
    hub.as_app("GET", "/app")
    hub.as_app("GET", "/app/installations")
    hub.as_app("GET", f"/app/installations/{number}")
    hub.as_app("GET", f"{R}/installation")
    owner = hub.bearer
    made = hub.as_app("POST", f"/app/installations/{number}/access_tokens", {"repositories": ["models"]})
    hub.bearer = f"Bearer {made['token']}"
    hub.ask("GET", "/installation/repositories")
    hub.ask("DELETE", "/installation/token")
    hub.bearer = owner


def git(hub: Hub) -> str:
    """The Git database by hand: a branch "side" with one commit more than main."""
    head = hub.ask("GET", f"{R}/git/ref/heads/main")["object"]["sha"]
    tree = hub.ask("GET", f"{R}/git/commits/{head}")["tree"]["sha"]
    hub.ask("GET", f"{R}/git/trees/{tree}?recursive=1")
    blob = hub.ask("POST", f"{R}/git/blobs", {"content": "one", "encoding": "utf-8"})["sha"]
    hub.ask("GET", f"{R}/git/blobs/{blob}")
    entry = {"path": "one.txt", "mode": "100644", "type": "blob", "sha": blob}
    made = hub.ask("POST", f"{R}/git/trees", {"base_tree": tree, "tree": [entry]})["sha"]
    new = {"message": "One", "tree": made, "parents": [head]}
    commit = str(hub.ask("POST", f"{R}/git/commits", new)["sha"])
    hub.ask("POST", f"{R}/git/refs", {"ref": "refs/heads/side", "sha": head})
    hub.ask("PATCH", f"{R}/git/refs/heads/side", {"sha": commit, "force": False})
    hub.ask("GET", f"{R}/git/matching-refs/heads/")
    person = {"name": "Ann", "email": "ann@acme.test", "date": "2026-01-01T00:00:00Z"}
    new = {"tag": "v1", "message": "First", "object": commit, "type": "commit", "tagger": person}
    tag = hub.ask("POST", f"{R}/git/tags", new)["sha"]
    hub.ask("GET", f"{R}/git/tags/{tag}")
    hub.ask("POST", f"{R}/git/refs", {"ref": "refs/tags/v1", "sha": tag})
    return commit


def commits(hub: Hub, commit: str) -> None:
    for path in (
        "branches",
        "branches/side",
        "tags",
        "commits",
        f"commits/{commit}",
        "compare/main...side",
    ):
        hub.ask("GET", f"{R}/{path}")
    new = {"state": "success", "context": "ci", "description": "Good", "target_url": "https://ci.test/1"}
    hub.ask("POST", f"{R}/statuses/{commit}", new)
    for path in (f"commits/{commit}/status", f"commits/{commit}/statuses", f"statuses/{commit}"):
        hub.ask("GET", f"{R}/{path}")


def contents(hub: Hub) -> None:
    for path in ("contents", "contents/", "contents/.github", "contents/README.md"):
        hub.ask("GET", f"{R}/{path}")
    data = base64.b64encode(b"two").decode()
    new = {"message": "Two", "content": data, "branch": "side"}
    made = hub.ask("PUT", f"{R}/contents/two.txt", new)["content"]["sha"]
    hub.ask("DELETE", f"{R}/contents/two.txt", {"message": "No two", "sha": made, "branch": "side"})


def issues(hub: Hub) -> None:
    hub.ask("POST", f"{R}/labels", {"name": "release", "color": "00ff00", "description": "A release"})
    hub.ask("GET", f"{R}/labels")
    hub.ask("GET", f"{R}/labels/release")
    new = {"title": "Late", "body": "It is late", "labels": ["release"], "assignees": ["olivia"]}
    number = hub.ask("POST", f"{R}/issues", new)["number"]
    one = f"{R}/issues/{number}"
    hub.ask("GET", f"{R}/issues?state=all&labels=release")
    hub.ask("GET", one)
    comment = hub.ask("POST", f"{one}/comments", {"body": "Soon"})["id"]
    hub.ask("GET", f"{one}/comments")
    hub.ask("GET", f"{R}/issues/comments/{comment}")
    hub.ask("PATCH", f"{R}/issues/comments/{comment}", {"body": "Now"})
    hub.ask("DELETE", f"{R}/issues/comments/{comment}")
    hub.ask("GET", f"{one}/labels")
    hub.ask("POST", f"{one}/labels", {"labels": ["late", "bad"]})
    hub.ask("DELETE", f"{one}/labels/bad")
    hub.ask("PUT", f"{one}/labels", {"labels": ["late"]})
    hub.ask("DELETE", f"{one}/labels")
    hub.ask("DELETE", f"{R}/labels/late")
    hub.ask("PATCH", one, {"state": "closed", "state_reason": "completed"})
    assert hub.send("POST", f"{R}/issues", {"body": "no title"}).status == 422


def pulls(hub: Hub) -> None:
    new = {"title": "Side", "head": "side", "base": "main", "body": "From the side"}
    number = hub.ask("POST", f"{R}/pulls", new)["number"]
    one = f"{R}/pulls/{number}"
    hub.ask("GET", f"{R}/pulls?state=open")
    hub.ask("PATCH", one, {"title": "Aside"})
    hub.ask("POST", f"{R}/issues/{number}/labels", {"labels": ["release"]})
    for path in ("", "/files", "/commits"):
        hub.ask("GET", f"{one}{path}")
    review = hub.ask("POST", f"{one}/reviews", {"event": "COMMENT", "body": "I see"})["id"]
    hub.ask("GET", f"{one}/reviews")
    hub.ask("GET", f"{one}/reviews/{review}")
    collaborator = f"{R}/collaborators/mary"
    hub.ask("PUT", collaborator, {"permission": "pull"})
    approval = hub.as_person("mary", "POST", f"{one}/reviews", {"event": "APPROVE"})["id"]
    hub.ask("GET", f"{R}/collaborators")
    hub.ask("GET", collaborator)
    hub.ask("DELETE", collaborator)
    hub.ask("PUT", f"{one}/reviews/{approval}/dismissals", {"message": "Look again"})
    hub.ask("POST", f"{one}/requested_reviewers", {"reviewers": ["mary"]})
    hub.ask("GET", f"{one}/requested_reviewers")
    hub.ask("DELETE", f"{one}/requested_reviewers", {"reviewers": ["mary"]})
    assert hub.send("GET", f"{one}/merge").status == 404
    hub.ask("PUT", f"{one}/merge", {"merge_method": "squash", "commit_title": "Merged"})
    hub.ask("GET", f"{one}/merge")
    hub.ask("GET", one)
    hub.site.commit({"three.txt": "3"}, "more")
    hub.ask("POST", f"{R}/merges", {"base": "main", "head": "more"})
    hub.ask("DELETE", f"{R}/git/refs/heads/more")


def actions(hub: Hub) -> None:
    hub.ask("GET", f"{R}/actions/workflows")
    hub.ask("GET", f"{R}/actions/workflows/say.yml")
    hub.ask("POST", f"{R}/actions/workflows/say.yml/dispatches", {"ref": "main"})
    hub.ask("GET", f"{R}/actions/workflows/say.yml/runs")
    run = hub.ask("GET", f"{R}/actions/runs")["workflow_runs"][0]["id"]
    one = f"{R}/actions/runs/{run}"
    eventually(lambda: hub.ask("GET", one)["status"] == "completed")
    job = hub.ask("GET", f"{one}/jobs")["jobs"][0]["id"]
    hub.ask("GET", f"{R}/actions/jobs/{job}")
    hub.ask("GET", f"{one}/attempts/1/jobs")
    hub.ask("GET", f"{R}/commits/main/check-runs")
    hub.ask("GET", f"{R}/check-runs/{job}")
    artifact = hub.ask("GET", f"{one}/artifacts")["artifacts"][0]["id"]
    hub.ask("GET", f"{R}/actions/artifacts")
    hub.ask("GET", f"{R}/actions/artifacts/{artifact}")
    hub.ask("GET", f"{R}/actions/artifacts/{artifact}/zip")
    hub.ask("GET", f"{one}/logs")
    hub.ask("GET", f"{R}/actions/jobs/{job}/logs")
    for verb in ("rerun", "rerun-failed-jobs"):
        hub.ask("POST", f"{one}/{verb}")
        eventually(lambda: hub.ask("GET", one)["status"] == "completed")
    for verb in ("cancel", "force-cancel"):
        hub.ask("POST", f"{one}/rerun")
        hub.ask("POST", f"{one}/{verb}")
        eventually(lambda: hub.ask("GET", one)["status"] == "completed")


def attestations(hub: Hub) -> None:
    said = {"subject": [{"name": "one", "digest": {"sha256": "1" * 64}}], "predicateType": "https://x"}
    envelope = {"payload": base64.b64encode(json.dumps(said).encode()).decode()}
    form = "application/vnd.dev.sigstore.bundle.v0.3+json"
    bundle = {"mediaType": form, "verificationMaterial": {}, "dsseEnvelope": envelope}
    hub.ask("POST", f"{R}/attestations", {"bundle": bundle})
    hub.ask("GET", f"{R}/attestations/sha256:{'1' * 64}")


def forks(hub: Hub) -> None:
    hub.ask("PATCH", R, {"private": False})
    hub.site.commit({".github/workflows/pull.yml": FLOW.replace("workflow_dispatch", "pull_request")})
    assert hub.as_person("nina", "POST", f"{R}/forks")["source"]["full_name"] == "acme/models"
    new = {"message": "One", "content": base64.b64encode(b"one").decode()}
    hub.as_person("nina", "PUT", "/repos/nina/models/contents/nina.txt", new)
    pull = {"title": "Nina's", "head": "nina:main", "base": "main", "maintainer_can_modify": True}
    number = hub.as_person("nina", "POST", f"{R}/pulls", pull)["number"]
    hub.ask("GET", f"{R}/forks")
    hub.ask("GET", f"{R}/pulls/{number}")
    run = hub.ask("GET", f"{R}/actions/runs?event=pull_request")["workflow_runs"][0]["id"]
    hub.ask("POST", f"{R}/actions/runs/{run}/approve")
    one = f"{R}/actions/runs/{run}"
    eventually(lambda: hub.ask("GET", one)["status"] == "completed")


def test_every_answer_has_the_fields_that_github_describes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.commit({".github/workflows/say.yml": FLOW, "README.md": "Models\n"})
    hub = Hub(site)
    accounts(hub)
    apps(hub)
    commits(hub, git(hub))
    contents(hub)
    issues(hub)
    pulls(hub)
    actions(hub)
    attestations(hub)
    forks(hub)
    site.close()
    wrong = {one for one in hub.wrong if not one.startswith(tuple(BETTER_KNOWN))}
    assert wrong == AT_ONCE
    known = {(verb, normal(path)) for verb, path in paths() if hub.api.find(verb, path)}
    assert {f"{verb} {path}" for verb, path in known} - hub.called == set()
