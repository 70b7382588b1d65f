"""Forks and strangers: who may what in a repository, and what a pull request from a fork may do."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from github import Auth, GithubException, UnknownObjectException
from github.PullRequest import PullRequest
from github.Repository import Repository

from localcloud.cloud import Cloud
from localcloud.github.schedule import moment
from localcloud.http import Request, Router
from localcloud.rpc import Rpc
from localcloud.secretmanager import SecretManager
from tests.eventually import eventually
from tests.localcloud.github_harness import OWNER, WORLD, Site

BUTTON = """\
name: Button
on: {push: {}, workflow_dispatch: {}, schedule: [{cron: "0 3 * * *"}], pull_request: {types: [labeled]}}
jobs: {one: {runs-on: ubuntu-24.04, steps: [{run: "true"}]}}
"""
CI = """\
name: CI
on: pull_request
permissions: {contents: write, statuses: write, actions: write, id-token: write}
jobs:
  one:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - uses: actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae
        with: {path: kept, key: key}
      - uses: actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae
        with: {path: "tool\\nmore", key: seeded}
      - uses: google-github-actions/auth@7c6bc770dae815cd3e89ee6cdf493a5fab2cc093
        continue-on-error: true
        with:
          workload_identity_provider: projects/1/locations/global/workloadIdentityPools/a/providers/b
          service_account: train@acme-ml.iam.gserviceaccount.com
      - env:
          TOKEN: ${{ github.token }}
          FORK: ${{ github.event.pull_request.head.repo.fork }}
        run: |
          ask() { curl -s -o answer -w "$1 %{http_code};" -H "Authorization: Bearer $TOKEN" "${@:2}"; }
          api=$GITHUB_API_URL/repos/$GITHUB_REPOSITORY
          ask reads "$api/contents/README.md"
          ask runs "$api/actions/runs"
          ask status -d '{"state": "success"}' "$api/statuses/$GITHUB_SHA"
          ask button -d '{"ref": "main"}' "$api/actions/workflows/button.yml/dispatches"
          ask secret https://secretmanager.googleapis.com/v1/projects/acme-ml/secrets/k/versions/1:access
          echo "fork $FORK, identity '${ACTIONS_ID_TOKEN_REQUEST_URL:+given}'"
          git push -q origin "HEAD:refs/heads/by-$GITHUB_RUN_ID" && echo "pushed"
          mkdir -p kept
          tool/bin/say
          echo "echo changed" | tee -a tool/bin/say >> more/tool/bin/say
"""
WORKFLOWS = {".github/workflows/ci.yml": CI, ".github/workflows/button.yml": BUTTON}


def made(root: Path) -> Site:
    """A GitHub with a public repository, and Google's Secret Manager beside it."""
    (root / "google").mkdir()
    secrets = Rpc(Cloud(root / "google", WORLD), [SecretManager(Cloud(root / "google", WORLD))])
    site = Site(root / "cloud", services=secrets.rest)
    site.commit({"README.md": "# Models\n"})
    site.commit({"side.txt": "1\n"}, "side")
    site.client().get_repo("acme/models").edit(private=False)
    return site


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = made(tmp_path_factory.mktemp("github"))
    yield site
    site.close()


def seen_by(site: Site, login: str, name: str = "acme/models") -> Repository:
    """The repository, as that person sees it."""
    return site.client(Auth.Token(site.hub.person_token(login))).get_repo(name)


def fork_of(site: Site, login: str) -> Repository:
    return seen_by(site, login, seen_by(site, login).create_fork().full_name)


def above(fork: Repository) -> tuple[str, str]:
    """What a fork was made from, and what all of its forks were."""
    return fork.raw_data["parent"]["full_name"], fork.raw_data["source"]["full_name"]


def change(fork: Repository, branch: str, path: str = "") -> str:
    """A commit of a new file to a branch of a fork, made where it is not there; returns it."""
    if branch not in [one.name for one in fork.get_branches()]:
        fork.create_git_ref(f"refs/heads/{branch}", fork.get_branch("main").commit.sha)
    path = path or f"{fork.owner.login}-{branch}.txt"
    return str(fork.create_file(path, f"Write {path}", "1\n", branch=branch)["commit"].sha)


