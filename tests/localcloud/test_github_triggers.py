"""What starts workflow runs: pushes over git, pull requests and merges over the API, as at GitHub."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from github import Auth
from github.Repository import Repository
from github.WorkflowRun import WorkflowRun

from localcloud.github.runs import Run
from tests.localcloud.github_harness import OWNER, Site

JOBS = "jobs: {one: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}\n"
ON = {
    "any": "push",
    "both": "[push, pull_request]",
    "main": "{push: {branches: [main]}}",
    "features": "{push: {branches: ['feature/**', '!feature/*-draft']}}",
    "others": "{push: {branches-ignore: [main]}}",
    "versions": "{push: {tags: ['v[0-9]+']}}",
    "docs": "{push: {paths: ['docs/**', '!docs/draft.md']}}",
    "code": "{push: {paths-ignore: ['docs/**', '*.md']}}",
    "maindocs": "{push: {branches: main, paths: docs/**}}",
    "pull": "pull_request",
    "pullmain": "{pull_request: {branches: [main], types: [opened, closed]}}",
    "pulldocs": "{pull_request: {paths: [docs/**]}}",
    "button": "workflow_dispatch",
    "called": "{workflow_call: {}}",
    "group": "merge_group",
}
FILES = {
    f".github/workflows/{name}.yml": f"name: {name}\non: {given}\n{JOBS}" for name, given in ON.items()
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped local GitHub with all those workflows on main."""
    made = Site(tmp_path_factory.mktemp("github") / "cloud")
    made.hub.runner.room = 0
    made.commit({**FILES, "README.md": "Models\n"})
    forget(made)
    made.close()
    return made.root


@pytest.fixture
def site(template: Path, tmp_path: Path) -> Iterator[Site]:
    """A copy of it, whose runs stay queued."""
    made = Site(Path(shutil.copytree(template, tmp_path / "cloud")))
    made.hub.runner.room = 0
    yield made
    made.close()


def forget(site: Site) -> None:
    for run in site.hub.runs.of(site.repository):
        site.hub.runner.cancel(run)
        site.cloud.store.delete("github-run", f"acme/models/{run['id']:012d}")


def started(site: Site) -> list[str]:
    """The names of the workflows that have runs, sorted; they are forgotten then."""
    found = sorted(run["name"] for run in site.hub.runs.of(site.repository))
    forget(site)
    return found


def record(site: Site, name: str) -> Run:
    (found,) = [run for run in site.hub.runs.of(site.repository) if run["name"] == name]
    return found


def repository(site: Site) -> Repository:
    return site.client().get_repo("acme/models")


def bot(site: Site) -> Repository:
    token = site.hub.job_token(dict.fromkeys(("contents", "pull_requests", "actions"), "write"))
    return site.client(Auth.Token(token)).get_repo("acme/models")


@pytest.fixture
def clone(site: Site, tmp_path: Path) -> Path:
    site.git(tmp_path, "clone", "-q", site.remote(), "clone")
    return tmp_path / "clone"


def change(site: Site, clone: Path, path: str, message: str = "Change") -> str:
    (clone / path).parent.mkdir(parents=True, exist_ok=True)
    with (clone / path).open("a") as file:
        file.write("more\n")
    site.git(clone, "add", ".")
    site.git(clone, "commit", "-q", "-m", message)
    return site.git(clone, "rev-parse", "HEAD")


def test_a_push_to_main(site: Site, clone: Path) -> None:
    before = site.git(clone, "rev-parse", "HEAD")
    change(site, clone, "README.md", "First")
    after = change(site, clone, "train.py", "Second\n\nwith a body")
    site.git(clone, "push", "-q", "origin", "main")
    runs: dict[str, WorkflowRun] = {run.name: run for run in repository(site).get_workflow_runs()}
    assert sorted(runs) == ["any", "both", "code", "main"]
    run = runs["any"]
    assert (run.event, run.head_branch, run.head_sha, run.actor.login, run.status) == (
        "push",
        "main",
        after,
        OWNER,
        "queued",
    )
    assert run.display_title == "Second"
    found = record(site, "any")
    assert (found["ref"], found["sha"], found["inputs"]) == ("refs/heads/main", after, {})
    payload = found["payload"]
    assert (payload["ref"], payload["before"], payload["after"]) == ("refs/heads/main", before, after)
    assert (payload["created"], payload["forced"], payload["deleted"]) == (False, False, False)
    assert [one["message"] for one in payload["commits"]] == ["First", "Second\n\nwith a body"]
    assert payload["head_commit"]["id"] == after
    assert payload["repository"]["full_name"] == "acme/models"
    assert (payload["sender"]["login"], payload["pusher"]["name"]) == (OWNER, OWNER)


