"""What a change needs, and whether all that it needed came out well."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery import plan, required
from delivery.hardening_conditions import NO_APP_AGAIN
from flows.errors import InputError, RetrainError
from tests.clone import ROOT

WHO = ("-c", "user.name=a", "-c", "user.email=a@example.com")
ROLLOUTS = '[{"environment": "local", "flow": "\\u00e4 b"}]'
DOWN = {"check": "true", "test": "false", "build": "false"}


@pytest.mark.parametrize(
    ("files", "jobs"),
    [
        ([], set()),
        (["releases/local/a.toml"], {"releases"}),
        (["releases/local/a.toml", "releases/staging/b.toml"], {"releases"}),
        (["README.md", "scripts/README.md", "LICENSE"], {"check", "test"}),
        (["releases/local/a.toml", "README.md"], {"releases", "check", "test"}),
        (["vertex-ai-pipelines/flows/a/flow.toml"], {"check", "test", "build"}),
        (["releases.py"], {"check", "test", "build"}),
        (["releases/local/a.toml", "poetry.lock"], {"check", "test", "build", "releases"}),
    ],
)
def test_a_change_needs_what_its_files_need(files: list[str], jobs: set[str]) -> None:
    assert plan.needed(files) == jobs


def test_a_roll_out_is_one_flow_s_in_one_environment(tmp_path: Path) -> None:
    files = ["releases/b/old.toml", "releases/b/a.toml", "releases/a/bad.toml", "x/y/z.toml"]
    (tmp_path / "vertex-ai-pipelines" / "flows" / "a").mkdir(parents=True)
    (tmp_path / "releases" / "a").mkdir(parents=True)
    (tmp_path / "releases" / "a" / "bad.toml").write_text("")
    assert plan.rollouts(tmp_path, [*files, "releases/README.md", "releases/a/a.toml"]) == [
        {"environment": "a", "flow": "a"},
        {"environment": "a", "flow": "bad"},  # which deploy refuses
        {"environment": "b", "flow": "a"},  # perhaps deleted: what serves still is told
    ]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the planner's own files, and a commit that moves one file and adds another."""
    folder = tmp_path / "repository"
    for name in ("scripts", "vertex-ai-pipelines/delivery", "vertex-ai-pipelines/flows"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "notes.md").write_text("notes\n" * 20)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    (folder / "notes.md").rename(folder / "words.md")
    (folder / "releases" / "local").mkdir(parents=True)
    (folder / "releases" / "local" / "ä b.toml").write_text("")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=second")
    return folder


def test_files_of_a_change_are_git_s(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "ROOT", repository)
    first = git(repository, "rev-parse", "HEAD~1")
    assert plan.since(first) == ["notes.md", "releases/local/ä b.toml", "words.md"]
    assert plan.since("HEAD") == []
    for unknown in ("", "0" * 40, "--all", "HEAD:notes.md"):
        assert plan.since(unknown) is None