def propose(site: Site, login: str, branch: str) -> PullRequest:
    """A person's pull request from a fork's branch, with one commit."""
    change(fork_of(site, login), branch)
    return seen_by(site, login).create_pull(
        "main", f"{login}:{branch}", title=f"From {login}", maintainer_can_modify=True
    )


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    """How GitHub turns a call down."""
    with pytest.raises(GithubException) as error:
        call()
    data = error.value.data
    return error.value.status, data.get("errors", [{}])[0].get("message", data["message"])


def test_a_fork_is_a_repository_of_one_s_own(shared: Site, tmp_path: Path) -> None:
    fork, parent = fork_of(shared, "ann"), shared.client().get_repo("acme/models")
    assert (fork.full_name, fork.fork, fork.owner.type) == ("ann/models", True, "User")
    assert above(fork) == ("acme/models", "acme/models")
    assert {one.name: one.commit.sha for one in fork.get_branches()} == {
        one.name: one.commit.sha for one in parent.get_branches()
    }
    assert seen_by(shared, "ann").create_fork().id == fork.id
    assert [one.full_name for one in parent.get_forks()] == ["ann/models"]
    token = shared.hub.person_token("ann")
    remote = shared.remote(token).replace("acme/models", "ann/models")
    shared.git(tmp_path, "clone", "-q", remote, "clone")
    shared.git(tmp_path / "clone", "push", "-q", "origin", "HEAD:refs/heads/mine")
    assert fork.get_branch("mine").commit.sha == parent.get_branch("main").commit.sha
    said = shared.git(
        tmp_path / "clone", "push", shared.remote(token), "HEAD:refs/heads/mine", check=False
    )
    assert "403" in said
    assert shared.repository.branch("mine") is None


def test_forks_of_forks_and_of_one_s_own(shared: Site) -> None:
    fork = fork_of(shared, "bea")
    second = seen_by(shared, "carl", fork.full_name).create_fork(name="mine", default_branch_only=True)
    second = seen_by(shared, "carl", second.full_name)
    assert (second.full_name, [one.name for one in second.get_branches()]) == ("carl/mine", ["main"])
    assert above(second) == ("bea/models", "acme/models")
    assert fork.create_fork().id == fork.id
    assert seen_by(shared, OWNER).create_fork(organization="acme").full_name == "acme/models"
    assert refused(lambda: seen_by(shared, "dan").create_fork(organization="acme"))[0] == 403
    own = shared.client(Auth.Token(shared.hub.person_token("eve"))).get_user()
    own.create_repo("models")
    assert seen_by(shared, "eve").create_fork().full_name == "eve/models-1"


def test_a_private_repository_is_not_there_and_not_forked(shared: Site) -> None:
    private = shared.client().get_user().create_repo("hidden", private=True)
    private.create_file("a.txt", "A", "a")
    with pytest.raises(UnknownObjectException):
        seen_by(shared, "ann", private.full_name)
    private.add_to_collaborators("ann", "pull")
    seen = seen_by(shared, "ann", private.full_name)
    assert refused(seen.create_fork)[0] == 403
    private.remove_from_collaborators("ann")
    with pytest.raises(UnknownObjectException):
        seen.get_branch("main")
    names = [one.full_name for one in shared.client().get_user().get_repos()]
    assert {"olivia/hidden", "acme/models"} <= set(names)
    mine = shared.client(Auth.Token(shared.hub.person_token("nobody"))).get_user().get_repos()
    assert [one.full_name for one in mine] == []


