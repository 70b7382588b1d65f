"""What GitHub refuses at start-up is refused here, with file, job and reason."""

from collections.abc import Iterator

import pytest
from github import GithubException
from github.Repository import Repository

from tests.localcloud.github_harness import Site

PATH = ".github/workflows/flow.yml"
WORK = "runs-on: ubuntu-24.04, steps: [{run: 'true'}]"
BOTH = "on: [push, workflow_dispatch]\n"
ONE = f"jobs: {{one: {{{WORK}}}}}\n"
CALLEE = """\
on:
  workflow_call:
    inputs:
      size: {type: number, required: true}
      name: {type: string, default: x}
    secrets:
      key: {required: true}
jobs:
  inner:
    runs-on: ubuntu-24.04
    permissions: {contents: read, id-token: write}
    steps: [{run: 'true'}]
"""
HELD = f"""\
on: workflow_call
permissions: {{issues: write}}
concurrency: "${{{{ github.workflow }}}}"
jobs: {{inner: {{{WORK}}}}}
"""
CALL = "uses: ./.github/workflows/callee.yml, permissions: {{contents: read, id-token: {0}}}{1}"
GIVEN = ", with: {size: 3}, secrets: {key: k}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("github"))
    site.hub.runner.room = 0
    called = {"callee": CALLEE, "held": HELD, "plain": f"on: label\n{ONE}"}
    site.commit({f".github/workflows/{name}.yml": text for name, text in called.items()})
    yield site
    site.close()


@pytest.fixture
def repo(shared: Site) -> Repository:
    return shared.client().get_repo("acme/models")


def pushed(shared: Site, text: str) -> tuple[str, list[str]]:
    """How the run of a push of that workflow stands, and what its log says."""
    commit = shared.commit({PATH: text})
    runs = [run for run in shared.hub.runs.of(shared.repository) if run["head_sha"] == commit]
    [run] = [run for run in runs if run["path"] == PATH]
    log = shared.hub.runs.log(run)
    return str(run["conclusion"]), log.read_text().splitlines() if log.exists() else []


def job(more: str, work: str = WORK) -> str:
    return f"{BOTH}jobs: {{one: {{{work}}}, two: {{{more}}}}}\n"


FILES = [
    ("on: push\njobs: {one: [}\n", "failed to parse workflow: while parsing"),
    ("- on: push\n", "failed to parse workflow: .github/workflows/flow.yml is not a table"),
    (f"{BOTH}{ONE}{ONE}", "'jobs' is already defined"),
    (ONE, "No event triggers defined in `on`"),
    (f"on: [push, workflow_dispatch, pushed]\n{ONE}", "Unexpected value 'pushed' in on"),
    (BOTH, "No jobs defined in `jobs`"),
    (f"{BOTH}permission: {{}}\n{ONE}", "Unexpected value 'permission'"),
    (f"{BOTH}permissions: {{content: read}}\n{ONE}", "Unexpected value 'content' in permissions"),
    (f"{BOTH}permissions: {{contents: all}}\n{ONE}", "Unexpected value 'all' in permissions"),
    (f"{BOTH}permissions: {{id-token: read}}\n{ONE}", "Unexpected value 'read' in permissions"),
    (f"{BOTH}permissions: write\n{ONE}", "Unexpected value 'write' in permissions"),
    (job("steps: [{run: 'true'}]"), "job 'two': Required property is missing: runs-on"),
    (job("runs-on: ubuntu-24.04"), "job 'two': No steps defined in `steps`"),
    (job(f"{WORK}, need: one"), "job 'two': Unexpected value 'need'"),
    (job(f"{WORK}, needs: three"), "Job 'two' depends on unknown job 'three'."),
    (
        job(f"{WORK}, needs: one", f"{WORK}, needs: [two]"),
        "Job 'one' depends on job 'two' which creates a cycle in the dependency graph.",
    ),
    (
        job("runs-on: ubuntu-24.04, steps: [{uses: actions/checkout}]"),
        "job 'two': step 1: Expected format {org}/{repo}[/path]@ref. Actual 'actions/checkout'",
    ),
    (
        job("runs-on: ubuntu-24.04, steps: [{name: x}]"),
        "job 'two': step 1: Required property is missing",
    ),
    (
        job("runs-on: ubuntu-24.04, steps: [{id: a, run: x}, {id: a, run: y}]"),
        "job 'two': The identifier 'a' may not be used more than once",
    ),
    (
        f"on: {{push: {{branches: [main], branches-ignore: [x]}}, workflow_dispatch: }}\n{ONE}",
        "on.push: you may only define one of `branches` and `branches-ignore`",
    ),
    (
        f"on: {{push: , workflow_dispatch: {{inputs: {{a: {{type: choice}}}}}}}}\n{ONE}",
        "on.workflow_dispatch: input 'a': Required property is missing: options",
    ),
    (
        f"on: {{push: , workflow_dispatch: , schedule: [{{cron: daily}}]}}\n{ONE}",
        "on.schedule: 'daily' is no cron of five fields",
    ),
    (
        f"{BOTH}concurrency: {{group: a, queue: max, cancel-in-progress: true}}\n{ONE}",
        "concurrency: `queue: max` does not go with `cancel-in-progress: true`",
    ),
]

