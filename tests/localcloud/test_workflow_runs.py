"""Whole workflows, run by act: jobs and steps as GitHub's API shows them, whatever becomes of them."""

import hashlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from github.WorkflowJob import WorkflowJob
from github.WorkflowRun import WorkflowRun

from localcloud.github.act import end_all
from localcloud.processes import marked
from tests.eventually import eventually
from tests.localcloud.github_harness import Site

CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1"
CACHE = "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae"
UPLOAD = "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"
LOGIN = "docker/login-action@74a5d142397b4f367a81961eba4e8cd7edddf772"
PYTHON = "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97"
GREEN = "re-actors/alls-green@05ac9388f0aebcb5727afa17fcccfecd6f8ec5fe"
GRAPH = """
  plan:
    name: Plan it
    runs-on: ubuntu-24.04
    outputs: {list: "${{ steps.which.outputs.list }}"}
    steps:
      - id: which
        run: echo 'list=["good","bad"]' >> "$GITHUB_OUTPUT"
  each:
    name: Each
    needs: plan
    strategy: {fail-fast: false, matrix: {flow: "${{ fromJSON(needs.plan.outputs.list) }}"}}
    runs-on: ubuntu-24.04
    steps:
      - name: Work on ${{ matrix.flow }}
        run: test ${{ matrix.flow }} = good
      - name: Only where that was good
        run: echo "done"
  never: {if: "github.ref == 'refs/heads/other'", runs-on: ubuntu-24.04, steps: [{run: "true"}]}
  after: {needs: each, runs-on: ubuntu-24.04, steps: [{run: "true"}]}
  may-fail:
    continue-on-error: true
    runs-on: ubuntu-24.04
    steps: [{continue-on-error: true, run: "false"}, {run: "false"}]
"""
CALL = """
  call:
    name: Called
    strategy: {matrix: {who: [ann, bob]}}
    uses: ./.github/workflows/called.yml
    with: {who: "${{ matrix.who }}"}
  tell:
    needs: call
    runs-on: ubuntu-24.04
    env: {SAID: "${{ needs.call.outputs.said }}"}
    steps: [{run: 'test "$SAID" = "hello bob" || test "$SAID" = "hello ann"'}]
"""
CALLED = """
on:
  workflow_call:
    inputs: {who: {type: string}}
    outputs: {said: {value: "${{ jobs.greet.outputs.said }}"}}
jobs:
  greet:
    name: Greet ${{ inputs.who }}
    runs-on: ubuntu-24.04
    outputs: {said: "${{ steps.it.outputs.said }}"}
    steps: [{id: it, env: {WHO: "${{ inputs.who }}"}, run: 'echo "said=hello $WHO" >> "$GITHUB_OUTPUT"'}]
"""
ONE = "\n  one:\n    runs-on: ubuntu-24.04\n    steps:\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("github"))
    made.commit({"README.md": "Models\n", ".github/workflows/called.yml": CALLED})
    yield made
    made.close()


def began(site: Site, jobs: str, more: dict[str, str] | None = None, head: str = "") -> WorkflowRun:
    """A run of a workflow with those jobs, committed to main."""
    text = f"name: Try\non: workflow_dispatch\n{head}\njobs:{jobs}"
    site.commit({".github/workflows/try.yml": text, **(more or {})})
    workflow = site.client().get_repo("acme/models").get_workflow("try.yml")
    assert workflow.create_dispatch("main", throw=True)
    return workflow.get_runs()[0]


def ended(site: Site, run: WorkflowRun) -> WorkflowRun:
    repo = site.client().get_repo("acme/models")
    eventually(lambda: repo.get_workflow_run(run.id).status == "completed")
    return repo.get_workflow_run(run.id)


def ran(site: Site, jobs: str, more: dict[str, str] | None = None, head: str = "") -> WorkflowRun:
    return ended(site, began(site, jobs, more, head))


def log(site: Site, run: WorkflowRun) -> str:
    return (site.root / "runs" / str(run.id) / "log.txt").read_text()


def record_of(site: Site, run: WorkflowRun) -> Any:
    return site.hub.runs.get("acme/models", run.id)


def conclusions(run: WorkflowRun) -> dict[str, str]:
    return {job.name: str(job.conclusion) for job in run.jobs()}


def steps(job: WorkflowJob) -> list[tuple[str, str]]:
    return [(step.name, str(step.conclusion)) for step in job.steps[1:-1]]


