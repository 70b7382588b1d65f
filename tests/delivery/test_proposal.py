"""The release pull request, against a GitHub that keeps real git: every state, half-done ones too."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery import branch, pr_body, pull, releases
from delivery.candidate import candidate_of
from delivery.pr_body import Evidence
from delivery.proposal import Outcome, Proposal, bring
from delivery.releases import Model, Release
from flows.errors import RetrainError
from flows.manifest import Manifest
from tests.delivery.evidence import CHAMPION, COSTS, NEWER, OLD, VERSION, candidate, manifest, model
from tests.delivery.hub import BRANCH, Hub, hub


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Hub]:
    with hub(tmp_path) as found:
        yield found


def wanted(version: str = VERSION, share: int = 10, **changed: Any) -> Proposal:
    made = manifest(version, **changed)
    return Proposal(candidate(made), model(made), share, lambda now, then: told(made, now, then))


def told(made: Manifest, current: Release | None, becomes: Release) -> Evidence:
    champion = manifest(current.champion.version) if current else None
    return Evidence(candidate(made), made, champion, current, becomes, "24h", COSTS)


def entry(version: str) -> Model:
    return model(manifest(version))


def released(version: str = CHAMPION) -> str:
    return releases.write(releases.propose(None, entry(version), 10))


def both(champion: str, challenger: str) -> str:
    return releases.write(
        releases.propose(releases.parse(released(champion), ""), entry(challenger), 10)
    )


def check_open(github: Hub, text: str, version: str = VERSION) -> Any:
    """There is exactly one pull request; it proposes `version` and changes the one file to `text`."""
    (found,) = github.pulls()
    assert found.title == f"Release recommender {version} to local"
    assert candidate_of(found.body) == candidate(manifest(version))
    assert {label.name for label in found.labels} >= {"release", "recommender"}
    assert github.text(BRANCH) == text
    assert github.changed() == ["releases/local/recommender.toml"]
    assert (found.head.ref, found.base.ref) == (BRANCH, "main")
    assert found.user.login == "retrain-release[bot]"
    return found


def test_the_first_release_is_proposed(github: Hub) -> None:
    outcome = bring(github.app, wanted())
    found = check_open(github, released(VERSION))
    assert (outcome.state, outcome.created) == ("proposed", True)
    assert outcome.as_json() == {
        "state": "proposed",
        "pull_request": {
            "number": found.number,
            "url": found.html_url,
            "branch": BRANCH,
            "created": True,
        },
    }
    assert json.dumps(outcome.as_json())


def test_a_candidate_becomes_challenger(github: Hub) -> None:
    github.main(released())
    assert bring(github.app, wanted()).state == "proposed"
    check_open(github, both(CHAMPION, VERSION))


def test_without_a_ladder_it_becomes_champion(github: Hub) -> None:
    github.main(released())
    bring(github.app, wanted(share=100))
    check_open(github, released(VERSION))


def test_the_same_candidate_twice_changes_nothing(github: Hub) -> None:
    bring(github.app, wanted())
    (before,), head = github.pulls(), github.head()
    outcome = bring(github.app, wanted())
    (after,) = github.pulls()
    assert (outcome.state, outcome.created, outcome.pull.number) == ("proposed", False, before.number)
    assert (github.head(), after.updated_at, after.body) == (head, before.updated_at, before.body)


def test_the_same_candidate_after_other_commits_on_main_changes_nothing(github: Hub) -> None:
    bring(github.app, wanted())
    head = github.head()
    github.main(None, "another note")
    assert bring(github.app, wanted()).state == "proposed"
    assert github.head() == head


def test_a_newer_candidate_takes_the_pull_request_over(github: Hub) -> None:
    github.main(released())
    first, head = bring(github.app, wanted()), github.head()
    second = bring(github.app, wanted(NEWER))
    check_open(github, both(CHAMPION, NEWER), NEWER)
    assert (second.pull.number, second.created) == (first.pull.number, False)
    assert [one.sha for one in github.person.get_git_commit(github.head()).parents] == [head]


def test_main_is_merged_into_the_branch_where_it_moved(github: Hub) -> None:
    bring(github.app, wanted())
    head = github.head()
    github.main(None, "another note")
    bring(github.app, wanted(NEWER))
    check_open(github, released(NEWER), NEWER)
    parents = [one.sha for one in github.person.get_git_commit(github.head()).parents]
    assert parents == [head, github.head("main")]
    assert github.text(BRANCH, "README.md") == "another note"


def test_another_champion_on_main_changes_the_same_candidate_s_proposal(github: Hub) -> None:
    github.main(released(OLD))
    bring(github.app, wanted())
    github.main(released(CHAMPION))
    assert bring(github.app, wanted()).state == "proposed"
    found = check_open(github, both(CHAMPION, VERSION))
    assert f"`{CHAMPION}` keeps 90 %" in found.body


def test_the_first_release_elsewhere_makes_the_same_candidate_a_challenger(github: Hub) -> None:
    bring(github.app, wanted())
    github.main(released())
    bring(github.app, wanted())
    check_open(github, both(CHAMPION, VERSION))


def test_an_older_candidate_that_comes_late_changes_nothing(github: Hub) -> None:
    bring(github.app, wanted(NEWER))
    head = github.head()
    outcome = bring(github.app, wanted())
    assert outcome.state == "superseded"
    assert f"proposes {NEWER}, newer than {VERSION}" in outcome.why
    assert github.head() == head
    check_open(github, released(NEWER), NEWER)


def test_an_older_candidate_than_the_champion_is_superseded(github: Hub) -> None:
    github.main(released(NEWER))
    outcome = bring(github.app, wanted())
    assert (outcome.state, outcome.as_json()["pull_request"]) == ("superseded", None)
    assert github.pulls("all") == []


@pytest.mark.parametrize("text", [released(VERSION), both(CHAMPION, VERSION), both(VERSION, NEWER)])
def test_what_is_released_is_unchanged(github: Hub, text: str) -> None:
    github.main(text)
    assert bring(github.app, wanted()).state == "unchanged"
    assert github.pulls("all") == []


def test_a_version_with_two_hashes_is_refused(github: Hub) -> None:
    bring(github.app, wanted())
    with pytest.raises(RetrainError, match="is proposed with another manifest"):
        bring(github.app, wanted(created="2026-11-21T09:00:00Z"))
    github.main(released(VERSION))
    with pytest.raises(RetrainError, match="is released with another manifest"):
        bring(github.app, wanted(created="2026-11-21T09:00:00Z"))


def label_hold(found: Any) -> None:
    found.add_to_labels("hold")


def approve(found: Any) -> None:
    found.create_review(body="Good", event="APPROVE")


@pytest.mark.parametrize(
    ("begin", "said"), [(label_hold, "label 'hold'"), (approve, "maintainer has approved")]
)
def test_a_newer_candidate_waits_for_a_review(
    github: Hub, begin: Callable[[Any], None], said: str
) -> None:
    first = bring(github.app, wanted()).pull
    begin(github.person.get_pull(first.number))
    head = github.head()
    outcomes = [bring(github.app, wanted(NEWER)) for _ in range(2)]
    assert [outcome.state for outcome in outcomes] == ["held", "held"]
    assert said in outcomes[0].why
    (comment,) = github.person.get_pull(first.number).get_issue_comments()
    assert f"`{NEWER}`, and waits: " in comment.body
    assert f"-f manifest={candidate(manifest(NEWER)).manifest}" in comment.body
    assert github.head() == head
    check_open(github, released(VERSION))
    assert bring(github.app, wanted()).state == "proposed"


def test_an_approval_that_was_taken_back_holds_nothing(github: Hub) -> None:
    first = github.person.get_pull(bring(github.app, wanted()).pull.number)
    approve(first)
    first.create_review(body="By the way", event="COMMENT")
    assert bring(github.app, wanted(NEWER)).state == "held"
    first.create_review(body="On second thoughts", event="REQUEST_CHANGES")
    assert bring(github.app, wanted(NEWER)).state == "proposed"
    check_open(github, released(NEWER), NEWER)


def test_an_older_candidate_beside_a_held_one_is_not_announced(github: Hub) -> None:
    first = github.person.get_pull(bring(github.app, wanted(NEWER)).pull.number)
    label_hold(first)
    assert bring(github.app, wanted()).state == "superseded"
    assert list(first.get_issue_comments()) == []


def test_a_held_pull_request_goes_on_when_the_label_is_gone(github: Hub) -> None:
    first = github.person.get_pull(bring(github.app, wanted()).pull.number)
    label_hold(first)
    bring(github.app, wanted(NEWER))
    first.remove_from_labels("hold")
    assert bring(github.app, wanted(NEWER)).state == "proposed"
    check_open(github, released(NEWER), NEWER)


def test_a_closed_pull_request_of_the_same_version_stays_closed(github: Hub) -> None:
    github.person.get_pull(bring(github.app, wanted()).pull.number).edit(state="closed")
    outcome = bring(github.app, wanted())
    assert (outcome.state, outcome.pull.state) == ("held", "closed")
    assert "closed without merging" in outcome.why
    assert github.pulls() == []


def test_a_newer_candidate_follows_a_closed_one(github: Hub) -> None:
    first = bring(github.app, wanted()).pull
    github.person.get_pull(first.number).edit(state="closed")
    outcome = bring(github.app, wanted(NEWER))
    assert (outcome.created, outcome.pull.number > first.number) == (True, True)
    check_open(github, released(NEWER), NEWER)


def test_a_closed_one_blocks_only_its_version_also_beside_another_open_one(github: Hub) -> None:
    closed = bring(github.app, wanted(NEWER)).pull
    github.person.get_pull(closed.number).edit(state="closed")
    opened = bring(github.app, wanted())
    assert (opened.state, opened.created) == ("proposed", True)
    head = github.head()
    outcome = bring(github.app, wanted(NEWER))
    assert (outcome.state, outcome.pull.number) == ("held", closed.number)
    assert github.head() == head
    check_open(github, released(VERSION))


def test_a_closed_version_is_not_announced_where_another_is_held(github: Hub) -> None:
    closed = bring(github.app, wanted(NEWER)).pull
    github.person.get_pull(closed.number).edit(state="closed")
    opened = github.person.get_pull(bring(github.app, wanted()).pull.number)
    label_hold(opened)
    assert bring(github.app, wanted(NEWER)).pull.number == closed.number
    assert list(opened.get_issue_comments()) == []


def test_a_pull_request_that_was_opened_again_is_proposed(github: Hub) -> None:
    request = github.person.get_pull(bring(github.app, wanted()).pull.number)
    request.edit(state="closed")
    request.edit(state="open")
    assert bring(github.app, wanted()).state == "proposed"
    assert bring(github.app, wanted(NEWER)).pull.number == request.number


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_after_a_merge_the_next_candidate_has_its_own_pull_request(github: Hub, method: str) -> None:
    bring(github.app, wanted())
    github.pulls()[0].merge(merge_method=method)
    assert bring(github.app, wanted()).state == "unchanged"
    assert bring(github.app, wanted(NEWER)).created
    check_open(github, both(VERSION, NEWER), NEWER)


def test_after_a_merge_that_deleted_the_branch_it_begins_anew(github: Hub) -> None:
    bring(github.app, wanted())
    github.pulls()[0].merge()
    github.person.get_git_ref(f"heads/{BRANCH}").delete()
    assert bring(github.app, wanted(NEWER)).created
    check_open(github, both(VERSION, NEWER), NEWER)


def test_what_was_taken_back_is_not_proposed_again(github: Hub) -> None:
    github.main(released())
    bring(github.app, wanted())
    github.pulls()[0].merge()
    github.main(released())
    outcome = bring(github.app, wanted())
    assert (outcome.state, github.pulls()) == ("held", [])
    assert "merged, and taken back since" in outcome.why
    assert bring(github.app, wanted(NEWER)).created


def test_a_branch_without_a_pull_request_gets_it(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pull, "create", killed)
        with pytest.raises(KilledError):
            bring(github.app, wanted())
    head = github.head()
    assert bring(github.app, wanted()).created
    assert github.head() == head
    check_open(github, released(VERSION))


def test_a_pull_request_without_labels_gets_them(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pull, "label", killed)
        with pytest.raises(KilledError):
            bring(github.app, wanted())
    assert not bring(github.app, wanted()).created
    check_open(github, released(VERSION))


@pytest.mark.parametrize("begin", [None, approve])
def test_an_old_body_over_a_new_file_is_brought_up_to_date(
    github: Hub, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Any], None] | None
) -> None:
    bring(github.app, wanted())
    with monkeypatch.context() as broken:
        broken.setattr(pr_body, "body", killed)
        with pytest.raises(KilledError):
            bring(github.app, wanted(NEWER))
    if begin:
        begin(github.pulls()[0])
    assert bring(github.app, wanted(NEWER)).state == "proposed"
    check_open(github, released(NEWER), NEWER)


def test_a_late_candidate_does_not_overtake_a_half_done_newer_one(
    github: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(pull, "create", killed)
        with pytest.raises(KilledError):
            bring(github.app, wanted(NEWER))
    assert bring(github.app, wanted()).state == "superseded"
    assert github.text(BRANCH) == released(NEWER)


@pytest.mark.parametrize("text", ["Please have a look", "<!-- retrain {} -->"])
def test_a_body_that_people_wrote_over_is_written_again(github: Hub, text: str) -> None:
    bring(github.app, wanted())
    github.pulls()[0].edit(body=text)
    bring(github.app, wanted())
    check_open(github, released(VERSION))


def test_a_broken_file_on_the_branch_is_written_again(github: Hub) -> None:
    bring(github.app, wanted())
    github._write(BRANCH, "releases/local/recommender.toml", "broken")
    bring(github.app, wanted())
    check_open(github, released(VERSION))


def test_what_people_added_to_the_branch_does_not_stay(github: Hub) -> None:
    bring(github.app, wanted())
    github._write(BRANCH, "evil.txt", "boo")
    bring(github.app, wanted(NEWER))
    check_open(github, released(NEWER), NEWER)


def test_a_lost_race_is_run_again(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(github.app, wanted())
    looks: list[int] = []
    real = branch.look

    def look(*arguments: Any) -> Any:
        seen = real(*arguments)
        looks.append(1)
        if len(looks) == 1:
            github._write(BRANCH, "other.txt", "faster")
        return seen

    monkeypatch.setattr(branch, "look", look)
    assert bring(github.app, wanted(NEWER)).state == "proposed"
    assert len(looks) == 2
    check_open(github, released(NEWER), NEWER)


def test_two_first_runs_make_one_pull_request(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[Outcome] = []
    real = pull.find

    def find(*arguments: Any) -> Any:
        pulls = real(*arguments)
        if not outcomes:
            monkeypatch.setattr(pull, "find", real)
            outcomes.append(bring(github.app, wanted(NEWER)))
        return pulls

    monkeypatch.setattr(pull, "find", find)
    assert bring(github.app, wanted()).state == "superseded"
    check_open(github, released(NEWER), NEWER)


def test_races_are_not_run_for_ever(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(github.app, wanted())
    real = branch.look

    def look(*arguments: Any) -> Any:
        seen = real(*arguments)
        github._write(BRANCH, "other.txt", str(seen.branch))
        return seen

    monkeypatch.setattr(branch, "look", look)
    with pytest.raises(RetrainError, match=r"no longer at(.|\n)*start release-pr"):
        bring(github.app, wanted(NEWER))


class KilledError(Exception):
    """The process ended here."""


def killed(*arguments: Any, **options: Any) -> Any:
    raise KilledError