class Overtaken:
    """A lock before which somebody else is quicker, once."""

    def __init__(self, lock: Any, first: Callable[[], Any]) -> None:
        self._lock, self._first = lock, [first]

    def __enter__(self) -> None:
        while self._first:
            self._first.pop()()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_who_waits_to_write_finds_what_was_written_meanwhile(
    shared: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    repositories, mine = shared.hub.repositories, shared.client().get_user().create_repo("meanwhile")
    mine.create_file("a.txt", "A", "a")
    mine.add_to_collaborators("ann", "push")
    theirs, lock = seen_by(shared, "ann", mine.full_name), repositories.writing

    def after(first: Callable[[], Any]) -> None:
        monkeypatch.setattr(repositories, "writing", Overtaken(lock, first))

    after(lambda: mine.edit(private=True))
    mine.edit(description="New")
    found = shared.client().get_repo(mine.full_name)
    assert (found.private, found.description) == (True, "New")
    after(lambda: mine.remove_from_collaborators("ann"))
    assert refused(lambda: theirs.create_file("b.txt", "B", "b")) == (404, "Not Found")


def test_a_job_sees_the_page_that_its_token_shows(shared: Site) -> None:
    private = shared.client().get_user().create_repo("pages", private=True)
    number = private.create_issue("Secret plan").number
    host = Router(shared.hub.services)

    def page(caller: str, token: str = "") -> int:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        path = f"/{private.full_name}/pull/{number}"
        return host(Request("GET", "github.com", path, headers=headers, caller=caller)).status

    def job(*permissions: str) -> str:
        return shared.hub.job_token(dict.fromkeys(permissions, "read"), private.full_name)

    assert [page(caller) for caller in ("", "owner", "run-1", "job-1")] == [200, 200, 404, 404]
    assert page("run-1", job("pull-requests")) == 200
    assert page("run-1", job("contents")) == page("run-1", shared.hub.job_token({})) == 404
    assert (page("run-1", shared.token), page("run-1", shared.hub.person_token("ann"))) == (200, 404)
    private.edit(private=False)
    assert page("run-1") == 200


def test_strangers_read_and_talk(shared: Site) -> None:
    repo = seen_by(shared, "fred")
    assert (repo.permissions.pull, repo.permissions.push) == (True, False)
    issue = repo.create_issue("Late", labels=["urgent"], assignees=["olivia"])
    assert (issue.labels, issue.assignees) == ([], [])
    issue.create_comment("Very").edit("Very late")
    issue.edit(state="closed", labels=["urgent"])
    assert (issue.state, issue.labels) == ("closed", [])
    pull = shared.client().get_repo("acme/models").create_pull("main", "side", title="Side")
    review = repo.get_pull(pull.number).create_review(event="APPROVE")
    assert review.raw_data["author_association"] == "NONE"
    pull.edit(state="closed")


def test_an_app_reads_what_is_public_and_writes_where_it_is_installed(
    shared: Site, tmp_path: Path
) -> None:
    rights = {"contents": "write", "issues": "write", "pull_requests": "write"}
    app, fork = shared.app_client("reader", **rights), fork_of(shared, "fay")
    found = app.get_repo(fork.full_name)
    assert found.get_contents("README.md")
    low = (403, "Resource not accessible by integration")
    assert refused(lambda: found.create_issue("No")) == low
    assert refused(lambda: found.create_file("a.txt", "A", "a")) == low
    shared.client().get_user().create_repo("closed", private=True)
    with pytest.raises(UnknownObjectException):
        app.get_repo("olivia/closed")
    remote = shared.remote(shared.hub.job_token({"contents": "write"})).replace("acme/", "fay/")
    shared.git(tmp_path, "clone", "-q", remote, "clone")
    said = shared.git(tmp_path / "clone", "push", "origin", "HEAD:refs/heads/no", check=False)
    assert "403" in said


def test_a_list_reads_all_issues_once(shared: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, read = seen_by(shared, "vic"), list[str]()
    for title in ("One", "Two"):
        repo.create_issue(title)
    listed = shared.cloud.store.list

    def noted(kind: str, prefix: str = "") -> Any:
        read.append(kind)
        return listed(kind, prefix)

    monkeypatch.setattr(shared.cloud.store, "list", noted)
    found = [one.raw_data["author_association"] for one in repo.get_issues().get_page(0)[:2]]
    assert (found, read.count("github-issue")) == (["NONE", "NONE"], 1)


def test_strangers_reopen_what_they_closed_themselves(shared: Site) -> None:
    pull, theirs = propose(shared, "uma", "side"), shared.client().get_repo("acme/models")
    repo = seen_by(shared, "uma")
    issue = repo.create_issue("Late")
    seen: list[tuple[Any, Any]] = [
        (repo.get_issue(issue.number), theirs.get_issue(issue.number)),
        (repo.get_pull(pull.number), theirs.get_pull(pull.number)),
    ]
    for mine, ours in seen:
        mine.edit(state="closed")
        mine.edit(state="open")
        ours.edit(state="closed")
        low = refused(partial(mine.edit, title="Again", state="open"))
        assert low == (403, "Must have admin rights to Repository.")
        mine.edit(body="Why?")
        ours.update()
        assert (ours.state, ours.body, ours.title != "Again") == ("closed", "Why?", True)
        ours.edit(state="open")


def test_strangers_change_nothing(shared: Site) -> None:
    theirs = shared.client().get_repo("acme/models")
    issue, head = theirs.create_issue("Ours"), theirs.get_branch("main").commit.sha
    comment = issue.create_comment("Ours")
    pull = theirs.create_pull("main", "side", title="Side")
    repo = seen_by(shared, "gus")
    low = (403, "Must have admin rights to Repository.")
    calls: list[tuple[Callable[[], Any], tuple[int, str]]] = [
        (lambda: repo.create_file("a.txt", "A", "a"), (404, "Not Found")),
        (lambda: repo.create_git_ref("refs/heads/a", head), low),
        (lambda: repo.get_pull(pull.number).merge(), low),
        (lambda: repo.get_pull(pull.number).edit(state="closed"), low),
        (lambda: repo.get_issue(issue.number).add_to_labels("a"), (404, "Not Found")),
        (lambda: repo.get_issue(issue.number).edit(state="closed"), low),
        (lambda: repo.get_issue(issue.number).get_comment(comment.id).edit("Mine"), low),
        (lambda: repo.get_commit(head).create_status("success"), low),
        (lambda: repo.edit(description="Mine"), low),
        (lambda: repo.add_to_collaborators("gus", "admin"), low),
        (lambda: repo.create_pull("side", "main", title="Back"), (422, "must be a collaborator")),
        (
            lambda: [*repo.get_collaborators()],
            (403, "Must have push access to view repository collaborators."),
        ),
    ]
    for number, (call, answer) in enumerate(calls):
        assert (number, refused(call)) == (number, answer)
    theirs.add_to_collaborators("gus", "push")
    assert theirs.has_in_collaborators("gus")
    assert {one.login: one.permissions.push for one in theirs.get_collaborators()}["gus"] is True
    repo.create_file("gus.txt", "A", "a")
    assert refused(lambda: repo.edit(description="Mine")) == low
    pull.edit(state="closed")


def test_a_pull_request_from_a_fork(shared: Site, tmp_path: Path) -> None:
    pull, theirs = propose(shared, "hal", "main"), shared.client().get_repo("acme/models")
    assert (pull.head.label, pull.head.repo.full_name, pull.head.user.login) == (
        "hal:main",
        "hal/models",
        "hal",
    )
    assert (pull.head.repo.fork, pull.base.label, pull.mergeable) == (True, "acme:main", True)
    assert pull.maintainer_can_modify is False
    assert [one.number for one in theirs.get_pulls(head="HAL:main")] == [pull.number]
    assert [*theirs.get_pulls(head="acme:main")] == []
    again = refused(lambda: seen_by(shared, "hal").create_pull("main", "hal:main", title="Again"))
    assert again == (422, "A pull request already exists for hal:main.")
    shared.commit({"main.txt": "the base's branch of the same name moves"})
    assert theirs.get_pull(pull.number).head.sha == pull.head.sha
    new = change(fork_of(shared, "hal"), "main", path="more.txt")
    pull = theirs.get_pull(pull.number)
    assert (pull.head.sha, pull.commits, pull.raw_data["author_association"]) == (new, 2, "NONE")
    said = shared.git(tmp_path, "ls-remote", shared.remote(), f"refs/pull/{pull.number}/head")
    assert said.startswith(new)
    done = theirs.get_git_commit(pull.merge().sha)
    assert done.message.startswith(f"Merge pull request #{pull.number} from hal/main\n")
    assert theirs.get_contents("more.txt")
    assert theirs.get_pull(pull.number).raw_data["author_association"] == "CONTRIBUTOR"


def test_a_fork_is_brought_up_to_date_by_a_pull_request(shared: Site) -> None:
    fork, new = fork_of(shared, "ivy"), shared.commit({"ivy.txt": "1\n"})
    pull = fork.create_pull("main", "acme:main", title="Up to date")
    assert (pull.head.label, pull.head.sha, pull.base.label) == ("acme:main", new, "ivy:main")
    assert pull.merge().merged
    assert fork.get_contents("ivy.txt")
    shared.commit({"ivy.txt": "2\n"})
    fork = seen_by(shared, "nobody", fork.full_name)
    low = refused(lambda: fork.create_pull("main", "acme:main", title="Not mine"))
    assert low == (422, "must be a collaborator")


def test_a_fork_s_branch_closes_and_reopens_its_pull_request(shared: Site) -> None:
    pull, fork = propose(shared, "ida", "side"), fork_of(shared, "ida")
    mine = seen_by(shared, "ida").get_pull(pull.number)
    mine.edit(title="Mine", state="closed")
    mine.edit(state="open")
    change(fork, "main")  # which is not the base's branch of that name
    assert (
        mine.base.sha == shared.repository.head == seen_by(shared, "ida").get_pull(pull.number).base.sha
    )
    fork.get_git_ref("heads/side").delete()
    found = seen_by(shared, "ida").get_pull(pull.number)
    assert (found.state, found.merged, found.head.repo.full_name) == ("closed", False, "ida/models")
    reason = refused(lambda: mine.edit(state="open"))[1]
    assert reason == "state cannot be changed. The side branch has been deleted."


def test_nothing_runs_in_a_fork(shared: Site) -> None:
    shared.commit(WORKFLOWS)
    shared.hub.triggers.tick(moment("2026-11-22T02:00:00Z"))
    fork = fork_of(shared, "jo")
    change(fork, "side")
    fork.create_pull("main", "side", title="Within the fork")
    button = fork.get_workflow("button.yml")
    assert button.state == "disabled_fork"
    fallen = shared.hub.triggers.tick(moment("2026-11-22T04:00:00Z"))
    assert [one["repository"] for one in fallen] == ["acme/models"]
    disabled = "Cannot trigger a 'workflow_dispatch' on a disabled workflow"
    assert refused(lambda: button.create_dispatch("main", throw=True)) == (422, disabled)
    assert [*fork.get_workflow_runs()] == []


def said_by(site: Site, number: int) -> str:
    """What a run has printed, once it has ended."""
    repo = site.client().get_repo("acme/models")
    eventually(lambda: repo.get_workflow_run(number).status == "completed")
    said = (site.root / "runs" / str(number) / "log.txt").read_text()
    assert repo.get_workflow_run(number).conclusion == "success", said
    return said


def approve(site: Site, login: str, number: int) -> int:
    """What GitHub answers when that person lets a run start."""
    url = f"{site.api}/repos/acme/models/actions/runs/{number}/approve"
    headers = {"authorization": f"token {site.hub.person_token(login)}"}
    return requests.post(url, headers=headers, timeout=5).status_code


def tool(site: Site, folder: Path) -> Path:
    """A program that says which file it is, in a folder of this machine that jobs find in a cache."""
    (folder / "bin").mkdir(parents=True)
    say = folder / "bin" / "say"
    say.write_text(f"#!/bin/sh\necho 'said by {say}'\n")
    say.chmod(0o755)
    site.hub.caches.seed("seeded", {"tool": str(folder), "more/tool": str(folder)})
    return say


@pytest.mark.slow
def test_a_fork_s_run_has_no_rights(tmp_path: Path) -> None:
    site = made(tmp_path)
    site.commit(WORKFLOWS)
    say = tool(site, tmp_path / "tool")
    repo = site.client().get_repo("acme/models")
    pull = propose(site, "kim", "side")
    (run,) = repo.get_workflow_runs(event="pull_request")
    assert (run.status, run.conclusion) == ("completed", "action_required")
    assert not (site.root / "runs" / str(run.id)).exists()
    site.hub.runs.save({**site.hub.runs.get("acme/models", run.id), "status": "queued"})
    site.hub.runner.start()  # as one does that finds what another had made and not yet held
    assert repo.get_workflow_run(run.id).conclusion == "action_required"
    assert (run.head_repository.full_name, run.repository.full_name) == ("kim/models", "acme/models")
    assert (run.head_sha, run.actor.login) == (pull.head.sha, "kim")
    assert (approve(site, "kim", run.id), approve(site, OWNER, run.id)) == (403, 201)
    said = said_by(site, run.id)
    assert repo.get_workflow_run(run.id).run_attempt == 1
    assert approve(site, OWNER, run.id) == 403
    assert "reads 200;runs 200;status 403;button 403;secret 401;" in said
    assert "fork true, identity ''" in said
    assert "it needs `permissions: id-token: write`" in said
    assert "pushed" not in said
    tools = site.root / "tool-cache"
    assert (len([*tools.glob("cache-of/*/*")]), len([*tools.glob("cache/*")])) == (1, 1)
    assert f"{run.id}/" in said.partition("said by ")[2].partition("/tool/bin/say")[0]
    assert "changed" not in say.read_text()
    own = site.commit({"notes.txt": "ours\n"}, "own")
    repo.create_pull("main", "own", title="Ours")
    said = said_by(site, repo.get_workflow_runs(event="pull_request", head_sha=own)[0].id)
    assert "reads 200;runs 200;status 201;button 204;secret 401;" in said
    assert "fork false, identity 'given'" in said
    assert "pushed" in said
    assert f"said by {say}" in said
    assert say.read_text().count("changed") == 2
    site.hub.runs.save({**site.hub.runs.get("acme/models", run.id), "status": "in_progress"})
    repo.get_pull(pull.number).edit(state="closed")
    assert len([*tools.glob("cache-of/*/*")]) == 2
    site.hub.runs.save({**site.hub.runs.get("acme/models", run.id), "status": "completed"})
    repo.get_pull(pull.number).edit(state="open")
    repo.get_pull(pull.number).edit(state="closed")
    assert len([*tools.glob("cache-of/*/*")]) == 1
    site.close()


def test_who_has_contributed_needs_no_approval(tmp_path: Path) -> None:
    site = made(tmp_path)
    site.hub.runner.room = 0
    repo = site.client().get_repo("acme/models")
    repo.get_pull(propose(site, "lea", "first").number).merge()
    site.commit(WORKFLOWS)
    fork = fork_of(site, "lea")
    change(fork, "second")
    fork.create_file(".github/workflows/ci.yml", "Read on", CI, branch="second")
    pull = seen_by(site, "lea").create_pull("main", "lea:second", title="Second")
    found = [(run.status, run.head_sha) for run in repo.get_workflow_runs(event="pull_request")]
    assert found == [("queued", pull.head.sha)]
    site.close()


def test_a_repository_that_becomes_private_leaves_its_forks(tmp_path: Path) -> None:
    site = made(tmp_path)
    site.hub.runner.room = 0
    repo = site.client().get_repo("acme/models")
    pull, fork = propose(site, "lea", "side"), fork_of(site, "lea")
    second = fork_of(site, "max")
    third = seen_by(site, "ned", seen_by(site, "ned", second.full_name).create_fork().full_name)
    down = seen_by(site, OWNER, fork.full_name).create_pull("main", "acme:side", title="Theirs")
    stays = "Public forks can't be made private. Please duplicate the repository."
    assert refused(lambda: fork.edit(private=True)) == (422, stays)
    repo.edit(private=True)
    fork, second, third = [seen_by(site, "lea", one.full_name) for one in (fork, second, third)]
    assert (fork.fork, "parent" in fork.raw_data, fork.private) == (False, False, False)
    assert above(second) == ("lea/models", "lea/models")
    assert above(third) == ("max/models", "lea/models")
    assert [*repo.get_forks()] == []
    assert [one.full_name for one in fork.get_forks()] == ["max/models"]
    change(fork, "side", path="more.txt")
    shown = repo.get_pull(pull.number)
    assert (shown.head.sha, shown.state) == (pull.head.sha, "open")
    assert shown.raw_data["head"]["repo"] is None
    hidden = site.commit({"hidden.txt": "1\n"}, "side")
    assert fork.get_pull(down.number).head.sha != hidden
    assert fork.get_pull(down.number).raw_data["head"]["repo"] is None
    assert refused(lambda: fork.get_git_commit(hidden))[0] == 404
    assert refused(lambda: fork.create_pull("main", "acme:main", title="Again"))[0] == 422
    site.close()


def test_no_workflow_runs_between_networks(tmp_path: Path) -> None:
    site = made(tmp_path)
    site.commit(WORKFLOWS)
    site.hub.runner.room = 0
    repo = site.client().get_repo("acme/models")
    pull, fork = propose(site, "lea", "side"), fork_of(site, "lea")
    before = repo.get_workflow_runs().totalCount
    repo.edit(private=True)
    repo.get_pull(pull.number).edit(state="closed")
    fork.create_file("pushed.txt", "Push", "1", branch="main")
    assert (repo.get_workflow_runs().totalCount, fork.get_workflow_runs().totalCount) == (before, 0)
    assert fork.get_workflow("button.yml").state == "disabled_fork"
    site.close()