def test_needs_outputs_matrix_and_conditions(site: Site) -> None:
    run = ran(site, GRAPH)
    assert run.conclusion == "failure"
    assert conclusions(run) == {
        "Plan it": "success",
        "Each (good)": "success",
        "Each (bad)": "failure",
        "never": "skipped",
        "after": "skipped",
        "may-fail": "failure",
    }
    jobs = {job.name: job for job in run.jobs()}
    assert steps(jobs["Each (good)"])[0] == ("Work on good", "success")
    assert steps(jobs["Each (bad)"]) == [
        ("Work on bad", "failure"),
        ("Only where that was good", "skipped"),
    ]
    assert steps(jobs["may-fail"]) == [("Run false", "success"), ("Run false", "failure")]


def test_a_job_that_may_fail_fails_no_run(site: Site) -> None:
    run = ran(site, GRAPH[GRAPH.index("  may-fail") :].join(("\n", "")))
    assert (run.conclusion, conclusions(run)) == ("success", {"may-fail": "failure"})


def test_a_called_workflow(site: Site) -> None:
    run = ran(site, CALL)
    assert run.conclusion == "success", log(site, run)
    assert set(conclusions(run)) == {"Called / Greet ann", "Called / Greet bob", "tell"}


def test_steps_can_be_followed_while_they_run(site: Site) -> None:
    run = began(site, ONE + "      - {name: Wait, run: 'until [ -e ../../../go ]; do sleep 0.02; done'}")
    eventually(lambda: [s.status for j in run.jobs() for s in j.steps][1:] == ["in_progress", "pending"])
    (site.root / "runs" / str(run.id) / "go").touch()
    assert ended(site, run).conclusion == "success"


def test_what_steps_are_told(site: Site) -> None:
    shown = "github.run_id }} ${{ github.repository_id }} ${{ github.workflow_ref }} ${{ github.sha"
    text = f"""{ONE}
      - {{name: Tell, env: {{GIVEN: "${{{{ {shown} }}}}"}}, run: 'echo "$GIVEN"; echo "$RUN"; env'}}
"""
    run = ran(site, text.replace("$RUN", "$GITHUB_RUN_ID $GITHUB_REPOSITORY_ID $GITHUB_WORKFLOW_REF"))
    number, where = site.repository.record["id"], "acme/models/.github/workflows/try.yml@refs/heads/main"
    told = log(site, run)
    assert told.count(f"one | {run.id} {number} {where}") == 2, told
    assert "ACTIONS_ID_TOKEN" not in told
    assert os.environ["PYTEST_CURRENT_TEST"] not in told, "the caller's environment leaks"