def test_branches_and_tags(site: Site, clone: Path) -> None:
    change(site, clone, "train.py")
    site.git(clone, "push", "-q", "origin", "HEAD:feature/a", "HEAD:feature/b-draft")
    everywhere = ["any", "both", "code", "others"]
    assert started(site) == sorted([*everywhere, *everywhere, "features"])
    for tag, also in (("v12", ["versions"]), ("v1-rc", [])):
        site.git(clone, "tag", tag)
        site.git(clone, "push", "-q", "origin", tag)
        assert started(site) == sorted(["any", "both", "code", "docs", *also])
    site.git(clone, "tag", "-a", "-m", "Annotated", "v13")
    site.git(clone, "push", "-q", "origin", "v13")
    run = record(site, "versions")
    assert (run["ref"], run["head_branch"]) == ("refs/tags/v13", "v13")
    assert run["head_sha"] == site.git(clone, "rev-parse", "HEAD")
    forget(site)
    site.git(clone, "push", "-q", "origin", ":feature/a", ":v12")
    assert started(site) == []


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["docs/a.md"], ["docs", "maindocs"]),
        (["docs/draft.md"], ["maindocs"]),
        (["NOTES.md"], []),
        (["docs/draft.md", "train.py"], ["code", "maindocs"]),
    ],
)
def test_paths(site: Site, clone: Path, paths: list[str], expected: list[str]) -> None:
    for path in paths:
        change(site, clone, path)
    site.git(clone, "push", "-q", "origin", "main")
    assert started(site) == sorted(["any", "both", "main", *expected])


def test_paths_of_a_new_branch_are_those_of_its_new_commits(site: Site, clone: Path) -> None:
    site.git(clone, "checkout", "-q", "-b", "feature/new")
    change(site, clone, "docs/a.md")
    change(site, clone, "docs/b.md")
    site.git(clone, "push", "-q", "origin", "feature/new")
    assert record(site, "docs")["payload"]["created"]
    assert started(site) == ["any", "both", "docs", "features", "others"]


@pytest.mark.parametrize(
    "message",
    [
        "x [skip ci]",
        "[ci skip] x",
        "x\n\n[no ci]",
        "[skip actions]",
        "[actions skip]",
        "x\n\nskip-checks: true",
    ],
)
def test_a_commit_that_asks_for_no_runs(site: Site, clone: Path, message: str) -> None:
    change(site, clone, "train.py", message)
    site.git(clone, "push", "-q", "origin", "HEAD:feature/x")
    repository(site).create_pull(title="Add", head="feature/x", base="main")
    site.git(clone, "push", "-q", "origin", "main")
    assert started(site) == []
    change(site, clone, "train.py", "No more: skip-checks: true")
    site.git(clone, "push", "-q", "origin", "main")
    assert started(site) == ["any", "both", "code", "main"]


def test_the_workflows_of_the_pushed_commit_count(site: Site) -> None:
    path = ".github/workflows/any.yml"
    text = FILES[path].replace("on: push", "on: workflow_dispatch")
    site.commit(
        {path: text, ".github/workflows/new.yml": FILES[path].replace("any", "new")}, "feature/x"
    )
    assert started(site) == ["both", "code", "features", "new", "others"]


def test_the_api_starts_runs_as_a_push_does(site: Site) -> None:
    repo = repository(site)
    repo.create_file("docs/a.md", "Add", "text\n", branch="main")
    assert started(site) == ["any", "both", "docs", "main", "maindocs"]
    head = repo.get_branch("main").commit.sha
    repo.create_git_ref("refs/heads/side", head)
    assert started(site) == ["any", "both", "docs", "others"]
    repo.create_file("side.py", "Add", "text\n", branch="side")
    forget(site)
    repo.merge("main", "side")
    assert started(site) == ["any", "both", "code", "main"]


