"""Workflows: the button, its inputs, the runs and their queue."""

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from github import GithubException, UnknownObjectException
from github.Repository import Repository
from github.WorkflowRun import WorkflowRun

from tests.eventually import eventually
from tests.localcloud.github_harness import OWNER, Site

TRAIN = """\
name: Train
on:
  workflow_dispatch:
    inputs:
      flow_name: {required: true, type: string}
      size: {type: choice, options: [small, large], default: small}
      again: {type: boolean, default: false}
jobs:
  train: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}
"""
JOBS = "jobs: {one: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}\n"
BUTTON = "name: {0}\non: workflow_dispatch\nconcurrency: {{group: '{0}', queue: max}}\n"
SHOW = """\
#!/bin/sh
echo "arguments: $*"
echo "$MARK, attempt $GITHUB_RUN_ATTEMPT of $GITHUB_REPOSITORY at $(git rev-parse --abbrev-ref HEAD)"
echo "origin $(git remote get-url origin), home ${HOME:-unset}"
test "$GITHUB_SHA" = "$(git rev-parse HEAD)" && test -e prepared && test "$PWD" = "$GITHUB_WORKSPACE"
echo "## Summary" >> "$GITHUB_STEP_SUMMARY"
echo "to the error stream" >&2
"""
FILES = {
    ".github/workflows/train.yml": TRAIN,
    ".github/workflows/ci.yml": f"name: CI\non: [merge_group]\n{JOBS}",
    ".github/workflows/fail.yml": BUTTON.format("Fail") + JOBS,
    ".github/workflows/slow.yml": BUTTON.format("Slow") + JOBS,
    ".github/workflows/nothing.yml": BUTTON.format("Nothing") + JOBS,
    "scripts/train": SHOW,
    "scripts/fail": "#!/bin/sh\necho wrong\nexit 3\n",
    "scripts/slow": "#!/bin/sh\nsleep 60 &\necho $! > $RUNNER_TEMP/child\nwait\n",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("github"))
    site.commit(FILES)
    yield site
    site.close()


@pytest.fixture
def repo(shared: Site) -> Repository:
    return shared.client().get_repo("acme/models")


def press(repo: Repository, name: str, **inputs: object) -> WorkflowRun:
    """Dispatch, and find the run."""
    workflow = repo.get_workflow(f"{name}.yml")
    assert workflow.create_dispatch("main", inputs, throw=True)
    return workflow.get_runs()[0]


def finished(repo: Repository, run: WorkflowRun) -> WorkflowRun:
    eventually(lambda: repo.get_workflow_run(run.id).status == "completed")
    return repo.get_workflow_run(run.id)


def log_of(shared: Site, run: WorkflowRun) -> str:
    headers = {"authorization": f"token {shared.token}"}
    archive = requests.get(run.logs_url, headers=headers, timeout=5).content
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        return found.read(found.namelist()[0]).decode()


def test_a_run(shared: Site, repo: Repository) -> None:
    run = finished(repo, press(repo, "train", flow_name="my flow", again=True))
    assert (run.status, run.conclusion, run.event, run.head_branch) == (
        "completed",
        "success",
        "workflow_dispatch",
        "main",
    )
    assert (run.name, run.run_number, run.run_attempt) == ("Train", 1, 1)
    assert (run.head_sha, run.actor.login) == (shared.repository.head, OWNER)
    assert run.html_url.endswith(f"/acme/models/actions/runs/{run.id}")
    assert log_of(shared, run).splitlines() == [
        "arguments: --flow-name my flow --size small --again",
        "job of Train, attempt 1 of acme/models at main",
        "origin https://github.com/acme/models, home unset",
        "to the error stream",
    ]
    record = shared.hub.runs.get("acme/models", run.id)
    assert record["summary"] == "## Summary\n"
    assert not (shared.root / "runs" / str(run.id) / "workspace").exists()
    (job,) = run.jobs()
    assert (job.name, job.conclusion, job.steps[0].conclusion) == ("train", "success", "success")


def test_a_failure(shared: Site, repo: Repository) -> None:
    run = finished(repo, press(repo, "fail"))
    assert run.conclusion == "failure"
    assert log_of(shared, run) == "wrong\n./scripts/fail ended with exit code 3\n"
    assert (shared.root / "runs" / str(run.id) / "workspace" / "README.md").parent.is_dir()
    run = finished(repo, press(repo, "nothing"))
    assert run.conclusion == "failure"
    assert "./scripts/nothing" in log_of(shared, run)