def test_tokens_do_what_the_job_may_and_are_not_shown(site: Site) -> None:
    ask = "curl -s -o answer -w '%{http_code}\\n' -H \"Authorization: Bearer $TOKEN\""
    text = """
  reads:
    permissions: {contents: read}
    runs-on: ubuntu-24.04
    env: {TOKEN: "${{ github.token }}"}
    steps:
      - id: says
        run: |
          echo "$TOKEN"
          echo "::error::it is $TOKEN"
          echo "::notice::it was $TOKEN"
          echo "held=$TOKEN" >> "$GITHUB_OUTPUT"
          echo "free=of it" >> "$GITHUB_OUTPUT"
          echo "Summary of $TOKEN" >> "$GITHUB_STEP_SUMMARY"
          echo "$TOKEN" > ../../../token
          ASK https://api.github.com/repos/acme/models/issues
  talks:
    permissions: {issues: write}
    runs-on: ubuntu-24.04
    env: {TOKEN: "${{ secrets.GITHUB_TOKEN }}"}
    steps:
      - run: |
          ASK https://api.github.com/repos/acme/models/issues
"""
    run = ran(site, text.replace("ASK", ask), head="permissions: {}")
    assert run.conclusion == "success"
    lines = log(site, run).splitlines()
    told = {"reads | ***", "reads | ##[error]it is ***", "reads | ##[notice]it was ***"}
    assert told | {"reads | 403", "talks | 200"} <= set(lines)
    assert "ghs_" not in log(site, run)
    record = next(job for job in site.hub.jobs.of(record_of(site, run)) if job["name"] == "reads")
    assert record["outputs"] == {"says": {"free": "of it"}}
    assert record["summary"] == record_of(site, run)["summary"] == "Summary of ***\n"
    token = (site.root / "runs" / str(run.id) / "token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    after = requests.get(f"{site.api}/repos/acme/models", headers=headers, timeout=5)
    assert (token[:4], after.status_code) == ("ghs_", 401), "it lives as long as the run"


def test_what_a_step_masks_is_not_shown(site: Site) -> None:
    text = f"""{ONE}
      - id: it
        run: |
          echo "::add-mask::first%0Asecond"
          echo "::warning::neither first nor second"
          printf 'kept<<end\\nfirst\\nsecond\\nend\\n' >> "$GITHUB_OUTPUT"
      - run: printf 'then second\\n'
  two: {{needs: one, runs-on: ubuntu-24.04, steps: [{{run: "echo 'the first of another job'"}}]}}
"""
    run = ran(site, text)
    lines = log(site, run).splitlines()
    assert {"one | ##[warning]neither *** nor ***", "one | then ***"} <= set(lines)
    assert "two | the first of another job" in lines
    assert [job["outputs"] for job in site.hub.jobs.of(record_of(site, run))] == [{}, {}]


def test_git_s_own_configuration_is_a_file_of_the_run(site: Site) -> None:
    text = f"""{ONE}
      - run: |
          test "$GIT_CONFIG_GLOBAL" = "$HOME/.gitconfig" || exit 1
          git config --global user.name Ann
          grep Ann "$HOME/.gitconfig"
"""
    assert ran(site, text).conclusion == "success"


def test_a_job_checks_out_only_what_it_may_read(site: Site) -> None:
    step = f"      - uses: {CHECKOUT}\n"
    assert ran(site, ONE + step, head="permissions: {issues: read}").conclusion == "failure"
    kept = f'{ONE}{step}      - run: git fetch -q && test "$(cat README.md)" = Models'
    assert ran(site, kept, head="permissions: {contents: read}").conclusion == "success"
    without = kept.replace(CHECKOUT, f"{CHECKOUT}\n        with: {{persist-credentials: false}}")
    refused = ran(site, without, head="permissions: {contents: read}")
    assert [conclusion for _, conclusion in steps(refused.jobs()[0])] == ["success", "failure"]
    commit = site.client().get_repo("acme/models").get_commit(refused.head_sha)
    assert [(one.name, one.conclusion) for one in commit.get_check_runs()] == [("one", "failure")]


def test_a_checkout_s_token_is_on_no_command_line(site: Site) -> None:
    text = f"""{ONE}
      - run: |
          mkdir "$HOME/bin"
          printf '#!/bin/sh\\necho "$*" >> ~/told\\nexec "%s" "$@"' "$(which git)" > "$HOME/bin/git"
          chmod +x "$HOME/bin/git"
          echo "$HOME/bin" >> "$GITHUB_PATH"
      - uses: {CHECKOUT}
      - uses: {CHECKOUT}
      - run: |
          git fetch --quiet
          test "$(git config --get-all http.https://github.com/.extraheader | wc -l)" -eq 1
          grep fetch "$HOME/told"
          ! grep -iE 'authorization|ghs_|basic' "$HOME/told"
      - uses: {CHECKOUT}
        with: {{persist-credentials: false}}
      - run: "! git config --get-regexp extraheader"
"""
    run = ran(site, text, head="permissions: {contents: read}")
    assert run.conclusion == "success", log(site, run)


def test_checking_out_something_else(site: Site) -> None:
    other = site.commit({"other.txt": "other"}, "side")
    text = f"""{ONE}
      - uses: {CHECKOUT}
        with: {{ref: side, path: by/name, fetch-depth: 0}}
      - uses: {CHECKOUT}
        with: {{ref: {other}, path: commit}}
      - run: |
          test "$(git -C by/name rev-parse HEAD side)" = "$(printf '{other}\\n{other}')"
          test "$(git -C by/name rev-list --count HEAD)" -gt 1
          test "$(git -C commit rev-list --count HEAD)" = 1
          test "$(cat commit/other.txt)" = other
"""
    assert ran(site, text).conclusion == "success"


def test_caches_and_artifacts_go_from_job_to_job(site: Site) -> None:
    cache = f"""
      - {{uses: {CACHE}, id: cache, with: {{path: .venv, key: "k-${{{{ github.run_id }}}}"}}}}"""
    text = f"""{ONE}{cache}
      - run: |
          test "${{{{ steps.cache.outputs.cache-hit }}}}" = false
          mkdir -p .venv/bin out
          printf '#!%s/.venv/bin/sh\\necho again' "$PWD" > .venv/bin/say
          ln -s /bin/sh .venv/bin/sh
          chmod +x .venv/bin/say
          echo made > out/file
      - {{uses: {UPLOAD}, with: {{name: out, path: out}}}}
  two:
    needs: one
    runs-on: ubuntu-24.04
    steps:{cache}
      - {{uses: {DOWNLOAD}, with: {{name: out}}}}
      - run: |
          test "${{{{ steps.cache.outputs.cache-hit }}}}" = true
          test "$(.venv/bin/say) $(cat file)" = "again made"
"""
    run = ran(site, text)
    assert run.conclusion == "success", log(site, run)
    (artifact,) = run.get_artifacts()
    assert (artifact.name, artifact.workflow_run.id) == ("out", run.id)
    headers = {"authorization": f"token {site.token}"}
    data = requests.get(artifact.archive_download_url, headers=headers, timeout=5).content
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.read("file") == b"made\n"


def test_which_files_are_uploaded(site: Site) -> None:
    text = f"""{ONE}
      - run: |
          mkdir -p out/deep/left out/.git
          touch out/deep/a.txt out/deep/b.log out/deep/left/c.txt out/.git/d.txt
      - uses: {UPLOAD}
        with: {{name: some, path: "${{{{ github.workspace }}}}/out/**/*.txt\\n!out/deep/left"}}
      - {{uses: {UPLOAD}, with: {{name: folder, path: "./out/\\n!**/*.txt"}}}}
"""
    run = ran(site, text)
    assert run.conclusion == "success", log(site, run)
    folder = site.root / "tool-cache" / "artifacts" / str(run.id)
    found = {path.stem: zipfile.ZipFile(path).namelist() for path in folder.iterdir()}
    assert found == {"some": ["deep/a.txt"], "folder": ["deep/b.log"]}


def test_a_failed_job_leaves_no_cache(site: Site) -> None:
    text = f"""{ONE}
      - {{uses: {CACHE}, with: {{path: .venv, key: failing}}}}
      - run: touch .venv/half && false
"""
    for _ in range(2):
        run = ran(site, text)
        assert "Cache not found for input keys: failing" in log(site, run)


def test_a_cache_that_cannot_be_saved_is_saved_the_next_time(site: Site) -> None:
    text = f"""{ONE}
      - {{uses: {CACHE}, with: {{path: tool, key: later}}}}
      - run: mkdir -p tool/bin && echo plain > tool/bin/program
"""
    broken = "      - run: mkdir no && ln -s /bin/false no/mv && echo $PWD/no >> $GITHUB_PATH\n"
    logs = []
    for jobs in (text + broken, text, text):
        run = ran(site, jobs)
        assert run.conclusion == "success", log(site, run)
        logs.append(log(site, run))
    assert ["##[warning]Failed to save" in told for told in logs] == [True, False, False]
    assert ["Cache restored from key: later" in told for told in logs] == [False, False, True]


def test_stand_ins_need_no_python_of_the_path(site: Site) -> None:
    said = "python-version }} ${{ steps.other.outputs.python-path"
    text = f"""{ONE}
      - run: |
          mkdir bin
          printf '#!/bin/sh\\nexit 1' > bin/python3
          printf '#!/bin/sh\\necho 3.99.7 /none' > bin/python3.99
          chmod +x bin/*
          echo "$PWD/bin" >> "$GITHUB_PATH"
      - {{uses: {UPLOAD}, with: {{name: bin, path: bin}}}}
      - {{uses: {DOWNLOAD}, with: {{name: bin, path: again}}}}
      - {{uses: {GREEN}, with: {{jobs: '{{"one": {{"result": "success"}}}}'}}}}
      - {{uses: {LOGIN}, with: {{registry: acme.test, username: ann}}}}
      - {{uses: {PYTHON}, id: near, with: {{python-version: "3.99.1", update-environment: false}}}}
      - {{uses: {PYTHON}, id: other, with: {{python-version: "3.98.1"}}}}
      - run: echo "found ${{{{ steps.near.outputs.{said} }}}}"
      - run: python3 -c 'import sys; print("runs", sys.prefix)'
"""
    run = ran(site, text)
    assert run.conclusion == "success", log(site, run)
    lines = log(site, run).splitlines()
    base = Path(sys.base_prefix).resolve()
    assert f"one | runs {base}" in lines
    assert [line for line in lines if line.startswith(f"one | found 3.99.7 {base}/")]


def hash_files(*files: Path) -> str:
    """What the expression hashFiles gives for these files, in the order in which it names them."""
    each = (hashlib.sha256(file.read_bytes()).digest() for file in files)
    return hashlib.sha256(b"".join(each)).hexdigest()


def test_a_seeded_cache_is_linked(site: Site, tmp_path: Path) -> None:
    (tmp_path / "program").write_text("mine")
    files = [tmp_path / name for name in ("z.lock", "a.toml")]
    for file in files:
        file.write_text(file.name)
    key = f"seeded-{hash_files(*files)}"
    site.hub.caches.seed(key, {".venv": str(tmp_path), ".local/tool": str(tmp_path)})
    text = f"""{ONE}
      - uses: {CHECKOUT}
      - uses: {CACHE}
        with: {{path: ".venv\\n.local/tool", key: "seeded-${{{{ hashFiles('z.lock', 'a.toml') }}}}"}}
      - run: test "$(cat .venv/program .local/tool/program)" = minemine
"""
    assert ran(site, text, {file.name: file.name for file in files}).conclusion == "success"


def test_the_one_required_check(site: Site) -> None:
    text = f"""
  skipped: {{if: false, runs-on: ubuntu-24.04, steps: [{{run: "true"}}]}}
  required:
    if: always()
    needs: skipped
    runs-on: ubuntu-24.04
    steps:
      - uses: {GREEN}
        with: {{jobs: "${{{{ toJSON(needs) }}}}", allowed-skips: ALLOWED}}
"""
    assert ran(site, text.replace("ALLOWED", "skipped")).conclusion == "success"
    assert ran(site, text.replace("ALLOWED", "'[]'")).conclusion == "failure"


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        (ONE + "      - uses: some/body@0123456789", "nothing that stands in for the action some/body"),
        (ONE + f"      - {{uses: {CHECKOUT}, with: {{lfs: true}}}}", "knows no input 'lfs'"),
        (ONE + "      - uses: ./.github/asks", "knows no input 'run-id'"),
        (ONE + "      - uses: ./.github/own", "nothing that stands in for the action other/body"),
        (
            ONE.replace("    steps", "    container: node\n    steps") + "      - run: ls",
            "no containers",
        ),
    ],
)
def test_what_cannot_be_run_does_not_start(site: Site, jobs: str, words: str) -> None:
    own = "runs: {using: composite, steps: [{uses: other/body@v1}]}"
    asks = f"runs: {{using: composite, steps: [{{uses: {DOWNLOAD}, with: {{run-id: 1}}}}]}}"
    run = ran(site, jobs, {".github/own/action.yml": own, ".github/asks/action.yml": asks})
    assert run.conclusion == "startup_failure"
    assert words in log(site, run)
    assert run.jobs().totalCount == 0


