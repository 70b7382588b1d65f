"""What GitHub itself enforces: which workflows there are, owners, the ruleset, cool-down of updates."""

import json
import re
from pathlib import PurePosixPath
from typing import Any

import yaml

from tests.clone import ROOT, tracked

GITHUB = ROOT / ".github"
OWNED = ("/.github/", "/releases/", "/settings.toml")
ACTIONS_APP = 15368  # the number of GitHub Actions itself: nobody else's `required` counts


def workflow(name: str) -> dict[Any, Any]:
    """A workflow, as YAML 1.1 reads it: its `on` is True."""
    return dict(yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text()))


def test_workflows_are_few_and_short() -> None:
    found = {path.stem: len(path.read_text().splitlines()) for path in (GITHUB / "workflows").iterdir()}
    assert set(found) == {"ci", "train", "tick", "release-pr", "deploy"}
    assert max(found.values()) < 140


def test_ci_runs_for_all_that_may_become_main() -> None:
    assert set(workflow("ci")[True]) == {"pull_request", "merge_group", "push"}
    assert (
        workflow("ci")[True]["pull_request"] is None
    )  # a filter would leave `required` waiting for ever


def test_every_queue_is_one_file_s() -> None:
    groups = [workflow(path.stem)["concurrency"]["group"] for path in (GITHUB / "workflows").iterdir()]
    assert len({re.split(r"\$\{\{", group)[0].lower() for group in groups}) == len(groups)


def test_what_acts_by_itself_has_owners() -> None:
    lines = (GITHUB / "CODEOWNERS").read_text().splitlines()
    owned = dict(line.split() for line in lines if line and not line.startswith("#"))
    assert tuple(owned) == OWNED
    assert all(re.fullmatch(r"@[\w-]+/[\w-]+", owner) for owner in owned.values())


def rules() -> dict[str, dict[str, Any]]:
    """The ruleset's rules by type, with their parameters."""
    ruleset = json.loads((GITHUB / "ruleset.json").read_text())
    assert (ruleset["target"], ruleset["enforcement"], ruleset["bypass_actors"]) == (
        "branch",
        "active",
        [],
    )
    assert ruleset["conditions"]["ref_name"]["include"] == ["~DEFAULT_BRANCH"]
    return {rule["type"]: rule.get("parameters", {}) for rule in ruleset["rules"]}


def test_main_changes_by_reviewed_pull_requests_alone() -> None:
    assert {"deletion", "non_fast_forward"} <= set(rules())
    reviewed = rules()["pull_request"]
    assert reviewed["require_code_owner_review"]
    assert reviewed["dismiss_stale_reviews_on_push"]
    assert reviewed["required_approving_review_count"] > 0


def test_the_required_check_is_a_job_of_ci() -> None:
    [check] = rules()["required_status_checks"]["required_status_checks"]
    assert check == {
        "context": workflow("ci")["jobs"]["required"]["name"],
        "integration_id": ACTIONS_APP,
    }


def test_updates_cool_down_and_reach_every_action() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"]: one["cooldown"]["default-days"] for one in updates} == {
        "github-actions": 7,
        "pip": 7,
    }
    folders = updates[0]["directories"]
    actions = [name for name in tracked() if re.fullmatch(r"\.github/actions/.*/action\.ya?ml", name)]
    for name in actions:
        folder = PurePosixPath("/", name).parent
        assert any(folder.match(pattern) for pattern in folders), f"{folder} gets no updates"


def test_the_cache_is_named_as_set_up_names_its_environment() -> None:
    """By a verb: without Node, act's hashFiles is empty, and says nothing."""
    [named] = re.findall(r"\$\((cat .* \| git hash-object --stdin)\)", script("stamp"))
    assert f"stamp=$({named})" in script("setup")
    assert "hashFiles" not in (GITHUB / "actions" / "setup" / "action.yml").read_text()


def script(verb: str) -> str:
    """A verb's text."""
    return (ROOT / "scripts" / verb).read_text()
