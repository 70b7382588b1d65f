"""The pull requests of promote, ab and rollback, against a GitHub that keeps real git."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from github import GithubException

from delivery import (
    ab,
    branch,
    command,
    declared,
    edit,
    history,
    person,
    promote,
    pull,
    releases,
    rollback,
    settings,
)
from delivery.proposal import Proposal
from delivery.proposal import bring as propose
from delivery.releases import Release
from delivery.settings import Settings
from flows.errors import InputError
from localcloud.github import GitHub
from tests.delivery import evidence
from tests.delivery.evidence import CHAMPION, NEWER, OLD, VERSION
from tests.delivery.hub import PATH, Hub, hub
from tests.localcloud.served import serve

BRANCH = "rollout/local/recommender"
Verb = Callable[..., tuple[int, str, str]]


def text(champion: str, challenger: str = "", share: int = 0) -> str:
    alone = releases.alone(evidence.model(evidence.manifest(champion)))
    if not challenger:
        return releases.write(alone)
    return releases.write(releases.propose(alone, evidence.model(evidence.manifest(challenger)), share))


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A repository whose main has a champion at 90 % and a challenger; its maintainer calls."""
    with hub(tmp_path) as found:
        found.main(text(CHAMPION, VERSION, 10))
        monkeypatch.setattr(person, "repository", lambda name: found.person)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing"))
        yield found


@pytest.fixture
def verb(capsys: pytest.CaptureFixture[str]) -> Verb:
    """Runs a verb for the recommender: its exit code, and what it said on both streams."""

    def run(module: Any, *arguments: str) -> tuple[int, str, str]:
        given = ["recommender", *arguments, "--environment", "local"]
        code = command.run(lambda _: module.main(given))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def only(github: Hub) -> Any:
    """The one pull request; it changes the one file."""
    [found] = github.pulls()
    assert [file.filename for file in found.get_files()] == [PATH]
    assert (found.head.ref, found.base.ref) == (BRANCH, "main")
    return found


def test_the_next_rung_is_proposed(github: Hub, verb: Verb) -> None:
    code, out, err = verb(promote, "--json")
    found = only(github)
    assert code == 0
    assert json.loads(out) == {
        "state": "proposed",
        "pull_request": {
            "number": found.number,
            "url": found.html_url,
            "branch": BRANCH,
            "created": True,
        },
    }
    assert f"pull request #{found.number} opened: Give recommender {VERSION} 50 % in local" in err
    assert github.text(BRANCH) == text(CHAMPION, VERSION, 50)
    assert found.user.login == "maintainer"
    assert {label.name for label in found.labels} == {"rollout", "recommender"}
    assert f"gives `{VERSION}` 50 % of the traffic of `recommender` in `local`" in found.body
    assert f"| `{CHAMPION}` | 90 % | 50 % |" in found.body
    assert "None: Cloud Monitoring cannot be asked: DefaultCredentialsError." in found.body
    assert edit.mark_of(found) == edit.Mark(
        flow="recommender",
        environment="local",
        was={CHAMPION: 90, VERSION: 10},
        becomes={CHAMPION: 50, VERSION: 50},
    )


def test_the_same_edit_again_changes_nothing(github: Hub, verb: Verb) -> None:
    verb(promote)
    before, head = only(github), github.head(BRANCH)
    code, _, err = verb(promote)
    after = only(github)
    assert (code, github.head(BRANCH), after.updated_at) == (0, head, before.updated_at)
    assert "proposes this already" in err


def test_another_edit_takes_the_pull_request_over(github: Hub, verb: Verb) -> None:
    verb(promote)
    first = only(github)
    verb(rollback)
    found = only(github)
    assert found.number == first.number
    assert found.title == f"Take challenger {VERSION} of recommender out in local"
    assert f"`{VERSION}` is no longer challenger." in found.body
    assert github.text(BRANCH) == text(CHAMPION)


def test_an_a_b_test_gives_a_share(github: Hub, verb: Verb) -> None:
    assert verb(ab, "35")[0] == 0
    assert github.text(BRANCH) == text(CHAMPION, VERSION, 35)


def test_a_share_is_looked_at_before_anything_is_asked(
    verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person, "repository", lambda name: pytest.fail("GitHub was asked"))
    for share in ("150", "0", "12.5", "half"):
        code, _, err = verb(ab, share)
        assert code == 2
        assert f"a challenger cannot have {share} % of the traffic\n  mend: write 1 to 99; " in err