@pytest.mark.parametrize("second", ["run: 'true'", "uses: some/body@0123456789"])
def test_a_run_s_tokens_end_with_it_also_where_it_did_not_start(site: Site, second: str) -> None:
    text = "\n  one: {runs-on: ubuntu-24.04, steps: [{run: 'true'}], permissions: {id-token: write}}"
    run = ran(site, f"{text}\n  two: {{runs-on: ubuntu-24.04, steps: [{{{second}}}]}}")
    assert run.conclusion == ("success" if second.startswith("run") else "startup_failure")
    kept = [record for _, record in site.cloud.store.list("github-token")]
    assert [record["login"] for record in kept if "run" in record] == []
    assert site.cloud.store.list("github-id-token") == []


def test_a_label_that_no_runner_has_is_a_failure(site: Site) -> None:
    text = f"{ONE}      - run: echo label=nowhere >> $GITHUB_OUTPUT\n        id: it\n"
    text = text.replace("    steps", "    outputs: {label: '${{ steps.it.outputs.label }}'}\n    steps")
    text += "  two: {needs: one, runs-on: '${{ needs.one.outputs.label }}', steps: [{run: 'true'}]}\n"
    text += "  three: {needs: two, runs-on: ubuntu-24.04, steps: [{run: 'true'}]}\n"
    run = ran(site, text)
    assert run.conclusion == "failure"
    assert conclusions(run) == {"one": "success", "two": "failure", "three": "skipped"}
    assert "No runner has the label" in log(site, run)


