"""What GitHub itself enforces: which workflows there are, owners, the ruleset, cool-down of updates."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from delivery import settings
from tests.clone import ROOT, tracked

GITHUB = ROOT / ".github"
CODE = ROOT / "vertex-ai-pipelines"
DATA = ("releases/x/y.toml", "settings.toml", "Dockerfile", "poetry.lock", "pyproject.toml")
ACTIONS_APP = 15368  # the number of GitHub Actions itself: nobody else's `required` counts


def workflow(name: str) -> dict[Any, Any]:
    """A workflow, as YAML 1.1 reads it: its `on` is True."""
    return dict(yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text()))


def test_workflows_are_few_and_short() -> None:
    found = {path.stem: len(path.read_text().splitlines()) for path in (GITHUB / "workflows").iterdir()}
    assert set(found) == {"ci", "train", "tick", "release-pr", "deploy"}
    assert max(found.values()) < 145


def test_ci_runs_for_all_that_may_become_main() -> None:
    assert set(workflow("ci")[True]) == {"pull_request", "merge_group", "push"}
    # What is checked for another branch is not for main; other filters leave `required` waiting.
    assert workflow("ci")[True]["pull_request"] == {"branches": ["main"]}


def test_ci_builds_the_whole_image_whatever_the_default_environment_is() -> None:
    """With Docker, that is; a machine without it, such as a laptop's local GitHub, says so."""
    [named] = [
        found[1]
        for step in workflow("ci")["jobs"]["build"]["steps"]
        if (found := re.fullmatch(r"\./scripts/build --environment=(\S+)", step.get("run", "")))
    ]
    assert settings.load().environment(named.strip('"')).builder == "docker"


def test_what_is_built_is_attested_before_it_has_a_tag_and_nothing_else_is() -> None:
    files = [path.stem for path in (GITHUB / "workflows").iterdir()]
    jobs = {f"{name}.{key}": job for name in files for key, job in workflow(name)["jobs"].items()}
    may = [name for name, job in jobs.items() if "attestations" in job.get("permissions", {})]
    assert may == ["train.image"]
    steps = jobs["train.image"]["steps"]
    places = {step["id"]: place for place, step in enumerate(steps) if "id" in step}
    attest, tag = steps[places["build"] + 1 : places["build"] + 3]
    assert attest["id"] == "attest"
    assert attest["uses"].startswith("actions/attest-build-provenance@")
    assert attest["with"] == {"subject-checksums": "${{ steps.build.outputs.subjects }}"}
    assert attest["if"] == tag["if"] == "steps.build.outputs.subjects != ''"
    assert tag["env"]["BUNDLE"] == "${{ steps.attest.outputs.bundle-path }}"
    assert (steps[places["build"]]["run"].split()[-1], tag["run"].split()[-2:]) == (
        "--github-output",
        ['--attested="$BUNDLE"', "--push"],
    )


def test_every_queue_is_one_file_s() -> None:
    groups = [workflow(path.stem)["concurrency"]["group"] for path in (GITHUB / "workflows").iterdir()]
    assert len({re.split(r"\$\{\{", group)[0].lower() for group in groups}) == len(groups)


def test_what_acts_by_itself_has_owners() -> None:
    """A change of them changes what `required` means, or what an account does."""
    assert all(re.fullmatch(r"@[\w-]+/[\w-]+", owner) for owner in owners().values())
    acts = [name for name in tracked() if name.startswith((".github/", "scripts/"))]
    code = {path.relative_to(ROOT).as_posix() for path in modules()}
    assert {f"vertex-ai-pipelines/delivery/{verb}.py" for verb in ("required", "plan", "submit")} <= code
    assert [name for name in (*DATA, *acts, *sorted(code)) if not has_owner(name)] == []
    assert not has_owner("vertex-ai-pipelines/flows/recommender/flow.py")  # a flow is its makers' own


def owners() -> dict[str, str]:
    """Pattern → owner."""
    lines = (GITHUB / "CODEOWNERS").read_text().splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def has_owner(name: str) -> bool:
    """Whether a pattern fits: a file, a folder with all below it, or `*`, which no `/` is part of."""
    fits = [re.escape(pattern[1:]).replace(r"\*", "[^/]*") for pattern in owners()]
    return any(re.fullmatch(one + ".*" if one.endswith("/") else one, name) for one in fits)


def modules() -> set[Path]:
    """The files of ours that the workflows' verbs import, whenever they do."""
    steps = "".join(path.read_text() for path in GITHUB.glob("*/**/*.yml"))
    verbs = re.findall(r"run: \./scripts/([a-z-]+)", steps)
    waiting = [name for verb in verbs for name in re.findall(r"-m (delivery\.\w+)", script(verb))]
    found = set[Path]()
    while waiting:
        path = CODE.joinpath(*waiting.pop().split(".")).with_suffix(".py")
        if path.is_file() and path not in found:
            found.add(path)
            waiting += imported(path)
    return found


def imported(path: Path) -> Iterator[str]:
    """The names that a file imports; of a module's name, also what may be a module in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module, *(f"{node.module}.{one.name}" for one in node.names))


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
        "docker": 7,
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
    assert (
        " .github/actions/setup/action.yml " in named
    )  # it names the Python that a kept .venv points to
    assert "hashFiles" not in (GITHUB / "actions" / "setup" / "action.yml").read_text()


def script(verb: str) -> str:
    """A verb's text."""
    return (ROOT / "scripts" / verb).read_text()
