"""ci.yml and train.yml themselves on a local GitHub: what is left out, what is required, who is refused.

The verbs that take long only say that they ran; planner and judge are the real ones.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from github import Auth
from github.Repository import Repository
from github.WorkflowRun import WorkflowRun

from tests.clone import ROOT, tracked
from tests.eventually import eventually
from tests.localcloud.github_harness import Site

pytestmark = pytest.mark.slow

REAL = (
    ".github/actions/",
    ".github/workflows/ci.yml",
    ".github/workflows/train.yml",
    "scripts/lib/",
    "vertex-ai-pipelines/delivery/",
    "vertex-ai-pipelines/flows/errors.py",
)
VERBS = ("plan", "required", "stamp")
SHORT = ("build", "check", "compile", "deploy", "due", "identity", "setup", "submit", "test")
SAYS = '#!/bin/sh\necho "$0 $*"\n'
CHANGED = {"releases/local/flow.toml": "schema = 1\n"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("github"), timeout=90)
    real = [name for name in tracked() if name.startswith(REAL)]
    files = {name: (ROOT / name).read_text() for name in [*real, *(f"scripts/{verb}" for verb in VERBS)]}
    files |= {f"scripts/{verb}": SAYS for verb in SHORT}
    made.hub.runner.room = 0
    made.commit(files | {"poetry.lock": "", "pyproject.toml": ""})
    for run in repository(made).get_workflow_runs():
        run.cancel()
    made.hub.runner.room = 2
    yield made
    made.close()


def repository(site: Site) -> Repository:
    return site.client().get_repo("acme/models")


def ended(site: Site, workflow: str, number: int = 0) -> WorkflowRun:
    """The newest run of a workflow, or the one with that number, once it has ended."""
    where = repository(site)
    run = where.get_workflow_run(number) if number else where.get_workflow(workflow).get_runs()[0]
    eventually(lambda: where.get_workflow_run(run.id).status == "completed")
    return where.get_workflow_run(run.id)


def jobs(run: WorkflowRun) -> dict[str, str]:
    """How each job has ended."""
    return {job.name: str(job.conclusion) for job in run.jobs()}


def test_a_change_of_releases_alone_runs_their_check_alone(site: Site) -> None:
    site.commit(CHANGED)
    run = ended(site, "ci.yml")
    skipped = dict.fromkeys(("check", "test", "build"), "skipped")
    passed = dict.fromkeys(("plan", "releases", "required"), "success")
    assert (run.conclusion, jobs(run)) == ("success", skipped | passed)
    assert repository(site).get_workflow("train.yml").get_runs()[0].head_sha != run.head_sha


def test_a_pull_request_is_planned_by_what_it_adds(site: Site) -> None:
    site.commit({"releases/local/side.toml": "schema = 1\n"}, branch="side")
    site.commit({"notes.txt": "main moves on"})
    repository(site).create_pull(title="Release", head="side", base="main")
    found = jobs(ended(site, "ci.yml"))
    assert (found["check"], found["releases"], found["required"]) == ("skipped", "success", "success")


def test_a_fork_s_pull_request_is_checked(site: Site) -> None:
    where = repository(site)
    where.edit(private=False)
    theirs = site.client(Auth.Token(site.hub.person_token("ann"))).get_repo("acme/models")
    fork = theirs.create_fork()
    for path in ("README.md", "vertex-ai-pipelines/flows/other.py", "releases/local/other.toml"):
        fork.create_file(path, f"Write {path}", "schema = 1\n", branch="main")
    theirs.create_pull("main", "ann:main", title="From a fork")
    held = ended(site, "ci.yml")
    assert (held.event, held.conclusion) == ("pull_request", "action_required")
    approve = f"{site.api}/repos/acme/models/actions/runs/{held.id}/approve"
    headers = {"authorization": f"token {site.token}"}
    assert requests.post(approve, headers=headers, timeout=5).status_code == 201
    run = ended(site, "ci.yml", held.id)
    every = ("plan", "check", "test", "build", "releases", "required")
    assert (run.conclusion, jobs(run)) == ("success", dict.fromkeys(every, "success"))
    assert run.head_repository.full_name == "ann/models"


def test_a_job_that_fails_fails_what_is_required(site: Site) -> None:
    site.commit({"scripts/check": "#!/bin/sh\nexit 1\n"})
    run = ended(site, "ci.yml")
    site.commit({"scripts/check": SAYS})
    found = jobs(run)
    assert (found["check"], found["test"], found["releases"]) == ("failure", "success", "skipped")
    assert (run.conclusion, found["required"]) == ("failure", "failure")


def test_a_planner_that_fails_lets_nothing_pass(site: Site) -> None:
    site.commit({"scripts/plan": "#!/bin/sh\necho check=false; exit 1\n"})
    run = ended(site, "ci.yml")
    site.commit({"scripts/plan": (ROOT / "scripts" / "plan").read_text()})
    found = jobs(run)
    assert (run.conclusion, found["plan"], found["required"]) == ("failure", "failure", "failure")
    assert {found[name] for name in ("check", "test", "build", "releases")} == {"skipped"}


def test_apps_press_no_button_and_repeat_no_run(site: Site) -> None:
    site.commit(CHANGED | {"releases/local/other.toml": "schema = 1\n"})
    good = ended(site, "ci.yml")
    app = site.app_client("notify", actions="write").get_repo("acme/models")
    assert app.get_workflow("train.yml").create_dispatch("main", {}, throw=True)
    pressed = ended(site, "train.yml")
    assert pressed.actor.login == "notify[bot]"
    assert set(jobs(pressed).values()) == {"skipped"}
    assert app.get_workflow_run(good.id).rerun()
    repeated = ended(site, "ci.yml", good.id)
    assert repeated.run_attempt == 2
    assert (jobs(repeated)["plan"], jobs(repeated)["required"]) == ("skipped", "failure")


def test_apps_repeat_no_job_of_a_run(site: Site) -> None:
    """The jobs that succeeded stay as they are, so each of the others refuses by itself."""
    site.commit({"scripts/check": "#!/bin/sh\nexit 1\n"})
    bad = ended(site, "ci.yml")
    site.commit({"scripts/check": SAYS})
    app = site.app_client("notify", actions="write").get_repo("acme/models")
    assert app.get_workflow_run(bad.id).rerun_failed_jobs()
    repeated = ended(site, "ci.yml", bad.id)
    found = jobs(repeated)
    assert (found["plan"], found["check"], found["required"]) == ("success", "skipped", "failure")
    assert repeated.run_attempt == 2


def test_a_branch_becomes_no_account_but_the_experiments(site: Site, tmp_path: Path) -> None:
    site.commit({"notes.txt": "a branch"}, branch="idea")
    train = repository(site).get_workflow("train.yml")
    assert train.create_dispatch("idea", {"environment": "production"}, throw=True)
    assert set(jobs(ended(site, "train.yml")).values()) == {"skipped"}
    assert train.create_dispatch("idea", {"environment": "experiment"}, throw=True)
    assert jobs(ended(site, "train.yml"))["image"] == "failure"  # there is no Google here to become one