def test_an_empty_repository_says_what_comes_first(
    verb: Verb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub(tmp_path) as found:

        def empty(*_: object) -> None:
            raise GithubException(409, {"message": "Git Repository is empty."})

        monkeypatch.setattr(person, "repository", lambda name: found.person)
        monkeypatch.setattr(type(found.person), "get_git_ref", empty)
        code, _, err = verb(ab, "50")
    assert code == 1
    assert (
        "it has no branch 'main'\n  mend: push a commit to main; ./scripts/run does it on a laptop"
        in err
    )


@pytest.mark.parametrize(
    ("now", "is_more"),
    [
        ((VERSION, "", 0), True),
        ((CHAMPION, VERSION, 50), True),
        ((CHAMPION, "", 0), False),
        ((CHAMPION, VERSION, 5), False),
        ((CHAMPION, NEWER, 20), False),
    ],
)
def test_who_gets_more_is_judged(now: tuple[str, str, int], is_more: bool) -> None:
    current, becomes = (releases.parse(text(*one), "") for one in ((CHAMPION, VERSION, 10), now))
    assert becomes
    assert edit.Change("recommender", "local", current, becomes).is_more is is_more


def test_what_main_says_already_needs_no_pull_request(github: Hub, verb: Verb) -> None:
    code, _, err = verb(ab, "10")
    assert (code, github.pulls()) == (0, [])
    assert "main says so already" in err


def test_a_dry_run_prints_the_difference(github: Hub, verb: Verb) -> None:
    code, out, _ = verb(promote, "--dry-run")
    assert (code, github.pulls(), branch.head(github.person, BRANCH)) == (0, [], None)
    assert "-traffic = 90\n+traffic = 50\n" in out
    assert out.startswith(f"--- a/{PATH}\n+++ b/{PATH}\n")
    assert verb(ab, "10", "--dry-run")[1] == "nothing changes\n"


def test_merged_and_reverted_it_can_be_proposed_again(github: Hub, verb: Verb) -> None:
    verb(promote)
    only(github).merge()
    assert github.text("main") == text(CHAMPION, VERSION, 50)
    github.main(text(CHAMPION, VERSION, 10), "reverted")
    verb(promote)
    assert github.text(BRANCH) == text(CHAMPION, VERSION, 50)
    only(github).merge()
    verb(promote)
    only(github).merge()
    assert github.text("main") == text(VERSION)


def test_what_is_under_review_becomes_nothing_else(github: Hub, verb: Verb) -> None:
    verb(promote)
    only(github).add_to_labels("hold")
    code, _, err = verb(rollback)
    assert code == 1
    assert "proposes something else, and it has the label 'hold'\n  mend: merge or close it" in err
    assert github.text(BRANCH) == text(CHAMPION, VERSION, 50)
    assert verb(promote)[0] == 0


@pytest.mark.parametrize("step", ["create", "label"])
def test_what_was_cut_short_is_taken_up(
    github: Hub, verb: Verb, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(pull, step, killed)
        assert verb(promote)[0] == 130
    head = github.head(BRANCH)
    assert verb(promote)[0] == 0
    assert {label.name for label in only(github).labels} == {"rollout", "recommender"}
    assert github.head(BRANCH) == head


def test_a_body_that_is_behind_its_branch_is_mended(github: Hub, verb: Verb) -> None:
    verb(promote)
    found = only(github)
    body = found.body
    found.edit(body="something")
    found.add_to_labels("hold")
    verb(promote)
    assert only(github).body == body


def test_who_is_overtaken_looks_again(github: Hub, verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    advance, overtaken = branch.advance, list[str]()

    def slow(repository: Any, *given: Any) -> str:
        if not overtaken:
            overtaken.append(advance(repository, *given))
        return advance(repository, *given)

    monkeypatch.setattr(branch, "advance", slow)
    code, _, err = verb(promote)
    assert (code, github.head(BRANCH)) == (0, overtaken[0]), err


def test_a_release_pull_request_beside_it_is_named(github: Hub, verb: Verb) -> None:
    newer = evidence.manifest(NEWER)
    wanted = Proposal(
        evidence.candidate(newer), evidence.model(newer), 10, lambda *_: evidence.evidence(newer)
    )
    rival = propose(github.app, wanted).pull
    verb(promote)
    [found] = [one for one in github.pulls() if one.number != rival.number]
    assert f"Release pull request #{rival.number} changes the same file" in found.body
    assert f"-f manifest={evidence.address(NEWER)}" in found.body
    found.merge()
    assert github.person.get_pull(rival.number).mergeable is False
    propose(github.app, wanted)
    assert github.person.get_pull(rival.number).mergeable is True


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose local environment takes what staging has released."""
    own = settings.load()
    staging, local = own.environments["staging"], own.environments["local"]
    taking = {"staging": staging.model_store}
    places = {"staging": staging, "local": msgspec.structs.replace(local, origins=taking)}
    changed = msgspec.structs.replace(own, environments=places)
    monkeypatch.setattr(settings, "load", lambda: changed)
    return changed


def staged(github: Hub, version: str) -> str:
    """What staging has released, as its file says it."""
    said = text(version).replace("retrain-local-models", "acme-models-staging")
    github._write("main", releases.path("staging", "recommender"), said)
    return said


def test_another_environment_s_champion_is_released_as_it_is(
    github: Hub, verb: Verb, production: Settings, tmp_path: Path
) -> None:
    said = releases.parse(staged(github, NEWER), "staging")
    assert said
    code, _, err = verb(promote, "--from", "staging")
    assert code == 0, err
    becomes = releases.parse(github.text(BRANCH), "local")
    assert becomes
    assert becomes.shares == {CHAMPION: 90, NEWER: 10}
    assert becomes.challenger
    assert becomes.challenger.model == said.champion.model
    found = only(github)
    assert "It is champion in `staging`, and released as it is" in found.body
    assert "`./scripts/promote recommender --from staging --environment local`" in found.body
    (tmp_path / PATH).parent.mkdir(parents=True)
    (tmp_path / PATH).write_text(releases.write(becomes))
    assert declared.read(tmp_path, PATH, production, ["recommender"]).release == becomes
    alone = msgspec.structs.replace(production.environments["local"], origins={})
    foreign = msgspec.structs.replace(production, environments={"local": alone})
    with pytest.raises(InputError, match=rf"^{PATH}:13: \[challenger\] manifest = 's3://acme-models-st"):
        declared.read(tmp_path, PATH, foreign, ["recommender"])


@pytest.mark.usefixtures("production")
def test_what_is_not_promoted_is_said(github: Hub, verb: Verb) -> None:
    code, _, err = verb(promote, "--from", "staging")
    assert (code, github.pulls()) == (2, [])
    assert "releases/staging/recommender.toml: nothing is released" in err
    code, _, err = verb(promote, "--from", "local")
    assert code == 2
    assert "'local' takes no models of 'local'\n  mend: promotes_from = \"local\" below" in err


@pytest.fixture
def told(github: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The same, whose main has had other champions; git reaches it."""
    for version in (OLD, NEWER, CHAMPION):
        github.main(text(version))
    server: GitHub = github.server
    token = server.person_token("maintainer", "acme")
    with serve(server.services[1], "github.com") as address:
        host = address.removeprefix("http://")
        url = f"http://x-access-token:{token}@{host}/acme/models.git"
        monkeypatch.setattr(history, "address", lambda repository: url)
        monkeypatch.setenv(person.VARIABLE, token)
        yield github


def test_without_a_challenger_it_is_the_champion_before(told: Hub, verb: Verb) -> None:
    code, _, err = verb(rollback)
    assert code == 0, err
    assert told.text(BRANCH) == text(OLD)
    assert only(told).title == f"Put recommender back to {OLD} in local"


@pytest.mark.parametrize("version", [NEWER, VERSION])
def test_any_version_that_main_had_can_be_named(told: Hub, verb: Verb, version: str) -> None:
    assert verb(rollback, version)[0] == 0
    assert told.text(BRANCH) == text(version)


def test_what_main_never_had_is_refused(told: Hub, verb: Verb) -> None:
    code, _, err = verb(rollback, "v20260101-000000-abc1234")
    assert (code, told.pulls()) == (2, [])
    assert f"main has never declared v20260101-000000-abc1234\n  mend: name one of: {NEWER}, " in err
    assert verb(rollback, "latest")[0] == 2


def test_nothing_is_before_the_first_champion(told: Hub, verb: Verb) -> None:
    told.main(text(OLD))
    code, _, err = verb(rollback)
    assert code == 2
    assert f"main has declared no champion before {OLD}" in err
    assert "then ./scripts/deploy recommender --environment local --prune\n" in err


def test_a_history_that_cannot_be_fetched_is_said(told: Hub, verb: Verb, tmp_path: Path) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(history, "address", lambda repository: str(tmp_path / "nowhere"))
        code, _, err = verb(rollback, OLD)
    assert code == 1
    assert "git cannot fetch main" in err


def test_without_a_token_it_is_said_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(person.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no GITHUB_TOKEN"):
        person.token()
    gh = tmp_path / "gh"
    gh.write_text("#!/bin/sh\necho theirs\n")
    gh.chmod(0o755)
    assert person.token() == "theirs"
    monkeypatch.setenv(person.VARIABLE, "mine")
    assert person.token() == "mine"


def test_a_first_release_is_told_so() -> None:
    from delivery import edit_body
    from flows.serving_config import Serving

    becomes = releases.alone(evidence.model())
    change = edit.Change("recommender", "local", None, becomes)
    told = edit_body.Told(Serving(), "", "./scripts/promote recommender")
    assert edit_body.title(change) == f"Release recommender {VERSION} to local"
    assert "the first champion of `recommender`" in edit_body.body(change, told)
    swap = edit.Change("recommender", "local", evidence.evidence().proposed, becomes)
    body = edit_body.body(swap, told)
    assert edit_body.title(swap) == f"Make {VERSION} champion of recommender in local"
    assert f"`{CHAMPION}` stays deployed at 0 % for 24h." in body
    assert isinstance(swap.current, Release)
