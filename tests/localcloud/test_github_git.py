"""Git over HTTP, and commits, trees, refs and files by REST."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from github import GithubException, InputGitTreeElement, UnknownObjectException
from github.Repository import Repository

from tests.localcloud.github_harness import OWNER, Site


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("github"))
    site.commit({"README.md": "# Models\n", "flows/a.py": "a = 1\n"})
    yield site
    site.close()


@pytest.fixture
def repo(shared: Site) -> Repository:
    return shared.client().get_repo("acme/models")


def status_of(error: pytest.ExceptionInfo[GithubException]) -> tuple[int, str]:
    return error.value.status, error.value.data["message"]


def test_clone_and_push(shared: Site, tmp_path: Path) -> None:
    moved: list[tuple[str, str]] = []
    shared.hub.on_push.append(lambda where, ref, before, after: moved.append((ref, after)))
    shared.git(tmp_path, "clone", "-q", shared.remote(), "clone")
    clone = tmp_path / "clone"
    assert (clone / "README.md").read_text() == "# Models\n"
    (clone / "big.bin").write_bytes(bytes(range(256)) * 20_000)
    shared.git(clone, "checkout", "-q", "-b", "pushed")
    shared.git(clone, "add", ".")
    shared.git(clone, "commit", "-q", "-m", "Add a file")
    shared.git(clone, "-c", "core.bigFileThreshold=1", "push", "-q", "origin", "pushed")
    head = shared.git(clone, "rev-parse", "HEAD")
    assert moved == [("refs/heads/pushed", head)]
    assert shared.repository.branch("pushed") == head
    shared.git(clone, "push", "-q", "origin", ":pushed")
    assert moved[-1] == ("refs/heads/pushed", "0" * 40)


def test_shallow_fetch_of_one_commit(shared: Site, tmp_path: Path) -> None:
    head = str(shared.repository.head)
    shared.git(tmp_path, "init", "-q")
    shared.git(tmp_path, "fetch", "-q", "--depth=1", shared.remote(), head)
    assert shared.git(tmp_path, "rev-parse", "FETCH_HEAD") == head


def test_git_needs_a_token_that_may_push(shared: Site, tmp_path: Path) -> None:
    nobody = shared.web + "/acme/models.git"
    assert requests.get(nobody + "/info/refs?service=git-upload-pack", timeout=5).status_code == 401
    assert "could not read Username" in shared.git(tmp_path, "ls-remote", nobody, check=False)
    assert "Authentication failed" in shared.git(tmp_path, "ls-remote", shared.remote("x"), check=False)
    reader = shared.hub.job_token({"contents": "read"})
    shared.git(tmp_path, "clone", "-q", shared.remote(reader), "clone")
    said = shared.git(tmp_path / "clone", "push", "origin", "HEAD:refs/heads/x", check=False)
    assert "403" in said
    elsewhere = shared.remote().replace("models", "other")
    assert "Repository not found" in shared.git(tmp_path, "ls-remote", elsewhere, check=False)


def test_refs_of_pull_requests_cannot_be_pushed(shared: Site, tmp_path: Path) -> None:
    shared.git(tmp_path, "clone", "-q", shared.remote(), "clone")
    said = shared.git(tmp_path / "clone", "push", "origin", "HEAD:refs/pull/9/head", check=False)
    assert "deny updating a hidden ref" in said


def test_who_am_i_and_repositories(shared: Site) -> None:
    client = shared.client()
    assert client.get_user().login == OWNER
    made = client.get_user().create_repo("own", private=True)
    assert (made.full_name, made.owner.type, made.default_branch) == ("olivia/own", "User", "main")
    other = client.get_organization("acme").create_repo("Tools")
    assert client.get_repo("ACME/tools").id == other.id
    with pytest.raises(GithubException) as error:
        client.get_user().create_repo("own")
    assert error.value.data["errors"][0]["message"] == "name already exists on this account"
    with pytest.raises(UnknownObjectException):
        client.get_repo("acme/none")


def test_an_empty_repository(shared: Site) -> None:
    repo = shared.client().get_user().create_repo("empty")
    with pytest.raises(GithubException) as error:
        repo.get_git_ref("heads/main")
    assert status_of(error) == (409, "Git Repository is empty.")
    repo.create_file("first.txt", "The first", "1\n")
    assert [one.commit.message for one in repo.get_commits()] == ["The first"]


def test_a_commit_from_its_parts(repo: Repository) -> None:
    head = repo.get_branch("main").commit.sha
    parent = repo.get_git_commit(head)
    blob = repo.create_git_blob("aGk=", "base64")
    elements = [
        InputGitTreeElement("docs/deep/hi.txt", "100644", "blob", sha=blob.sha),
        InputGitTreeElement("inline.txt", "100644", "blob", content="inline"),
        InputGitTreeElement("flows/a.py", "100644", "blob", sha=None),
    ]
    tree = repo.create_git_tree(elements, parent.tree)
    paths = [entry.path for entry in repo.get_git_tree(tree.sha, recursive=True).tree]
    assert paths == ["README.md", "docs", "docs/deep", "docs/deep/hi.txt", "inline.txt"]
    commit = repo.create_git_commit("Parts\n\nwith text", tree, [parent])
    assert (commit.author.name, commit.message) == (OWNER, "Parts\n\nwith text")
    repo.create_git_ref("refs/heads/release/parts", commit.sha)
    assert repo.get_branch("release/parts").commit.files[0].filename == "docs/deep/hi.txt"
    assert repo.get_git_blob(blob.sha).content == "aGk="
    assert [ref.ref for ref in repo.get_git_matching_refs("heads/release/p")] == [
        "refs/heads/release/parts"
    ]


def test_refs_move_forward_only(repo: Repository, shared: Site) -> None:
    first = shared.commit({"x": "1"}, "moving")
    second = shared.commit({"x": "2"}, "moving")
    ref = repo.get_git_ref("heads/moving")
    with pytest.raises(GithubException) as error:
        ref.edit(first)
    assert status_of(error) == (422, "Update is not a fast forward")
    ref.edit(first, force=True)
    ref.edit(second)
    with pytest.raises(GithubException) as error:
        repo.create_git_ref("refs/heads/moving", first)
    assert status_of(error) == (422, "Reference already exists")
    with pytest.raises(GithubException) as error:
        ref.edit("0" * 39 + "1")
    assert status_of(error) == (422, "Object does not exist")
    ref.delete()
    with pytest.raises(UnknownObjectException):
        repo.get_git_ref("heads/moving")


def test_compare(repo: Repository, shared: Site) -> None:
    base = shared.commit({"y": "1\n"}, "left")
    shared.commit({"y": "1\n2\n"}, "right", "left")
    found = repo.compare("left", "right")
    assert (found.status, found.ahead_by, found.merge_base_commit.sha) == ("ahead", 1, base)
    (file,) = found.files
    assert (file.filename, file.status, file.additions, file.deletions) == ("y", "modified", 1, 0)
    assert "+2" in file.patch
    assert repo.compare("right", "left").behind_by == 1


def test_files_by_path(repo: Repository, shared: Site) -> None:
    shared.commit({"d/one.txt": "1\n"}, "files")
    made = repo.create_file("d/zwei ö.txt", "Two", "2\n", branch="files")
    listed = repo.get_contents("d", ref="files")
    assert isinstance(listed, list)
    assert [one.path for one in listed] == ["d/one.txt", "d/zwei ö.txt"]
    sha = made["content"].sha
    repo.update_file("d/zwei ö.txt", "Two again", "2b\n", sha, branch="files")
    found = repo.get_contents("d/zwei ö.txt", ref="files")
    assert not isinstance(found, list)
    assert found.decoded_content == b"2b\n"
    last = repo.get_commits("files")[0].commit
    assert (last.author.name, last.committer.name) == (OWNER, "GitHub")
    with pytest.raises(GithubException) as error:
        repo.update_file("d/zwei ö.txt", "Late", "2c\n", sha, branch="files")
    assert status_of(error) == (409, f"d/zwei ö.txt does not match {sha}")
    with pytest.raises(GithubException) as error:
        repo.create_file("d/one.txt", "No sha", "x", branch="files")
    assert status_of(error) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    repo.delete_file("d/zwei ö.txt", "Gone", found.sha, branch="files")
    with pytest.raises(UnknownObjectException):
        repo.get_contents("d/zwei ö.txt", ref="files")


def test_pages(repo: Repository, shared: Site) -> None:
    for number in range(5):
        shared.commit({"n": str(number)}, "long")
    api = f"{shared.api}/repos/acme/models/commits"
    headers = {"authorization": f"token {shared.token}"}
    answer = requests.get(api, {"sha": "long", "per_page": "2", "page": "2"}, headers=headers, timeout=5)
    assert [one["commit"]["message"] for one in answer.json()] == ["Change n", "Change n"]
    assert set(answer.links) == {"prev", "first", "next", "last"}
    assert answer.links["last"]["url"].startswith(f"{api}?")
    again = requests.get(api, headers={**headers, "if-none-match": "x"}, timeout=5)
    same = {**headers, "if-none-match": again.headers["etag"]}
    assert requests.get(api, headers=same, timeout=5).status_code == 304


def test_statuses(repo: Repository) -> None:
    commit = repo.get_commit("main")
    assert commit.get_combined_status().state == "pending"
    commit.create_status("pending", context="ci")
    commit.create_status("success", "https://ci.test", "done", "ci")
    assert [one.state for one in commit.get_statuses()] == ["success", "pending"]
    assert commit.get_combined_status().state == "success"


def test_gits_own_notations_are_no_names(repo: Repository) -> None:
    for branch in ("main~0", "main^", "none"):
        with pytest.raises(GithubException) as error:
            repo.get_branch(branch)
        assert status_of(error) == (404, "Branch not found")
    with pytest.raises(GithubException) as error:
        repo.get_contents(":(glob)**")
    assert "git refused" in status_of(error)[1]


def test_tags(repo: Repository) -> None:
    sha = repo.get_branch("main").commit.sha
    tag = repo.create_git_tag("v1", "First", sha, "commit")
    repo.create_git_ref("refs/tags/v1", tag.sha)
    assert [(one.name, one.commit.sha) for one in repo.get_tags()] == [("v1", sha)]
    assert repo.get_git_tag(tag.sha).message == "First"


def test_refusals_have_githubs_shape(shared: Site) -> None:
    for headers, message in (
        ({}, "Requires authentication"),
        ({"authorization": "token nonsense"}, "Bad credentials"),
    ):
        answer = requests.get(f"{shared.api}/user", headers=headers, timeout=5)
        assert (answer.status_code, answer.json()["message"]) == (401, message)
        assert answer.json()["status"] == "401"
    headers = {"authorization": f"Bearer {shared.token}"}
    answer = requests.get(f"{shared.api}/repos/acme/models/hooks", headers=headers, timeout=5)
    assert answer.status_code == 404
    assert "does not serve GET https://api.github.com/repos/acme/models/hooks" in answer.text
