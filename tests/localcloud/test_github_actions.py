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

from localcloud.cloud import Cloud
from localcloud.github import GitHub
from localcloud.github.progress import MOST_MINUTES
from tests.eventually import eventually
from tests.localcloud.github_harness import OWNER, WORLD, Site

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
TRAIN = f"""\
name: Train
on:
  workflow_dispatch:
    inputs:
      flow_name: {{required: true, type: string}}
      size: {{type: choice, options: [small, large], default: small}}
      again: {{type: boolean, default: false}}
jobs:
  train:
    runs-on: ubuntu-24.04
    env: {{FLOW: "${{{{ inputs.flow_name }}}} ${{{{ inputs.size }}}} ${{{{ inputs.again }}}}"}}
    steps:
      - name: Check out
        uses: {CHECKOUT} # v7.0.1
      - name: Train it
        run: ./scripts/train "$FLOW"
"""
BUTTON = """\
name: {0}
on: workflow_dispatch
concurrency: {{group: '{0}', queue: max}}
jobs:
  one:
    runs-on: ubuntu-24.04
    steps: [{{name: Work, run: "{1}"}}]
"""
JOBS = "jobs: {one: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}\n"
SHOW = """\
#!/bin/sh
echo "arguments: $*"
echo "$MARK, attempt $GITHUB_RUN_ATTEMPT of $GITHUB_REPOSITORY at $(git rev-parse --abbrev-ref HEAD)"
echo "origin $(git remote get-url origin), $(cd "$HOME" && pwd | sed 's|.*/runs/[0-9]*/||')"
test "$GITHUB_SHA" = "$(git rev-parse HEAD)" && test "$PWD" = "$GITHUB_WORKSPACE"
echo "## Summary" >> "$GITHUB_STEP_SUMMARY"
echo "to the error stream" >&2
"""
# Its folder tells the test that it has begun, and is how its process is found.
SLOW = "sleep 60 & echo $! > ../../../child; wait"
FILES = {
    ".github/workflows/train.yml": TRAIN,
    ".github/workflows/ci.yml": f"name: CI\non: [merge_group]\n{JOBS}",
    ".github/workflows/fail.yml": BUTTON.format("Fail", "echo wrong; exit 3"),
    ".github/workflows/slow.yml": BUTTON.format("Slow", SLOW),
    ".github/workflows/nothing.yml": BUTTON.format("Nothing", "./scripts/nothing"),
    "scripts/train": SHOW,
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
    lines = [line.split(" ", 1)[1] for line in log_of(shared, run).splitlines()]
    assert [line for line in lines if not line.startswith("##[")] == [
        f"{run.head_sha} Change {', '.join(FILES)}",
        "arguments: my flow small true",
        "job of Train, attempt 1 of acme/models at main",
        "origin https://github.com/acme/models, home",
        "to the error stream",
    ]
    record = shared.hub.runs.get("acme/models", run.id)
    assert record["summary"] == "## Summary\n"
    left = {path.name for path in (shared.root / "runs" / str(run.id)).iterdir()}
    assert left == {"event.json", "jobs", "log.txt"}
    (job,) = run.jobs()
    assert (job.name, job.conclusion, job.status) == ("train", "success", "completed")
    assert [(step.number, step.name, step.conclusion) for step in job.steps] == [
        (1, "Set up job", "success"),
        (2, "Check out", "success"),
        (3, "Train it", "success"),
        (4, "Complete job", "success"),
    ]


def test_a_failure(shared: Site, repo: Repository) -> None:
    run = finished(repo, press(repo, "fail"))
    assert run.conclusion == "failure"
    assert [step.conclusion for step in run.jobs()[0].steps] == ["success", "failure", "success"]
    log = shared.hub.runs.log(shared.hub.runs.get("acme/models", run.id)).read_text().splitlines()
    assert log[2:] == ["one | wrong", "one | ##[error]Process completed with exit code 3."]
    run = finished(repo, press(repo, "nothing"))
    assert run.conclusion == "failure"
    assert "./scripts/nothing: No such file or directory" in log_of(shared, run)


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
    child = shared.root / "runs" / str(first.id) / "child"
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


def test_no_run_ends_before_its_jobs_may(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, WORLD)
    assert GitHub(cloud, lambda _: {}).runner.setting.timeout > 60 * MOST_MINUTES
    cloud.store.close()


def test_after_a_stop(tmp_path: Path) -> None:
    site = Site(tmp_path / "cloud")
    slow = BUTTON.format("Slow", "test $GITHUB_RUN_NUMBER = 2 || sleep 60")
    site.commit({".github/workflows/slow.yml": slow})
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
    log = site.hub.runs.log(site.hub.runs.get("acme/models", run.id)).read_text()
    assert "the local cloud stopped" in log
    site.close()
