"""The clock: which scheduled workflows a tick starts, and the verb that waits for them."""

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localcloud.__main__ import main
from localcloud.client import Client, free_port
from localcloud.errors import ApiError
from localcloud.github.runs import Run
from localcloud.github.schedule import Cron, due, moment, wrong
from tests.conftest import WORLD
from tests.localcloud.github_harness import Site

JOBS = "jobs: {one: {runs-on: ubuntu-24.04, steps: [{run: 'true'}]}}\n"
CRONS = {
    "often": "[{cron: '*/10 * * * *'}]",
    "monday": "[{cron: '0 3 * * 1', timezone: Asia/Tokyo}]",
    "yearly": "[{cron: '0 0 1 JAN *'}]",
    "twice": "[{cron: '30 17 * * *'}, {cron: '0 18 * * 0'}, {cron: '0 18 * * 0'}]",
}
FILES = {
    f".github/workflows/{name}.yml": f"name: {name}\non: {{schedule: {given}}}\n{JOBS}"
    for name, given in CRONS.items()
}
MONDAY = "2026-11-23T03:00:00+09:00"
# Puts workflows on main in one commit, with a script for each; `files` is given.
PUSH = """
from github import Auth, Github, InputGitTreeElement as Element
hub = Github(auth=Auth.Token(os.environ["GITHUB_TOKEN"]), retry=None)
repo = hub.get_repo(os.environ["GITHUB_REPOSITORY"])
if not list(repo.get_branches()):
    repo.create_file("README.md", "Begin", "Tests\\n")
head = repo.get_git_ref("heads/main")
kind = {True: "100755", False: "100644"}
blobs = [Element(name, kind["scripts" in name], "blob", text) for name, text in files.items()]
base = repo.get_git_commit(head.object.sha)
commit = repo.create_git_commit("Add [skip ci]", repo.create_git_tree(blobs, base.tree), [base])
head.edit(commit.sha)
"""


def at(text: str) -> datetime:
    return moment(text)


@pytest.mark.parametrize(
    ("cron", "after", "until", "expected"),
    [
        (Cron("*/10 * * * *"), "2026-11-22T17:50:00Z", "2026-11-22T18:00:00Z", True),
        (Cron("*/10 * * * *"), "2026-11-22T18:00:00Z", "2026-11-22T18:09:59Z", False),
        (Cron("0 3 * * 1", "Asia/Tokyo"), "2026-11-22T17:59:59Z", "2026-11-22T18:00:00Z", True),
        (Cron("0 3 * * 1", "Asia/Tokyo"), "2026-11-22T18:00:00Z", "2026-11-29T17:59:59Z", False),
        (Cron("0 3 * * MON"), "2026-11-22T18:00:00Z", "2026-11-23T03:00:00Z", True),
        (Cron("30 2 * * *", "Europe/Berlin"), "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", True),
    ],
)
def test_due(cron: Cron, after: str, until: str, expected: bool) -> None:
    assert due(cron, at(after), at(until)) is expected


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        (Cron("0 3 * *"), "'0 3 * *' is no cron of five fields"),
        (Cron("@daily"), "'@daily' is no cron of five fields"),
        (Cron("61 3 * * *"), "'61 3 * * *' is no cron of five fields"),
        (Cron("0 3 L * *"), "'0 3 L * *' is no cron of five fields"),
        (Cron("0 3 * * *", "Asia/Nowhere"), "there is no time zone 'Asia/Nowhere'"),
        (Cron("0 3 * * 1", "Asia/Tokyo"), ""),
    ],
)
def test_wrong_crons(cron: Cron, message: str) -> None:
    assert wrong(cron) == message


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "cloud")
    made.hub.runner.room = 0
    made.commit(FILES)
    yield made
    made.close()


def names(site: Site, time: str) -> list[str]:
    return sorted(run["name"] for run in site.hub.triggers.tick(at(time)))


