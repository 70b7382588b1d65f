"""The life of pull requests and issues, through PyGithub."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from github import GithubException, UnknownObjectException
from github.PullRequest import PullRequest
from github.Repository import Repository

from tests.localcloud.github_harness import OWNER, Site


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("github"))
    site.commit({"README.md": "# Models\n"})
    yield site
    site.close()


@pytest.fixture
def repo(shared: Site) -> Repository:
    return shared.client().get_repo("acme/models")


def propose(shared: Site, repo: Repository, branch: str, text: str = "1\n") -> PullRequest:
    shared.commit({f"releases/{branch}.toml": text}, branch)
    return repo.create_pull("main", branch, title=f"Release {branch}", body="Evidence")


def refused(error: pytest.ExceptionInfo[GithubException]) -> tuple[int, str]:
    data = error.value.data
    return error.value.status, data["errors"][0]["message"] if "errors" in data else data["message"]


def test_open_and_find(shared: Site, repo: Repository) -> None:
    branch = "release/local/recommender"
    pull = propose(shared, repo, branch)
    assert (pull.state, pull.merged, pull.mergeable, pull.mergeable_state) == (
        "open",
        False,
        True,
        "clean",
    )
    assert (pull.commits, pull.additions, pull.changed_files) == (1, 1, 1)
    assert pull.user.login == OWNER
    assert pull.html_url.endswith(f"/acme/models/pull/{pull.number}")
    found = repo.get_pulls(state="open", head=f"acme:{branch}", base="main")
    assert [one.number for one in found] == [pull.number]
    assert [*repo.get_pulls(head=f"someone:{branch}")] == []
    assert [one.filename for one in pull.get_files()] == [f"releases/{branch}.toml"]
    assert [one.sha for one in pull.get_commits()] == [pull.head.sha]
    assert pull.as_issue().pull_request is not None
    page = requests.get(f"{shared.web}/acme/models/pull/{pull.number}", timeout=5)
    assert "<pre>Evidence</pre>" in page.text


def test_what_cannot_be_opened(shared: Site, repo: Repository) -> None:
    propose(shared, repo, "twice")
    with pytest.raises(GithubException) as error:
        repo.create_pull("main", "twice", title="Again")
    assert refused(error) == (422, "A pull request already exists for acme:twice.")
    shared.hub.repositories.update(shared.repository, "refs/heads/same", str(shared.repository.head))
    with pytest.raises(GithubException) as error:
        repo.create_pull("main", "same", title="Nothing")
    assert refused(error) == (422, "No commits between main and same")
    with pytest.raises(GithubException) as error:
        repo.create_pull("main", "nowhere", title="Nothing")
    assert error.value.data["errors"] == [
        {"resource": "PullRequest", "field": "head", "code": "invalid"}
    ]


def test_the_head_follows_its_branch_and_a_guarded_merge(shared: Site, repo: Repository) -> None:
    pull = propose(shared, repo, "follow")
    old = pull.head.sha
    new = shared.commit({"releases/follow.toml": "2\n"}, "follow")
    pull.edit(title="Release 2", body="Better")
    pull = repo.get_pull(pull.number)
    assert (pull.head.sha, pull.title, pull.body, pull.commits) == (new, "Release 2", "Better", 2)
    with pytest.raises(GithubException) as error:
        pull.merge(sha=old)
    assert refused(error) == (409, "Head branch was modified. Review and try the merge again.")
    base = shared.repository.head
    done = pull.merge(sha=new)
    commit = repo.get_git_commit(done.sha)
    assert [parent.sha for parent in commit.parents] == [base, new]
    assert commit.message == f"Merge pull request #{pull.number} from acme/follow\n\nRelease 2"
    assert repo.get_branch("main").commit.sha == done.sha
    pull = repo.get_pull(pull.number)
    assert (pull.state, pull.merged, pull.merge_commit_sha) == ("closed", True, done.sha)
    assert pull.is_merged()
    assert pull.merged_by.login == OWNER
    assert (pull.commits, pull.changed_files) == (2, 1)
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert refused(error) == (405, "Pull Request is not mergeable")


def test_squash_and_rebase(shared: Site, repo: Repository) -> None:
    pull = propose(shared, repo, "squashed")
    shared.commit({"s": "2"}, "squashed")
    shared.commit({"elsewhere": "1"})
    base = shared.repository.head
    done = pull.merge(merge_method="squash", commit_title="All at once")
    commit = repo.get_git_commit(done.sha)
    assert [parent.sha for parent in commit.parents] == [base]
    assert commit.message.startswith("All at once\n\n* Change releases/squashed.toml")
    assert repo.get_pull(pull.number).merged
    pull = propose(shared, repo, "rebased")
    shared.commit({"r": "2"}, "rebased")
    shared.commit({"elsewhere": "2"})
    base = shared.repository.head
    done = pull.merge(merge_method="rebase")
    messages = [one.message for one in shared.repository.log(f"{base}..{done.sha}")]
    assert messages == ["Change r", "Change releases/rebased.toml"]
    assert repo.get_pull(pull.number).merge_commit_sha == done.sha


def test_a_conflict_is_not_mergeable(shared: Site, repo: Repository) -> None:
    shared.commit({"c": "0\n"})
    pull = propose(shared, repo, "conflict")
    shared.commit({"c": "1\n"}, "conflict")
    shared.commit({"c": "2\n"})
    pull = repo.get_pull(pull.number)
    assert (pull.mergeable, pull.mergeable_state) == (False, "dirty")
    with pytest.raises(GithubException) as error:
        pull.merge()
    assert refused(error) == (405, "Pull Request is not mergeable")


def test_close_and_reopen(shared: Site, repo: Repository) -> None:
    pull = propose(shared, repo, "closing")
    pull.edit(state="closed")
    closed = repo.get_pull(pull.number)
    assert (closed.state, closed.raw_data["mergeable"], closed.merged) == ("closed", None, False)
    again = repo.create_pull("main", "closing", title="Again")
    with pytest.raises(GithubException) as error:
        pull.edit(state="open")
    assert "There is already an open pull request" in refused(error)[1]
    again.edit(state="closed")
    pull.edit(state="open")
    assert pull.state == "open"
    repo.get_git_ref("heads/closing").delete()
    pull = repo.get_pull(pull.number)
    assert (pull.state, pull.merged) == ("closed", False)
    with pytest.raises(GithubException) as error:
        pull.edit(state="open")
    assert refused(error) == (422, "state cannot be changed. The closing branch has been deleted.")
    numbers = [one.number for one in repo.get_pulls(state="all", head="acme:closing")]
    assert numbers == [again.number, pull.number]


def test_pushes_close_and_merge(shared: Site, repo: Repository, tmp_path: Path) -> None:
    emptied, landed = propose(shared, repo, "emptied"), propose(shared, repo, "landed")
    repo.get_git_ref("heads/emptied").edit(str(shared.repository.head), force=True)
    emptied = repo.get_pull(emptied.number)
    assert (emptied.state, emptied.merged) == ("closed", False)
    shared.git(tmp_path, "clone", "-q", shared.remote(), "clone")
    clone = tmp_path / "clone"
    shared.git(clone, "merge", "-q", "--no-ff", "-m", "By hand", "origin/landed")
    shared.git(clone, "push", "-q", "origin", "main")
    landed = repo.get_pull(landed.number)
    assert (landed.state, landed.merged) == ("closed", True)
    assert landed.merge_commit_sha == shared.repository.head
    head = shared.git(clone, "ls-remote", "origin", f"refs/pull/{landed.number}/head")
    assert head.startswith(landed.head.sha)


def test_reviews(shared: Site, repo: Repository) -> None:
    pull = propose(shared, repo, "reviewed")
    with pytest.raises(GithubException) as error:
        pull.create_review(event="APPROVE")
    assert error.value.data["errors"] == ["Review Can not approve your own pull request"]
    bot = shared.app_client("reviewer", pull_requests="write").get_repo("acme/models")
    bot.get_pull(pull.number).create_review(body="Fine", event="APPROVE")
    with pytest.raises(GithubException) as error:
        bot.get_pull(pull.number).create_review(event="REQUEST_CHANGES")
    assert error.value.status == 422
    found = [(one.user.login, one.state, one.commit_id) for one in pull.get_reviews()]
    assert found == [("reviewer[bot]", "APPROVED", pull.head.sha)]
    pull.get_review(pull.get_reviews()[0].id).dismiss("Changed")
    assert pull.get_reviews()[0].state == "DISMISSED"
    pull.create_review_request(["peter"])
    assert [one.login for one in pull.get_review_requests()[0]] == ["peter"]


def test_labels(shared: Site, repo: Repository) -> None:
    repo.create_label("hold", "ff0000", "Frozen")
    pull = propose(shared, repo, "labelled")
    pull.add_to_labels("release", "Hold")
    assert [(one.name, one.color) for one in pull.get_labels()] == [
        ("release", "ededed"),
        ("hold", "ff0000"),
    ]
    pull.remove_from_labels("hold")
    with pytest.raises(GithubException) as error:
        pull.remove_from_labels("hold")
    assert refused(error) == (404, "Label does not exist")
    pull.set_labels("a", "b")
    assert [one.name for one in repo.get_pull(pull.number).labels] == ["a", "b"]
    assert [one.number for one in repo.get_issues(labels=["a", "b"])] == [pull.number]
    with pytest.raises(GithubException) as error:
        repo.create_label("HOLD", "00ff00")
    assert error.value.data["errors"][0]["code"] == "already_exists"


def test_issues_and_comments(repo: Repository) -> None:
    issue = repo.create_issue("Job failed", "In train", labels=["flow"])
    comment = issue.create_comment("Look")
    comment.edit("Look here")
    assert [one.body for one in issue.get_comments()] == ["Look here"]
    issue.edit(body="In evaluate", state="closed", state_reason="not_planned")
    issue = repo.get_issue(issue.number)
    assert (issue.state, issue.state_reason, issue.comments) == ("closed", "not_planned", 1)
    assert issue.number not in [one.number for one in repo.get_issues()]
    assert issue.number in [one.number for one in repo.get_issues(state="closed")]
    with pytest.raises(UnknownObjectException):
        repo.get_pull(issue.number)
    comment.delete()
    assert issue.get_comments().totalCount == 0