def outputs(folder: Path, *arguments: str) -> dict[str, str]:
    """What the verb prints, with nothing set up."""
    done = subprocess.run(
        [folder / "scripts" / "plan", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not (folder / ".venv").exists()
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_the_verb_prints_outputs_without_set_up(repository: Path) -> None:
    told = outputs(repository, "--base", "HEAD~1")
    assert told == {**DOWN, "test": "true", "releases": "true", "rollouts": ROLLOUTS}
    everything = dict.fromkeys(plan.JOBS, "true") | {"rollouts": ROLLOUTS}
    assert outputs(repository) == everything
    assert outputs(repository, "--base", "0" * 40) == everything
    assert outputs(repository, "--base=-h") == everything  # a value is no request for help


def test_a_flow_that_is_to_be_served_otherwise_is_rolled_out_where_it_is_released(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ROOT", repository)
    own, before = f"{plan.FLOWS}/linnerud/flow.toml", "[serving]\n[gate]\n"
    releases = [f"releases/{name}.toml" for name in ("local/linnerud", "staging/linnerud")]
    for name in [*releases, "releases/local/recommender.toml"]:
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text("")

    def told(text: str) -> list[str]:
        (repository / own).write_text(text)
        git(repository, "add", "--all")
        git(repository, "commit", "--quiet", "--message=more")
        return sorted(plan.served_otherwise("HEAD~1", [own, "README.md"]))

    assert told(before) == releases, "the flow's own machine is gone"
    assert told("# a word more\n" + before + "confidence = 0.9\n") == []
    assert told('[serving]\nmachine_type = "n1-standard-8"\n') == releases
    assert (
        told('[serving]\nmachine_type = "n1-standard-8"\n[serving.local]\nmax_replicas = 7') == releases
    )
    assert told("[serving\n") == releases, "deploy says what is wrong"
    rollouts = json.loads(outputs(repository, "--base", "HEAD~1")["rollouts"])
    assert rollouts == [{"environment": one, "flow": "linnerud"} for one in ("local", "staging")]


def test_every_flow_s_file_starts_the_planner_of_roll_outs() -> None:
    found = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())
    assert found[True]["push"]["paths"] == [f"{plan.RELEASES}/**", f"{plan.FLOWS}/*/flow.toml"]


def test_a_pull_request_is_what_its_merge_adds_to_main(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Main has moved on since: its files do not count, and what takes it back is no empty change."""
    monkeypatch.setattr(plan, "ROOT", repository)
    before = git(repository, "rev-parse", "HEAD")
    for name in ("code.py", "more.py"):
        (repository / name).write_text("x = 1\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message=third")
    git(repository, "checkout", "--quiet", "-b", "side")
    git(repository, "rm", "--quiet", "code.py")
    git(repository, "commit", "--quiet", "--message=taken back")
    git(repository, "checkout", "--quiet", "main")
    git(repository, "merge", "--quiet", "--no-ff", "side")
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    named = jobs["plan"]["steps"][-1]["env"]["BASE"]
    [base] = re.findall(r"^\$\{\{ github\.event\.pull_request && '(.+?)' \|\|", named)
    assert plan.since(base) == ["code.py"]
    assert plan.since(before) == ["more.py"]


def needs(plan_outputs: dict[str, str], **results: str) -> str:
    """GitHub's `needs` of a job."""
    jobs: dict[str, Any] = {job: {"result": result, "outputs": {}} for job, result in results.items()}
    jobs.setdefault("plan", {"result": "success"})["outputs"] = plan_outputs
    return json.dumps(jobs)


@pytest.mark.parametrize(
    "given",
    [
        needs(DOWN, check="success", test="success", build="success"),
        needs(DOWN, check="success", test="skipped", build="skipped"),
        needs(DOWN, check="success", test="success", build="skipped"),
    ],
)
def test_what_came_out_well_passes(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert required.main([given]) == 0
    assert "check         success\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (needs(DOWN, check="failure"), "job 'check' ended as failure"),
        (needs(DOWN, check="cancelled"), "job 'check' ended as cancelled"),
        (needs(DOWN, check="skipped"), "job 'check' ended as skipped, and the plan does not say"),
        (needs(DOWN, check="success", test="failure"), "job 'test' ended as failure"),
        (needs({}, check="success", test="skipped"), "job 'test' ended as skipped"),
        (needs({"test": ""}, test="skipped"), "job 'test' ended as skipped"),
        (needs({}, plan="failure", check="skipped"), "job 'plan' ended as failure; job 'check'"),
        (needs(DOWN, plan="skipped", test="skipped"), "job 'plan' ended as skipped"),
        (needs({"plan": "false"}, plan="skipped"), "job 'plan' ended as skipped"),
    ],
)
def test_what_did_not_come_out_well_is_named(given: str, said: str) -> None:
    with pytest.raises(RetrainError, match=said) as caught:
        required.main([given])
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("given", ["", "[]", '{"check": {"result": "success"}}', '{"plan": "success"}'])
def test_what_is_not_github_s_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="NEEDS"):
        required.main([given])


def test_ci_has_the_planner_s_jobs_and_no_others() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert set(jobs) == {"plan", *plan.JOBS, "required"}
    assert set(jobs["plan"]["outputs"]) == set(plan.JOBS)
    for job in plan.JOBS:
        assert jobs[job]["if"] == f"needs.plan.outputs.{job} == 'true' && {NO_APP_AGAIN}"
        assert jobs["plan"]["outputs"][job] == f"${{{{ steps.plan.outputs.{job} }}}}"