def test_a_tick_starts_what_is_due_once(site: Site) -> None:
    before = site.repository.head
    site.commit({".github/workflows/often.yml": "on: push\n"}, "branch")
    site.hub.repositories.create("acme", "empty")
    assert names(site, MONDAY) == ["monday", "often", "twice", "twice"]
    runs = {run["name"]: run for run in site.hub.runs.of(site.repository) if run["event"] == "schedule"}
    assert sorted(runs) == ["monday", "often", "twice"]
    run = runs["monday"]
    assert (run["ref"], run["sha"], run["head_branch"]) == ("refs/heads/main", before, "main")
    assert run["created_at"] == run["now"] == "2026-11-22T18:00:00Z"
    assert run["payload"]["schedule"] == "0 3 * * 1"
    assert run["payload"]["workflow"] == ".github/workflows/monday.yml"
    shown = site.client().get_repo("acme/models").get_workflow_run(run["id"])
    assert (shown.event, shown.created_at) == ("schedule", datetime(2026, 11, 22, 18, tzinfo=UTC))
    assert names(site, MONDAY) == []
    assert names(site, "2026-11-22T18:05:00Z") == []
    assert names(site, "2026-11-22T19:00:00Z") == ["often"]
    assert names(site, "2026-11-30T00:00:00Z") == ["monday", "often", "twice", "twice"]
    with pytest.raises(ApiError, match="the clock stands at 2026-11-30T00:00:00Z"):
        names(site, MONDAY)


def test_the_clock_shows_the_later_of_its_hand_and_the_time(site: Site) -> None:
    before = at("2020-01-01T00:00:00Z")
    site.hub.triggers.tick(before)
    assert site.hub.triggers.now() > before
    site.hub.triggers.tick(at("2226-01-01T00:00:00Z"))
    assert site.hub.triggers.now() == at("2226-01-01T00:00:00Z")


def test_a_tick_that_is_broken_off_is_as_if_it_had_not_been(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, made = site.hub.runs.create, itertools.count()

    def once(*given: Any) -> Run:
        if next(made):
            raise sqlite3.OperationalError("database or disk is full")
        return create(*given)

    with monkeypatch.context() as patch:
        patch.setattr(site.hub.runs, "create", once)
        with pytest.raises(sqlite3.OperationalError):
            names(site, MONDAY)
    assert site.hub.runs.of(site.repository) == []
    assert names(site, MONDAY) == ["monday", "often", "twice", "twice"]


def test_the_clock_outlives_the_local_cloud(tmp_path: Path) -> None:
    first = Site(tmp_path / "cloud")
    first.hub.runner.room = 0
    first.commit(FILES)
    assert names(first, MONDAY) == ["monday", "often", "twice", "twice"]
    first.close()
    again = Site(tmp_path / "cloud")
    assert names(again, MONDAY) == []
    again.close()


def test_the_verb(
    tmp_path: Path, run_in: Callable[[Client, str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    own = Client(tmp_path / "own")
    own.up(WORLD, free_port())
    flags = ["--root", str(own.root), "tick", "--at"]
    try:
        assert main([*flags, MONDAY]) == 0
        assert capsys.readouterr().out == "tick          2026-11-22T18:00:00Z · nothing is due\n"
        often = ".github/workflows/often.yml"
        good = {often: FILES[often], "scripts/often": "#!/bin/sh\n"}
        run_in(own, f"files = {good!r}\n{PUSH}")
        assert main([*flags, "2026-11-23T03:10:00+09:00", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["at"] == "2026-11-22T18:10:00Z"
        [run] = found["runs"]
        assert (run["name"], run["event"], run["conclusion"]) == ("often", "schedule", "success")
        bad = {often: FILES[often].replace("ubuntu-24.04", "ubuntu-8.04")}
        run_in(own, f"files = {bad!r}\n{PUSH}")
        assert main([*flags, "2026-11-23T03:20:00+09:00"]) == 1
        said = capsys.readouterr().out
        assert "often       startup_failure" in said
        assert "no runner has the label 'ubuntu-8.04'" in said
        assert main([*flags, "2226-01-01T00:00:00Z"]) == 1
        capsys.readouterr()
        assert main(flags[:-1]) == 0
        assert capsys.readouterr().out == "tick          2226-01-01T00:00:00Z · nothing is due\n"
        for time, message in (("soon", "'soon' is no time"), ("2026-11-23T03:00", "has no time zone")):
            assert main([*flags, time]) == 2
            assert message in capsys.readouterr().err
    finally:
        own.down()
