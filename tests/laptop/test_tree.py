"""The working tree on its way to GitHub's main: what is taken, and that the user's clone stays as it is.

github.com is a bare repository beside the tree here; the last tests go to the local cloud's own.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from flows.errors import RetrainError
from laptop import tree
from laptop.tree import SKIP, Taken
from localcloud.client import Client
from localcloud.environment import Environment

REPOSITORY = "acme/models"
RELEASE = "releases/local/recommender.toml"
# A person's own settings, which must not get into what is taken.
PERSONAL = """\
[user]
\tname = Jo
\temail = jo@example.com
[core]
\tautocrlf = true
"""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class User:
    """A person's clone at `root`, with one commit; `remote` is what stands at github.com."""

    root: Path
    remote: Path

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def take(self) -> Taken:
        return tree.take(REPOSITORY, "secret-token")

    def files(self, commit: str = "main") -> dict[str, str]:
        """What main holds."""
        names = git(self.remote, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
        return {name: git(self.remote, "show", f"{commit}:{name}") for name in names if name}

    def message(self, commit: str = "main") -> str:
        return git(self.remote, "log", "-1", "--format=%B", commit)

    def on_main(self, path: str, text: str | None) -> None:
        """What somebody merges there: a file is written, or deleted."""
        clone = self.remote.parent / "maintainer"
        if not clone.exists():
            git(self.remote.parent, "clone", "--quiet", str(self.remote), str(clone))
        git(clone, "pull", "--quiet", "--ff-only")
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text or "")
        if text is None:
            (clone / path).unlink()
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "-m", "Merge")
        git(clone, "push", "--quiet", "origin", "HEAD:main")


