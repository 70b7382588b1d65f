"""What `run` and pushes do is what the workflow files say, on the local GitHub as on GitHub."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from delivery.components import STEPS
from flows import config
from tests.clone import FLOW, ROOT, SHORT, Clone, clone

pytestmark = pytest.mark.slow
TRAIN = ".github/workflows/train.yml"
FLOWS = "vertex-ai-pipelines/flows"
LINNERUD = f"{FLOWS}/linnerud"
ABOUT = """
import github
client = github.Github(auth=github.Auth.Token(os.environ["GITHUB_TOKEN"]), seconds_between_requests=0)
where = client.get_repo(os.environ["GITHUB_REPOSITORY"])
"""
LISTED = (
    ABOUT
    + """
answer = [[run.name, run.event, run.conclusion] for run in where.get_workflow_runs()]
"""
)
# The runs of a commit, once all of them have ended, and the flows whose jobs its training run started.
CAME = (
    ABOUT
    + """
import time
from google.cloud.aiplatform_v1 import PipelineServiceClient
def runs():
    return {run.name: run for run in where.get_workflow_runs(head_sha=SHA, event="push")}
deadline = time.monotonic() + 240
while time.monotonic() < deadline and (
    len(runs()) < 2 or any(run.status != "completed" for run in runs().values())
):
    time.sleep(0.5)
endpoint = {"api_endpoint": "europe-west1-aiplatform.googleapis.com"}
jobs = PipelineServiceClient(client_options=endpoint)
parent = f"projects/{os.environ['GOOGLE_CLOUD_PROJECT']}/locations/europe-west1"
mine = f'labels.run="{runs()["train"].id}"'
found = jobs.list_pipeline_jobs(request={"parent": parent, "filter": mine})
answer = {
    "runs": {name: [run.event, run.conclusion] for name, run in runs().items()},
    "flows": sorted(job.labels["flow"] for job in found),
}
"""
)
# How the jobs of ci.yml end for a release pull request, and for one with another hash in it.
CHECKED = (
    ABOUT
    + """
import time
def judged(branch):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for run in where.get_workflow_runs(branch=branch, event="pull_request"):
            if run.status == "completed":
                return {job.name: job.conclusion for job in run.jobs()}
        time.sleep(0.5)
ours, theirs, file = "release/local/linnerud", "by-hand", "releases/local/linnerud.toml"
where.create_git_ref(f"refs/heads/{theirs}", where.get_branch(ours).commit.sha)
found = where.get_contents(file, theirs)
text, digit = found.decoded_content.decode().split('sha256 = "')
new = text + 'sha256 = "' + ("1" if digit[0] == "0" else "0") + digit[1:]
where.update_file(file, "Another hash", new, found.sha, theirs)
where.create_pull("main", theirs, title="By hand")
answer = [judged(ours), judged(theirs)]
"""
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A clone with a new flow, and flows of the base image alone: another's packages are large."""
    with clone(tmp_path_factory.mktemp("workflows")) as made:
        ended = made.verb("new-flow", "new_one", "--kind", "regression")
        assert ended.code == 0, ended
        made.write(f"{FLOW}/flow.toml", *SHORT)
        for name in config.names():
            if config.load(name).image != "base":
                shutil.rmtree(made.folder / FLOWS / name)
        yield made


@pytest.fixture(scope="module")
def trained(small: Clone) -> Clone:
    """The same once all of its flows have been trained."""
    ended = small.run("--all")
    assert ended.code == 0, ended
    answers = ended.answer["flows"]
    assert {one["flow"]: one["state"] for one in answers} == ended.answer["states"]
    assert set(ended.answer["states"].values()) == {"proposed"}, ended
    assert len({one["pull_request"]["number"] for one in answers}) == len(answers) > 1
    assert len({one["model"]["version"] for one in answers}) == 1, "one press of the button"
    assert max(one["seconds"] for one in answers) <= ended.answer["seconds"]
    assert len(ended.err.splitlines()) <= 5 + 8 * len(answers), ended
    for one in answers:
        lines = [line for line in ended.err.splitlines() if line.startswith(f"{one['flow']} ")]
        assert [line.split()[1] for line in lines] == [*STEPS, "release"], ended
    return small


