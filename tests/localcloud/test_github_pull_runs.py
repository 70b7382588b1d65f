"""A pull request's run works on the merge of both sides, and shows the head."""

from pathlib import Path

from tests.eventually import eventually
from tests.localcloud.github_harness import Site

WORKFLOW = """\
name: CI
on: pull_request
jobs:
  one:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
      - env:
          BASE: ${{ github.base_ref }}
          HEAD: ${{ github.event.pull_request.head.sha }}
          SHA: ${{ github.sha }}
        run: |
          echo "$GITHUB_REF $GITHUB_SHA $SHA $(git rev-parse HEAD)"
          echo "$BASE $GITHUB_HEAD_REF $HEAD"
          cat base.txt head.txt
"""


def test_a_pull_request_s_run(tmp_path: Path) -> None:
    site = Site(tmp_path / "cloud")
    site.commit({"README.md": "Models\n"})
    head = site.commit({"head.txt": "of the head\n", ".github/workflows/ci.yml": WORKFLOW}, "side")
    site.commit({"base.txt": "of the base\n"})
    repo = site.client().get_repo("acme/models")
    repo.create_pull(title="Add", head="side", base="main")
    run = repo.get_workflow_runs(event="pull_request")[0]
    eventually(lambda: repo.get_workflow_run(run.id).status == "completed")
    said = (site.root / "runs" / str(run.id) / "log.txt").read_text()
    merge = site.repository.ref("refs/pull/1/merge")
    assert f"refs/pull/1/merge {merge} {merge} {merge}" in said
    assert f"main side {head}" in said
    assert "of the base" in said
    assert "of the head" in said
    assert (run.head_sha, run.head_branch) == (head, "side")
    assert repo.get_workflow_run(run.id).conclusion == "success"
    site.close()