def test_a_pull_request(site: Site) -> None:
    repo = repository(site)
    base = site.repository.head
    head = site.commit({"docs/a.md": "text\n"}, "feature/a")
    site.commit({"docs/a.md": "text\n"}, "stable")
    forget(site)
    pull = repo.create_pull(title="Add docs", head="feature/a", base="main")
    run = record(site, "pull")
    merge = site.repository.ref("refs/pull/1/merge")
    assert (run["event"], run["ref"], run["sha"]) == ("pull_request", "refs/pull/1/merge", merge)
    assert (run["head_sha"], run["head_branch"], run["display_title"]) == (head, "feature/a", "Add docs")
    assert (run["head_ref"], run["base_ref"]) == ("feature/a", "main")
    assert site.repository.commit(str(merge)).parents == (base, head)
    payload = run["payload"]
    assert (payload["action"], payload["number"]) == ("opened", 1)
    assert payload["pull_request"]["head"]["sha"] == head
    assert started(site) == ["both", "pull", "pulldocs", "pullmain"]
    after = site.commit({"more.py": "text\n"}, "feature/a")
    assert record(site, "pull")["payload"]["action"] == "synchronize"
    assert record(site, "pull")["head_sha"] == after
    assert started(site) == sorted(
        ["any", "both", "both", "code", "features", "others", "pull", "pulldocs"]
    )
    pull.edit(state="closed")
    assert started(site) == ["pullmain"]
    pull.edit(state="open")
    assert record(site, "pull")["payload"]["action"] == "reopened"
    assert started(site) == ["both", "pull", "pulldocs"]
    repo.get_pull(1).merge()
    assert record(site, "pullmain")["payload"]["pull_request"]["merged"] is True
    assert record(site, "pullmain")["ref"] == "refs/heads/main"
    assert started(site) == ["any", "both", "code", "docs", "main", "maindocs", "pullmain"]


def test_a_pull_request_elsewhere_or_in_conflict(site: Site) -> None:
    repo = repository(site)
    site.commit({"a.py": "one\n"}, "stable")
    site.commit({"a.py": "two\n"}, "feature/a", start="main")
    site.commit({"b.py": "two\n"}, "feature/b", start="main")
    site.commit(
        {"c.py": "two\n", ".github/workflows/pull.yml": "no: workflow\n"}, "feature/c", start="main"
    )
    forget(site)
    repo.create_pull(title="B", head="feature/b", base="stable")
    assert started(site) == ["both", "pull"]
    repo.create_pull(title="A", head="feature/a", base="stable")
    assert started(site) == []
    repo.create_pull(title="C", head="feature/c", base="stable")
    assert started(site) == ["both"]


def test_whose_events_start_runs(site: Site) -> None:
    robot = bot(site)
    robot.create_file("a.py", "Add", "text\n", branch="main")
    robot.create_git_ref("refs/heads/feature/a", site.commit({"b.py": "text\n"}, "other"))
    forget(site)
    pull = robot.create_pull(title="Add", head="feature/a", base="main")
    pull.edit(state="closed")
    pull.edit(state="open")
    pull.merge()
    assert started(site) == []
    assert robot.get_workflow("button.yml").create_dispatch("main", throw=True)
    assert started(site) == ["button"]
    app = site.app_client("releaser", contents="write", pull_requests="write").get_repo("acme/models")
    app.create_file("docs/c.md", "Add", "text\n", branch="main")
    assert record(site, "any")["actor"] == "releaser[bot]"
    assert started(site) == ["any", "both", "docs", "main", "maindocs"]


TRAIN = """\
name: train
run-name: Train ${{ inputs.flow }}${{ inputs.again && ' again' || '' }} ${{ inputs.size }}
on:
  workflow_dispatch:
    inputs:
      flow: {type: string}
      again: {type: boolean}
      size: {type: number, default: 3}
"""


def test_a_dispatch(site: Site) -> None:
    site.commit({".github/workflows/train.yml": TRAIN + JOBS})
    forget(site)
    workflow = repository(site).get_workflow("train.yml")
    assert workflow.create_dispatch("main", {"flow": "svd", "again": True}, throw=True)
    run = record(site, "train")
    given = {"flow": "svd", "again": "true", "size": "3"}
    assert run["inputs"] == run["payload"]["inputs"] == given
    assert run["display_title"] == "Train svd again 3"
    assert (run["payload"]["workflow"], run["sha"]) == (run["path"], site.repository.head)