def test_a_run_is_made_of_workflow_runs(trained: Clone) -> None:
    listed: list[Any] = trained.program(LISTED)
    assert listed.count(["train", "workflow_dispatch", "success"]) == 1
    assert listed.count(["release-pr", "workflow_dispatch", "success"]) == len(flows_of(trained))


def test_what_a_pull_request_releases_must_have_been_seen(trained: Clone) -> None:
    ours, theirs = trained.program(CHECKED)
    left_out = dict.fromkeys(("check", "test", "build"), "skipped")
    assert ours == {**left_out, "plan": "success", "releases": "success", "required": "success"}
    assert theirs == {**left_out, "plan": "success", "releases": "failure", "required": "failure"}
    shown = trained.verb("localcloud", "runs").out.splitlines()
    assert any(line.split()[1:4] == ["failure", "ci", "pull_request"] for line in shown)
    last = len(flows_of(trained)) + 1
    numbers = [number for number in range(1, last + 1) if "By hand" in pull(trained, number)]
    assert len(numbers) == 1
    shown_pull = pull(trained, numbers[0])
    assert "required failure" in shown_pull
    assert "\n--- releases failed · ./scripts/localcloud logs run-" in shown_pull
    assert "error: releases/local/" in shown_pull


def flows_of(trained: Clone) -> list[str]:
    return config.names(trained.folder / FLOWS)


def pull(trained: Clone, number: int) -> str:
    return trained.verb("localcloud", "pr", str(number)).out


def test_nothing_of_that_number_is_no_pull_request(trained: Clone) -> None:
    assert trained.verb("localcloud", "pr", "99").code == 2
    assert (
        "#99 is not merged: there is none of that number"
        in trained.verb("localcloud", "merge", "99").err
    )
    assert trained.verb("localcloud", "runs", "--cancel", "99").code == 2


def test_a_verb_that_is_not_there_fails_the_run_in_its_step(trained: Clone) -> None:
    with trained.edited(TRAIN, "run: ./scripts/submit", "run: ./scripts/sumbit"):
        ended = trained.run("linnerud")
    assert ended.code == 1, ended
    assert ended.answer["state"] == "failed"
    assert "failed        train.yml · submit linnerud · Submit\n" in ended.err
    assert "./scripts/sumbit: No such file or directory" in ended.err


def test_a_push_trains_the_flow_whose_files_changed(trained: Clone) -> None:
    elsewhere = trained.folder.parent / "elsewhere"
    token, at = trained.environment().set["GITHUB_TOKEN"], ("-C", str(elsewhere))
    origin = f"https://x-access-token:{token}@github.com/acme/models"
    trained.git("clone", "--quiet", origin, str(elsewhere), inside=True)
    (elsewhere / TRAIN).write_text((ROOT / TRAIN).read_text())  # whatever a run has left on main
    for verb in ("check", "test"):  # they have their own proof; here they would prove themselves
        (elsewhere / "scripts" / verb).write_text("#!/bin/sh\n")
    with (elsewhere / LINNERUD / "flow.toml").open("a") as toml:
        toml.write("# another thought\n")
    trained.git(*at, "commit", "--quiet", "--all", "--message=Another thought", inside=True)
    trained.git(*at, "push", "--quiet", "origin", "HEAD:main", inside=True)
    commit = trained.git(*at, "rev-parse", "HEAD")
    came = trained.program(f"SHA = '{commit}'\n{CAME}")
    assert came == {
        "runs": {name: ["push", "success"] for name in ("ci", "deploy", "train")},
        "flows": ["linnerud"],
    }
    ended = trained.run("linnerud")
    assert ended.code == 0, ended
    assert f"local main    {commit[:7]}, pushed to it, is not in your working tree" in ended.err
