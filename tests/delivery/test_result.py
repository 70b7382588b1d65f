"""A run's result: for the job's summary, and in the one comment of an experiment's pull request."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from delivery import git, result, workflow_run
from delivery.follow import Outcome, Step
from flows import config
from tests.delivery.evidence import CHAMPION, manifest, verdict
from tests.delivery.hub import Hub, hub

JOB = "projects/p/locations/europe-west1/pipelineJobs/experiment-recommender-v1"
FLOW = config.load("recommender")
GOOD = Outcome(
    state="SUCCEEDED",
    steps=[Step("train", "SUCCEEDED", 1.0, False, "svd")],
    metrics=manifest().metrics,
    verdict=msgspec.to_builtins(verdict()),
)


def test_a_good_end_shows_metrics_against_the_champion() -> None:
    flow = config.load("recommender", assignments=" train.factors=16  gate.floor=0.1")
    text = result.body(flow, JOB, GOOD)
    assert text.splitlines()[0].startswith(
        "### recommender: [experiment-recommender-v1](https://console."
    )
    assert "With `train.factors=16 gate.floor=0.1`." in text
    assert f"The gate: **passed**, against `{CHAMPION}`." in text
    rows = text.splitlines()
    head = rows.index("| metric | candidate | champion | difference |")
    assert rows[head + 2].startswith("| `ndcg@10` | 0.0508 [0.0481, 0.0536] | 0.0409 [0.0385, 0.0432] |")


def test_without_a_champion_the_candidate_stands_alone() -> None:
    alone = msgspec.structs.replace(verdict(), champion=None, comparison=None)
    outcome = Outcome("SUCCEEDED", [], {"ndcg@10": 0.05}, msgspec.to_builtins(alone))
    text = result.body(FLOW, JOB, outcome)
    assert "| metric | candidate |\n| --- | --- |\n| `ndcg@10` | 0.05 |" in text
    assert "With" not in text


def test_a_failed_end_shows_its_step_s_error() -> None:
    steps = [Step("train", "FAILED", 1.0, False, "", "error: no rows\n  mend: add some")]
    text = result.body(FLOW, JOB, Outcome("FAILED", steps, error="The DAG failed."))
    assert "It ended as FAILED. The DAG failed." in text
    assert "```text\nerror: no rows\n  mend: add some\n```" in text


def test_a_start_is_a_link() -> None:
    assert result.body(FLOW, JOB, None).endswith("It was started.")


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A GitHub, and a checkout of the branch my/idea."""
    with hub(tmp_path) as found:
        monkeypatch.setattr(workflow_run, "repository", lambda: found.job)
        monkeypatch.setattr(git, "branch", lambda root: "my/idea")
        monkeypatch.delenv("GITHUB_RUN_ID", raising=False)
        yield found


def opened(github: Hub) -> int:
    github.person.create_git_ref("refs/heads/my/idea", github.head("main"))
    github._write("my/idea", "idea.txt", "x")
    return int(github.person.create_pull(base="main", head="my/idea", title="Idea", body="").number)


def test_a_branch_without_a_pull_request_gets_no_comment(github: Hub) -> None:
    assert result.comment("recommender", "text") is None
    number = opened(github)
    github.person.get_pull(number).edit(state="closed")
    assert result.comment("recommender", "text") is None


def test_a_flow_has_one_comment_that_is_updated(github: Hub) -> None:
    pull = github.person.get_pull(opened(github))
    pull.create_issue_comment("What do you think?")
    first = result.comment("recommender", "first")
    assert result.comment("recommender", "second") == first
    assert result.comment("linnerud", "other") != first
    bodies = [comment.body.splitlines()[0] for comment in pull.get_issue_comments()]
    assert bodies == ["What do you think?", "second", "other"]


def test_of_two_comments_at_once_one_stays(github: Hub) -> None:
    pull = github.person.get_pull(opened(github))
    result.comment("recommender", "first")
    github.job.get_pull(pull.number).create_issue_comment(pull.get_issue_comments()[0].body)
    result.comment("recommender", "second")
    assert [one.body.splitlines()[0] for one in pull.get_issue_comments()] == ["second"]


def test_a_person_s_comment_is_left_alone_whatever_it_says(github: Hub) -> None:
    pull = github.person.get_pull(opened(github))
    theirs = pull.create_issue_comment("<!-- retrain experiment recommender -->")
    result.comment("recommender", "first")
    copied = pull.create_issue_comment(pull.get_issue_comments()[1].body)
    result.comment("recommender", "second")
    bodies = [one.body for one in pull.get_issue_comments()]
    assert [bodies[0], bodies[2]] == [theirs.body, copied.body]
    assert bodies[1].startswith("second\n")


def test_in_a_workflow_the_branch_is_the_run_s(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(github)
    monkeypatch.setattr(git, "branch", lambda root: None)
    fields = {"RUN_ID": "1", "REF_TYPE": "branch", "REF_NAME": "my/idea"}
    for name, value in fields.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    assert result.comment("recommender", "text")
    monkeypatch.setenv("GITHUB_REF_TYPE", "tag")
    assert result.comment("recommender", "text") is None