def test_a_failed_call_leaves_nothing_unsaid(site: Site) -> None:
    called = "on: workflow_call\njobs: {inner: {runs-on: ubuntu-24.04, steps: [{run: 'false'}]}}"
    text = "\n  call: {uses: ./.github/workflows/bad.yml}"
    text += "\n  needs: {needs: call, runs-on: ubuntu-24.04, steps: [{run: 'true'}]}"
    run = ran(site, text, {".github/workflows/bad.yml": called})
    assert run.conclusion == "failure"
    assert conclusions(run) == {"call / inner": "failure", "needs": "skipped"}


def test_a_job_s_time_is_up(site: Site) -> None:
    limit = "    timeout-minutes: 0.02\n    steps:\n"
    text = ONE.replace("    steps:\n", limit) + "      - {name: Wait, run: nohup sleep 60}\n"
    text += "      - {name: After, run: echo after}\n"
    text += "  two: {runs-on: ubuntu-24.04, steps: [{run: sleep 2.5}]}\n"
    run = ran(site, text)
    assert run.conclusion == "cancelled"
    assert conclusions(run) == {"one": "cancelled", "two": "success"}
    jobs = {job.name: job for job in run.jobs()}
    assert steps(jobs["one"]) == [("Wait", "cancelled"), ("After", "skipped")]
    assert "exceeded the maximum execution time of 0.02 minutes" in log(site, run)