KINDS = [
    ("on: {push: 3}", "on.push: Expected a mapping"),
    ("on: {push: , workflow_call: {inputs: [a]}}", "on.workflow_call: Expected a mapping of mappings"),
    ("on: {push: , workflow_dispatch: {inputs: {a: b}}}", "Expected a mapping of mappings for inputs"),
    ("on: {push: , schedule: daily}", "on.schedule: no cron"),
    ("on: push\npermissions: [contents]", "Unexpected value '['contents']' in permissions"),
    ("on: push\nconcurrency: {cancel-in-progress: true}", "Required property is missing: group"),
]
FILES += [(f"{head}\n{ONE}", message) for head, message in KINDS]
FILES += [
    (f"{BOTH}jobs: [one]\n", "No jobs defined in `jobs`"),
    (job("3").replace("{3}", "3"), "job 'two': Expected a mapping"),
    (
        job("runs-on: ubuntu-24.04, steps: [3, {id: [a], run: x}]"),
        "job 'two': step 1: Expected a mapping",
    ),
    (job("uses: ./x, with: 3"), "job 'two': Expected a mapping for with"),
    (job(f"{WORK}, uses: ./x"), "job 'two': Unexpected value 'runs-on'"),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_a_file_that_github_refuses(shared: Site, repo: Repository, text: str, message: str) -> None:
    conclusion, log = pushed(shared, text)
    assert conclusion == "startup_failure"
    assert any(line.startswith(f"{PATH}: ") and message in line for line in log), log
    with pytest.raises(GithubException) as error:
        repo.get_workflow("flow.yml").create_dispatch("main", throw=True)
    assert error.value.status == 422
    assert error.value.data["message"].startswith("failed to parse workflow: ")
    assert message in error.value.data["message"]


STARTS = [
    (
        job("runs-on: macos-8, steps: [{run: 'true'}]"),
        "job 'two': no runner has the label 'macos-8'; known here:",
    ),
    (
        job("uses: ./.github/workflows/none.yml"),
        "job 'two': Error calling workflow './.github/workflows/none.yml': workflow was not found",
    ),
    (job("uses: ./.github/workflows/plain.yml"), "it is missing an `on.workflow_call` trigger"),
    (
        job(CALL.format("none", GIVEN)),
        "The nested job 'inner' is requesting 'id-token: write', but is only allowed 'id-token: none'.",
    ),
    (
        job("uses: ./.github/workflows/held.yml"),
        "The workflow is requesting 'issues: write', but is only allowed 'issues: none'.",
    ),
    (
        "name: Same\nconcurrency: same\n"
        + job("uses: ./.github/workflows/held.yml, permissions: {issues: write}"),
        "a deadlock: the workflow and a job want concurrency group 'same'",
    ),
    (job(CALL.format("write", "")), "Input size is required, but not provided while calling."),
    (job(CALL.format("write", "")), "Secret key is required, but not provided while calling."),
    (job(CALL.format("write", ", with: {size: big}, secrets: inherit")), "Input size is no number: big"),
    (
        job(CALL.format("write", ", with: {size: 1, siz: 2}, secrets: inherit")),
        "Invalid input, siz is not defined in the referenced workflow.",
    ),
    (
        job(CALL.format("write", ", with: {size: 1}, secrets: {key: k, kee: k}")),
        "Invalid secret, kee is not defined in the referenced workflow.",
    ),
    (
        f"{BOTH}concurrency: ${{{{ secrets.X }}}}\n{ONE}",
        f"{PATH}: Unrecognized named-value: 'secrets'",
    ),
    (
        f"{BOTH}concurrency: A\njobs: {{one: {{{WORK}, concurrency: a}}}}\n",
        "a deadlock: the workflow and a job want concurrency group 'A'",
    ),
]


@pytest.mark.parametrize(("text", "message"), STARTS)
def test_a_run_that_github_refuses(shared: Site, repo: Repository, text: str, message: str) -> None:
    conclusion, log = pushed(shared, text)
    assert conclusion == "startup_failure"
    assert any(line.startswith(f"{PATH}: ") and message in line for line in log), log
    workflow = repo.get_workflow("flow.yml")
    assert workflow.create_dispatch("main", throw=True)
    run = workflow.get_runs()[0]
    assert (run.event, run.status, run.conclusion) == (
        "workflow_dispatch",
        "completed",
        "startup_failure",
    )
    assert run.jobs().totalCount == 0
    assert not run.rerun()
    assert not run.cancel()


@pytest.mark.parametrize(
    "text",
    [
        job(CALL.format("write", GIVEN)),
        job("uses: acme/models/.github/workflows/callee.yml@main, permissions: write-all" + GIVEN),
        job(f"{WORK}, needs: [one], if: always()"),
        job("runs-on: [self-hosted, linux, x64], steps: [{uses: ./action}, {uses: a/b/c@v1}]"),
        job("runs-on: '${{ matrix.on }}', strategy: {matrix: {on: [x]}}, steps: [{run: 'true'}]"),
        f"{BOTH}permissions: read-all\nconcurrency: ''\n{ONE}",
    ],
)
def test_what_github_takes(shared: Site, text: str) -> None:
    assert pushed(shared, text) == ("None", [])
