"""The rules for workflow files: the real ones break none, and a real one that is broken is found out."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from delivery import hardening
from delivery.hardening_conditions import NO_APP, NO_APP_AGAIN, terms
from delivery.hardening_steps import ACTIONS
from delivery.workflow_file import WorkflowFile, files, read
from flows.errors import InputError
from tests.clone import ROOT

CI, DEPLOY, RELEASE, TRAIN, SETUP = (
    ".github/workflows/ci.yml",
    ".github/workflows/deploy.yml",
    ".github/workflows/release-pr.yml",
    ".github/workflows/train.yml",
    ".github/actions/setup/action.yml",
)
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
CALLEE = """\
name: callee
on: workflow_call
permissions: {}
jobs:
  inner:
    name: inner
    runs-on: ubuntu-24.04
    permissions:
      contents: write # to push
"""
CALLER = """\

  caller:
    name: caller
    needs: plan
    permissions:
      contents: read # to check out
    uses: ./.github/workflows/callee.yml
    secrets: inherit
"""
# A file, a text that is there, what takes its first place, the line's own text, and what is said.
BREAKS = {
    "no permissions at the top": (CI, "\npermissions: {}\n", "\n", "# Proves", "rights for all jobs"),
    "rights at the top": (
        CI,
        "\npermissions: {}\n",
        "\npermissions:\n  contents: read # x\n",
        "permissions:",
        "rights for all jobs",
    ),
    "a job without permissions": (
        CI,
        "    permissions:\n      contents: read # to check out\n",
        "",
        "plan:",
        "job 'plan' has no permissions",
    ),
    "a job with all rights": (
        CI,
        "    permissions:\n      contents: read # to check out\n",
        "    permissions: write-all\n",
        "permissions: write-all",
        "job 'plan' may 'write-all'",
    ),
    "a right without a reason": (
        CI,
        "contents: read # to check out",
        "contents: read",
        "contents: read",
        "no reason for contents: read",
    ),
    "an identity on any branch": (
        RELEASE,
        "github.ref == 'refs/heads/main'",
        "always()",
        "id-token: write",
        "job 'propose' becomes an account on any branch",
    ),
    "an identity behind a job of any branch": (
        DEPLOY,
        "github.ref == 'refs/heads/main'",
        "always()",
        "id-token: write",
        "job 'deploy' becomes an account on any branch",
    ),
    "an identity whatever came before": (
        DEPLOY,
        "if: needs.plan",
        "if: always() && needs.plan",
        "id-token: write",
        "job 'deploy' becomes an account on any branch",
    ),
    "an identity for pull requests": (
        RELEASE,
        "  workflow_dispatch:\n",
        "  pull_request:\n  workflow_dispatch:\n",
        "id-token: write",
        "gives a pull request an identity",
    ),
    "an identity by a condition that is always true": (
        RELEASE,
        "github.ref == 'refs/heads/main'",
        "github.ref == 'refs/heads/main' || true",
        "id-token: write",
        "job 'propose' becomes an account on any branch",
    ),
    "an App that starts it": (
        CI,
        f" || {NO_APP}",
        "",
        "plan:",
        "job 'plan' lets an App start it",
    ),
    "an App that repeats a job behind others": (
        TRAIN,
        f"'[]'\n      && {NO_APP_AGAIN}",
        "'[]'",
        "submit:",
        "job 'submit' lets an App start it",
    ),
    "an App that starts a job whatever came before": (
        TRAIN,
        "if: needs.image",
        "if: always() && needs.image",
        "submit:",
        "job 'submit' lets an App start it",
    ),
    "an App that presses a button": (
        TRAIN,
        f"(github.event_name == 'push' && github.run_attempt == 1\n      || {NO_APP})",
        NO_APP_AGAIN,
        "image:",
        "job 'image' lets an App start it",
    ),
    "a refusal of Apps that refuses none": (
        TRAIN,
        f"'[]'\n      && {NO_APP_AGAIN}",
        f"'[]'\n      && {NO_APP_AGAIN} || true",
        "submit:",
        "job 'submit' lets an App start it",
    ),
    "another's group": (
        RELEASE,
        "group: release-pr-${{ inputs.flow || inputs.manifest }}",
        "group: release",
        "concurrency:",
        "group 'release' is not release-pr's alone",
    ),
    "a group by expression": (
        CI,
        "group: ci-",
        "group: ${{ github.workflow }}-",
        "concurrency:",
        "a called workflow would wait for its caller",
    ),
    "no group": (
        RELEASE,
        "concurrency:\n",
        "env:\n",
        "# Started",
        "it has no concurrency",
    ),
    "a queue of one": (
        RELEASE,
        "  queue: max",
        "  # queue: max",
        "concurrency:",
        "a third run would cancel the second",
    ),
    "a release that is cancelled": (
        RELEASE,
        "cancel-in-progress: false",
        "cancel-in-progress: true",
        "concurrency:",
        "a newer run cancels this one",
    ),
    "silence on newer runs": (
        RELEASE,
        "  cancel-in-progress: false\n",
        "",
        "concurrency:",
        "it does not say what a newer run does",
    ),
    "a floating runner": (
        CI,
        "runs-on: ubuntu-24.04",
        "runs-on: ubuntu-latest",
        "runs-on: ubuntu-latest",
        "'ubuntu-latest' names latest",
    ),
    "an unknown runner": (
        CI,
        "runs-on: ubuntu-24.04",
        "runs-on: big",
        "runs-on: big",
        "runner 'big' is not known",
    ),
    "no runner": (CI, "    runs-on: ubuntu-24.04\n", "", "plan:", "job 'plan' has no runner"),
    "no time limit": (CI, "    timeout-minutes: 5\n", "", "plan:", "job 'plan' has no good time limit"),
    "a long time limit": (
        CI,
        "timeout-minutes: 5\n",
        "timeout-minutes: 360\n",
        "plan:",
        "job 'plan' has no good time limit",
    ),
    "a workflow without a name": (CI, "name: ci\n", "", "# Proves", "it has no name"),
    "a job without a name": (CI, "    name: plan\n", "", "plan:", "job 'plan' has no name"),
    "a step without a name": (
        CI,
        "- name: Check\n        run:",
        "- run:",
        "- run: ./scripts/check",
        "a step has no name",
    ),
    "an action by tag": (
        CI,
        CHECKOUT,
        "actions/checkout@v7",
        "uses: actions/checkout@v7",
        "actions/checkout is not pinned to v7.0.1",
    ),
    "an action by another commit": (
        SETUP,
        "@27d5ce7f107fe9357f9df03efb73ab90386fccae",
        f"@{'0' * 40}",
        f"uses: actions/cache@{'0' * 40}",
        "actions/cache is not pinned to v5.0.5",
    ),
    "an action without its version": (
        CI,
        CHECKOUT,
        CHECKOUT.replace("v7.0.1", "v7.0.0"),
        "uses: actions/checkout@",
        "actions/checkout's comment is not its version",
    ),
    "an unknown action": (
        CI,
        "actions/checkout@",
        "acme/checkout@",
        "uses: acme/checkout@",
        "action 'acme/checkout' is not known",
    ),
    "a check-out that keeps its token": (
        CI,
        "          persist-credentials: false\n",
        "",
        "- name: Check out",
        "the check-out keeps its token",
    ),
    "a verb that is not there": (
        CI,
        "run: ./scripts/check",
        "run: ./scripts/chekc",
        "run: ./scripts/chekc",
        "there is no ./scripts/chekc",
    ),
    "a program in a workflow": (
        CI,
        "run: ./scripts/check",
        "run: ./scripts/check && date",
        "run: ./scripts/check && date",
        "not one verb of scripts/",
    ),
    "an expression in a shell line": (
        RELEASE,
        '"$MANIFEST"',
        '"${{ inputs.manifest }}"',
        "run: ./scripts/release-pr",
        "a shell line holds an expression",
    ),
    "a value that may be an option": (
        RELEASE,
        '--sha256="$SHA256"',
        '--sha256 "$SHA256"',
        "run: ./scripts/release-pr",
        '"$SHA256" may be read as an option',
    ),
    "a value that may be several words": (
        TRAIN,
        '--overrides="$OVERRIDES"',
        "--overrides=$OVERRIDES",
        "run: ./scripts/submit",
        "--overrides=$OVERRIDES may be read as an option",
    ),
    "a secret of GitHub's": (
        RELEASE,
        "ENVIRONMENT: ${{ inputs.environment }}",
        "ENVIRONMENT: ${{ secrets.KEY }}",
        "ENVIRONMENT: ${{ secrets.KEY }}",
        "it reads a secret of GitHub's",
    ),
    "a failure that does not count": (
        CI,
        "      - name: Check\n",
        "      - name: Check\n        continue-on-error: true\n",
        "continue-on-error: true",
        "its failure would be passed over",
    ),
    "required that can be skipped": (
        CI,
        "if: always()",
        "if: success()",
        "required:",
        "a required job that is skipped counts as passed",
    ),
    "required that looks away": (
        CI,
        "needs: [plan, check, test,",
        "needs: [plan, check,",
        "required:",
        "it does not look at test",
    ),
    "required that never comes": (
        CI,
        "  merge_group:\n",
        "",
        "# Proves",
        "waits for ever in a merge_group",
    ),
    "required that a path leaves out": (
        CI,
        "  pull_request:\n",
        "  pull_request:\n    paths: [scripts]\n",
        "paths: [scripts]",
        "a change that it passes over would wait for ever",
    ),
    "a check-out without the right": (
        CI,
        "contents: read # to check out",
        "actions: read # to look",
        "plan:",
        "job 'plan' may not check out",
    ),
    "what is no YAML": (CI, "permissions: {}", "permissions: {", "", "not YAML"),
}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of what the rules read."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    """Replace the first `old`."""
    text = path.read_text()
    assert old in text, f"{path}: {old!r} is not there"
    path.write_text(text.replace(old, new, 1))


def test_the_workflows_keep_every_rule(copied: Path) -> None:
    assert len(files(copied)) > 2
    assert hardening.findings(copied) == []


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_is_found_with_its_line(name: str, copied: Path) -> None:
    file, old, new, own, said = BREAKS[name]
    edit(copied / file, old, new)
    lines = (copied / file).read_text().splitlines()
    found = [one for one in hardening.findings(copied) if said in one.what]
    assert found, hardening.findings(copied)
    assert found[0].file == file
    assert own in lines[found[0].line - 1]
    assert found[0].mend


def test_a_called_workflow_asks_for_no_more_than_its_caller_has(copied: Path) -> None:
    folder = copied / ".github" / "workflows"
    (folder / "callee.yml").write_text(CALLEE)
    ci = folder / "ci.yml"
    ci.write_text(ci.read_text() + CALLER)
    said = [f"{found.file}: {found.what}" for found in hardening.findings(copied)]
    assert f"{CI}: ./.github/workflows/callee.yml asks for contents: write" in said
    assert f"{CI}: job 'caller' hands all secrets on" in said
    (folder / "callee.yml").write_text(CALLEE.replace("write # to push", "read # to check out"))
    assert not [found for found in hardening.findings(copied) if "asks for" in found.what]


def test_every_rule_is_broken_by_a_test(copied: Path) -> None:
    read_all = [read(copied, path) for path in files(copied)]
    rules = {rule.__qualname__: rule for rule in hardening.rules(copied, read_all)}
    unbroken = set(rules) - {
        name for breaks in BREAKS.values() for name in broken(copied, breaks, rules)
    }
    assert unbroken == {"callees_have_their_callers_rights.<locals>.rule"}  # it has a test of its own


def broken(root: Path, breaks: tuple[str, ...], rules: dict[str, hardening.Rule]) -> list[str]:
    """The rules that say something once the file is edited; the file is as before afterwards."""
    path, text = root / breaks[0], (root / breaks[0]).read_text()
    edit(path, breaks[1], breaks[2])
    try:
        file: WorkflowFile = read(root, path)
        return [name for name, rule in rules.items() if list(rule(file))]
    except InputError:
        return []
    finally:
        path.write_text(text)


def test_check_says_file_and_line(copied: Path) -> None:
    edit(copied / CI, "\npermissions: {}\n", "\n")
    done = subprocess.run(
        [sys.executable, "-m", "delivery.hardening", str(copied)],
        env={"PYTHONPATH": str(ROOT / "vertex-ai-pipelines")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{CI}:1: rights for all jobs; set permissions: {{}} at the top\n" in done.stdout
    assert "rules for workflows are broken" in done.stderr
    assert re.search(
        r"^step rules .* -m delivery\.hardening$", (ROOT / "scripts/check").read_text(), re.M
    )


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("a &&\n b", ["a", "b"]),
        ("(a && b || c) && d", ["(a && b || c)", "d"]),
        ("a && b || c", ["a && b || c"]),
        ("x == '|| (' && b", ["x == '|| ('", "b"]),
    ],
)
def test_a_condition_has_the_parts_that_must_all_hold(condition: str, parts: list[str]) -> None:
    assert terms(condition) == parts


def test_every_known_action_is_used() -> None:
    text = "".join(path.read_text() for path in files(ROOT))
    assert [name for name in ACTIONS if f"uses: {name}@" not in text] == []