def test_a_job_without_a_limit_has_github_s(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.github.progress.MOST_MINUTES", 0.02)
    run = ran(site, ONE + "      - run: sleep 60")
    assert run.conclusion == "cancelled"
    assert "exceeded the maximum execution time of 0.02 minutes" in log(site, run)


def test_a_cancelled_run_leaves_no_process(site: Site) -> None:
    escapes = "(trap '' TERM HUP; exec setsid sleep 60) & nohup sleep 60 & touch ../../../begun; wait"
    run = began(site, f'{ONE}      - {{name: Wait, run: "{escapes}"}}')
    folder = site.root / "runs" / str(run.id)
    eventually((folder / "begun").exists)
    assert len(marked(f"{folder}/")) >= 3
    assert run.cancel()
    assert ended(site, run).conclusion == "cancelled"
    assert conclusions(run) == {"one": "cancelled"}
    assert marked(f"{folder}/") == []


def test_what_a_good_run_leaves_at_work_is_ended(site: Site) -> None:
    left = "(HOME=/ exec setsid sleep 60 >/dev/null 2>&1) & echo left"
    run = ran(site, f'{ONE}      - run: "{left}"')
    assert run.conclusion == "success"
    assert marked(f"{site.root}/runs/{run.id}/") == []
    end_all(site.root / "runs" / str(run.id))


def test_each_attempt_keeps_its_jobs(site: Site) -> None:
    run = ran(site, ONE + "      - run: 'test $GITHUB_RUN_ATTEMPT = 2'")
    assert run.conclusion == "failure"
    assert run.rerun()
    again = ended(site, run)
    assert (again.conclusion, again.run_attempt) == ("success", 2)
    found: list[Any] = [(job.run_attempt, job.conclusion) for job in again.jobs("all")]
    assert found == [(1, "failure"), (2, "success")]
    assert [job.run_attempt for job in again.jobs()] == [2]


def test_the_failed_jobs_again(site: Site) -> None:
    again = "test $GITHUB_RUN_ATTEMPT = 2"
    text = f"""
  first:
    runs-on: ubuntu-24.04
    outputs: {{said: "${{{{ steps.it.outputs.said }}}}"}}
    steps: [{{id: it, run: "echo said=once-$GITHUB_RUN_ATTEMPT >> $GITHUB_OUTPUT"}}]
  each:
    needs: first
    strategy: {{fail-fast: false, matrix: {{one: [good, bad]}}}}
    runs-on: ubuntu-24.04
    steps: [{{run: "test ${{{{ matrix.one }}}} = good || {again}"}}]
  last:
    needs: [first, each]
    if: always()
    runs-on: ubuntu-24.04
    steps: [{{run: "echo ${{{{ needs.first.outputs.said }}}} ${{{{ needs.each.result }}}}"}}]
"""
    run = ran(site, text)
    assert "last | once-1 failure" in log(site, run)
    assert run.rerun_failed_jobs()
    run = ended(site, run)
    assert (run.conclusion, run.run_attempt) == ("success", 2), log(site, run)
    lines = log(site, run).splitlines()
    assert "last | once-1 success" in lines
    assert not [line for line in lines if line.startswith(("first", "each (good)"))]
    names = ["each (bad)", "each (good)", "first", "last"]
    assert sorted(conclusions(run)) == names
    kept = next(job for job in run.jobs() if job.name == "first")
    headers = {"authorization": f"token {site.token}"}
    assert "Run echo said" in requests.get(f"{kept.url}/logs", headers=headers, timeout=5).text