def test_inputs_are_checked(repo: Repository) -> None:
    workflow = repo.get_workflow("train.yml")
    for ref, inputs, message in (
        ("main", {}, "Required input 'flow_name' not provided"),
        ("main", {"flow_name": "x", "other": "1"}, 'Unexpected inputs provided: ["other"]'),
        (
            "main",
            {"flow_name": "x", "size": "huge"},
            "Provided value 'huge' for input 'size' not in the list of allowed values",
        ),
        ("nowhere", {"flow_name": "x"}, "No ref found for: nowhere"),
    ):
        with pytest.raises(GithubException) as error:
            workflow.create_dispatch(ref, inputs, throw=True)
        assert (error.value.status, error.value.data["message"]) == (422, message)
    with pytest.raises(GithubException) as error:
        repo.get_workflow("ci.yml").create_dispatch("main", throw=True)
    assert error.value.data["message"] == "Workflow does not have 'workflow_dispatch' trigger"
    with pytest.raises(UnknownObjectException):
        repo.get_workflow("none.yml")
    names = [one.name for one in repo.get_workflows()]
    assert names == ["CI", "Fail", "Nothing", "Slow", "Train"]
    assert repo.get_workflow(workflow.id).path == ".github/workflows/train.yml"


def test_details_of_the_run_where_asked(repo: Repository) -> None:
    run = repo.get_workflow("fail.yml").create_dispatch("main", return_run_details=True)
    assert finished(repo, run).conclusion == "failure"


def test_queue_cancel_and_rerun(shared: Site, repo: Repository) -> None:
    first, second, third = (press(repo, "slow") for _ in range(3))
    child = shared.root / "runs" / str(first.id) / "temp" / "child"
    eventually(lambda: child.exists() and child.read_text().strip())
    found = {run.id: run.status for run in repo.get_workflow("slow.yml").get_runs()}
    assert found == {first.id: "in_progress", second.id: "pending", third.id: "pending"}
    assert press(repo, "train", flow_name="beside").id not in found
    assert second.cancel()
    assert repo.get_workflow_run(second.id).conclusion == "cancelled"
    assert first.cancel()
    assert finished(repo, first).conclusion == "cancelled"
    process = Path(f"/proc/{child.read_text().strip()}/stat")
    eventually(lambda: not process.exists() or " Z " in process.read_text())
    eventually(lambda: repo.get_workflow_run(third.id).status == "in_progress")
    third.cancel()
    assert finished(repo, third).conclusion == "cancelled"
    assert not third.cancel()
    assert second.rerun()
    eventually(lambda: repo.get_workflow_run(second.id).status == "in_progress")
    assert repo.get_workflow_run(second.id).run_attempt == 2
    assert not second.rerun()
    second.cancel()
    finished(repo, second)


def test_finding_runs(repo: Repository) -> None:
    run = finished(repo, press(repo, "train", flow_name="found"))
    day = time.strftime("%Y-%m-%d", time.gmtime())
    for query in (
        {"status": "success"},
        {"event": "workflow_dispatch", "branch": "main"},
        {"actor": OWNER, "head_sha": run.head_sha},
        {"created": f">={day}"},
        {"created": f"{day}..*"},
    ):
        assert run.id in [one.id for one in repo.get_workflow_runs(**query)]  # type: ignore[arg-type]
    for query in ({"branch": "other"}, {"event": "push"}, {"created": "<2020-01-01"}):
        assert repo.get_workflow_runs(**query).totalCount == 0  # type: ignore[arg-type]


def test_a_timeout(tmp_path: Path) -> None:
    site = Site(tmp_path / "cloud", timeout=0.3)
    site.commit(FILES)
    repo = site.client().get_repo("acme/models")
    assert finished(repo, press(repo, "slow")).conclusion == "timed_out"
    site.close()


def test_after_a_stop(tmp_path: Path) -> None:
    site = Site(tmp_path / "cloud")
    site.commit({**FILES, "scripts/slow": "#!/bin/sh\ntest $GITHUB_RUN_NUMBER = 2 || sleep 60\n"})
    repo = site.client().get_repo("acme/models")
    first, second = press(repo, "slow"), press(repo, "slow")
    eventually(lambda: repo.get_workflow_run(first.id).status == "in_progress")
    record = site.hub.runs.get("acme/models", first.id)
    site.close()
    site = Site(tmp_path / "cloud")
    repo = site.client().get_repo("acme/models")
    assert repo.get_workflow_run(first.id).conclusion == "failure"
    assert finished(repo, second).conclusion == "success"
    site.hub.runs.save({**record, "status": "in_progress"})  # as if the process had died
    site.close()
    site = Site(tmp_path / "cloud")
    run = site.client().get_repo("acme/models").get_workflow_run(first.id)
    assert (run.status, run.conclusion) == ("completed", "failure")
    assert "the local cloud stopped" in log_of(site, run)
    site.close()