def make_clone(root: Path) -> None:
    """A repository with a commit, a change in the index and an identity of its own."""
    git(root.parent, "init", "--quiet", "--initial-branch=trunk", str(root))
    (root / ".gitignore").write_text(".local/\n*.pyc\n")
    (root / "train.py").write_text("committed\n")
    (root / "gone.py").write_text("committed\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "First")
    (root / "train.py").write_text("in the index\n")
    git(root, "add", "train.py")


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    root, remote = tmp_path / "work", tmp_path / "hub" / f"{REPOSITORY}.git"
    remote.parent.mkdir(parents=True)
    config = tmp_path / "gitconfig"
    # Read from the environment, so that the module itself needs to know nothing of tests.
    config.write_text(f'{PERSONAL}[url "file://{tmp_path}/hub/"]\n\tinsteadOf = https://github.com/\n')
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    make_clone(root)
    monkeypatch.setattr(tree, "ROOT", root)
    monkeypatch.setattr(tree, "GIT", root / ".local" / "tree.git")
    return User(root, remote)


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below `folder` with the hash of its bytes."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_what_is_on_disk_is_taken_committed_or_not(user: User) -> None:
    user.write(**{"train.py": "not even in the index\n", "new/flow.py": "untracked\n"})
    user.write(**{"cache.pyc": "ignored", ".local/state": "ignored"})
    (user.root / "gone.py").unlink()
    taken = user.take()
    assert taken.new
    assert taken.commit == git(user.remote, "rev-parse", "main")
    assert user.files() == {
        ".gitignore": ".local/\n*.pyc",
        "new/flow.py": "untracked",
        "train.py": "not even in the index",
    }


def test_the_same_tree_makes_no_new_commit(user: User) -> None:
    first = user.take()
    assert user.take() == Taken(first.commit, new=False)
    os.utime(user.root / "train.py", (1, 1))
    assert user.take() == Taken(first.commit, new=False)
    assert git(user.remote, "rev-list", "--count", "main") == "1"


def test_a_change_is_a_commit_on_top_of_main(user: User) -> None:
    first = user.take()
    user.write(**{"train.py": "better\n"})
    second = user.take()
    assert git(user.remote, "rev-parse", "main~1", "main").split() == [first.commit, second.commit]
    (user.root / "train.py").unlink()
    user.take()
    assert sorted(user.files()) == [".gitignore", "gone.py"]


def test_the_user_s_git_folder_is_untouched(user: User) -> None:
    user.write(**{RELEASE: "mine\n"})
    before = fingerprint(user.root / ".git")
    status = git(user.root, "--no-optional-locks", "status", "--porcelain=v2", "--branch")
    user.take()
    user.on_main(RELEASE, "merged\n")
    user.write(**{"train.py": "better\n"})
    user.take()
    user.write(**{"train.py": "in the index\n"})
    assert fingerprint(user.root / ".git") == before
    assert git(user.root, "--no-optional-locks", "status", "--porcelain=v2", "--branch") == status


def test_a_folder_that_is_no_checkout_is_taken_too(user: User) -> None:
    (user.root / ".git").rename(user.root.parent / "elsewhere")
    assert user.take().new
    assert sorted(user.files()) == [".gitignore", "gone.py", "train.py"]
    assert not (user.root / ".git").exists()


def test_files_keep_their_bytes_and_their_mode(user: User) -> None:
    (user.root / "windows.txt").write_bytes(b"one\r\ntwo\r\n")
    (user.root / "verb").write_text("#!/bin/sh\n")
    (user.root / "verb").chmod(0o755)
    (user.root / "link").symlink_to("train.py")
    commit = user.take().commit
    assert git(user.remote, "cat-file", "-s", f"{commit}:windows.txt") == "10"
    modes = [
        line.split()[0] for line in git(user.remote, "ls-tree", commit, "link", "verb").splitlines()
    ]
    assert modes == ["120000", "100755"]


def test_the_commit_says_where_it_is_from_and_names_nobody(user: User) -> None:
    commit = user.take().commit
    assert user.message() == f"Working tree of work {SKIP}"
    people = git(user.remote, "log", "-1", "--format=%an %ae %cn %ce", commit)
    assert people == "retrain run run@retrain.invalid retrain run run@retrain.invalid"


def test_releases_that_were_merged_there_stay(user: User) -> None:
    user.take()
    user.on_main(RELEASE, "merged\n")
    merged = git(user.remote, "rev-parse", "main")
    assert user.take() == Taken(merged, new=False), "the user changed nothing"
    user.write(**{"train.py": "better\n"})
    user.take()
    assert user.files()[RELEASE] == "merged"
    assert user.message().endswith(SKIP), "releases/ is as it was: nothing to deploy"
    assert not (user.root / RELEASE).exists()


def test_releases_that_the_user_changed_are_taken_once(user: User) -> None:
    user.write(**{RELEASE: "old\n"})
    user.take()
    user.write(**{RELEASE: "mine\n"})
    user.take()
    assert user.files()[RELEASE] == "mine"
    assert SKIP not in user.message(), "the edit is to be deployed"
    user.on_main(RELEASE, "merged after it\n")
    user.write(**{"train.py": "better\n"})
    user.take()
    assert user.files()[RELEASE] == "merged after it"
    assert user.message().endswith(SKIP)


def test_releases_that_the_user_takes_away_go(user: User) -> None:
    user.write(**{RELEASE: "old\n", "releases/README.md": "what this is\n"})
    user.take()
    (user.root / RELEASE).unlink()
    user.take()
    assert RELEASE not in user.files()
    assert "releases/README.md" in user.files()
    assert SKIP not in user.message()


def test_releases_that_are_taken_away_there_stay_away(user: User) -> None:
    user.write(**{RELEASE: "old\n"})
    user.take()
    user.on_main(RELEASE, None)
    user.write(**{"train.py": "better\n"})
    user.take()
    assert RELEASE not in user.files()
    assert (user.root / RELEASE).exists()


def test_a_new_clone_does_not_undo_releases(user: User) -> None:
    """The local cloud outlives .local/tree.git, or another clone shares it."""
    user.write(**{RELEASE: "old\n"})
    user.take()
    user.on_main(RELEASE, "merged\n")
    (user.root / ".local" / "tree.git").rename(user.root.parent / "lost.git")
    user.write(**{"train.py": "better\n"})
    user.take()
    assert user.files()[RELEASE] == "merged"


def test_a_main_that_moves_meanwhile_is_not_overwritten(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.take()
    user.write(**{"train.py": "better\n"})
    push = tree.Tree.push

    def late(self: tree.Tree, commit: str) -> None:
        user.on_main("theirs.py", "theirs\n")
        push(self, commit)

    monkeypatch.setattr(tree.Tree, "push", late)
    with pytest.raises(RetrainError, match=r"git push: (.|\n)*rejected"):
        user.take()
    assert "theirs.py" in user.files()


def test_what_a_killed_run_left_is_no_obstacle(user: User) -> None:
    user.take()
    (user.root / ".local" / "tree.git" / "index.lock").touch()
    user.write(**{"train.py": "better\n"})
    assert user.take().new
    (user.root / ".local" / "tree.git" / "complete").unlink()
    assert not user.take().new


def test_a_git_that_calls_this_changes_nothing(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a hook, where git's own variables name the user's repository."""
    monkeypatch.setenv("GIT_DIR", str(user.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(user.root / ".git" / "index"))
    monkeypatch.setenv("GIT_PREFIX", "new/")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(user.root / ".git" / "objects"))
    before = fingerprint(user.root / ".git")
    user.write(**{"train.py": "better\n"})
    user.take()
    assert fingerprint(user.root / ".git") == before


def test_the_token_is_in_no_command_line_and_no_file(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    real = subprocess.run

    def run(command: list[str], **options: object) -> object:
        lines.append(" ".join(command))
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", run)
    user.take()
    monkeypatch.setattr(subprocess, "run", real)
    secrets = ["secret-token", "eC1hY2Nlc3MtdG9rZW46c2VjcmV0LXRva2Vu"]
    assert lines
    assert not [line for line in lines for secret in secrets if secret in line]
    written = [path.read_bytes() for path in (user.root / ".local").rglob("*") if path.is_file()]
    assert not [data for data in written for secret in secrets if secret.encode() in data]


# The local cloud's own GitHub: HTTPS through the proxy, and a token that counts.


@pytest.fixture
def local(
    cloud: Client, owner: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Taken]:
    """Takes a small tree to the local cloud, with a token."""
    for name in owner.unset:
        monkeypatch.delenv(name, raising=False)
    for name, value in owner.set.items():
        monkeypatch.setenv(name, value)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Jo")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "jo@example.com")
    root = tmp_path / "work"
    make_clone(root)
    (root / "unique").write_text(str(tmp_path))
    monkeypatch.setattr(tree, "ROOT", root)
    monkeypatch.setattr(tree, "GIT", root / ".local" / "tree.git")
    return lambda token: tree.take(owner.set["GITHUB_REPOSITORY"], token)


@pytest.mark.slow
def test_the_local_github_gets_the_tree_once(
    local: Callable[[str], Taken], owner: Environment, tmp_path: Path
) -> None:
    token = owner.set["GITHUB_TOKEN"]
    first = local(token)
    assert first.new
    assert local(token) == Taken(first.commit, new=False)
    files = f"https://api.github.com/repos/{owner.set['GITHUB_REPOSITORY']}/contents"
    raw = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github.raw+json"}
    for name, text in (("unique", str(tmp_path)), ("train.py", "in the index\n")):
        answer = requests.get(f"{files}/{name}?ref={first.commit}", headers=raw, timeout=30)
        assert answer.text == text


@pytest.mark.slow
def test_a_token_that_is_none_is_refused(local: Callable[[str], Taken]) -> None:
    with pytest.raises(RetrainError, match="git ls-remote") as caught:
        local("not-a-token")
    assert "not-a-token" not in str(caught.value)
