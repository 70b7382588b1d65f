"""The release branch: read together with main, and moved forward by one file, never by force."""

from dataclasses import dataclass
from typing import Any

from flows.errors import RetrainError

MAIN = "main"
RACE = (404, 409, 422)
NO_REF = (404, 409)  # the latter where the repository is empty
AGAIN = "start release-pr.yml again; if it stays so, look at that branch and its rules"


class LostRaceError(RetrainError):
    """Somebody else moved the branch or opened the pull request meanwhile: look again."""


@dataclass(frozen=True)
class Branches:
    """main and branch `name` at one moment: their heads, and the text of `path` on each."""

    name: str
    path: str
    main: str
    main_text: str | None
    branch: str | None
    branch_text: str | None


def look(repository: Any, branch: str, path: str) -> Branches:
    """What main and `branch` hold now. Raises RetrainError where there is no main."""
    main, own = head(repository, MAIN), head(repository, branch)
    if main is None:
        raise RetrainError(
            f"{repository.full_name}: it has no branch '{MAIN}'",
            f"push a commit to {MAIN}; ./scripts/run does it on a laptop",
        )
    own_text = _text(repository, path, own) if own else None
    return Branches(branch, path, main, _text(repository, path, main), own, own_text)


def text_on_main(repository: Any, path: str) -> str | None:
    """A file as main has it now; None where it is not there."""
    return _text(repository, path, MAIN)


def head(repository: Any, branch: str) -> str | None:
    """The branch's commit; None where there is no such branch."""
    from github import GithubException

    try:
        return str(repository.get_git_ref(f"heads/{branch}").object.sha)
    except GithubException as error:
        if error.status not in NO_REF:
            raise
        return None


def up_to_date(repository: Any, seen: Branches, text: str) -> bool:
    """Whether the branch holds `text`, and main has not changed that file since they parted."""
    if seen.branch is None or seen.branch_text != text:
        return False
    base = str(repository.compare(seen.main, seen.branch).merge_base_commit.sha)
    return base == seen.main or _text(repository, seen.path, base) == seen.main_text


def advance(repository: Any, seen: Branches, text: str, message: str) -> str:
    """One commit on the branch whose tree is main's with `text` in the file; its hash.

    Its parents are the branch's head and, where that does not contain it yet, main's: so the branch
    always differs from main by that one file, and the new head is a fast-forward. Raises
    LostRaceError where the branch is no longer as it was `seen`.
    """
    from github import InputGitTreeElement

    parents = _parents(repository, seen)
    commits = {sha: repository.get_git_commit(sha) for sha in {*parents, seen.main}}
    file = InputGitTreeElement(path=seen.path, mode="100644", type="blob", content=text)
    tree = repository.create_git_tree([file], base_tree=commits[seen.main].tree)
    commit = str(repository.create_git_commit(message, tree, [commits[sha] for sha in parents]).sha)
    _move(repository, seen, commit)
    return commit


def _parents(repository: Any, seen: Branches) -> list[str]:
    if seen.branch is None:
        return [seen.main]
    contained = repository.compare(seen.main, seen.branch).behind_by == 0
    return [seen.branch] if contained else [seen.branch, seen.main]


def _move(repository: Any, seen: Branches, commit: str) -> None:
    from github import GithubException

    try:
        if seen.branch is None:
            repository.create_git_ref(f"refs/heads/{seen.name}", commit)
        else:
            _forward(repository.get_git_ref(f"heads/{seen.name}"), seen.branch, commit)
    except GithubException as error:
        if error.status not in RACE:
            raise
        what = f"{repository.full_name}: {seen.name} cannot be moved: {message_of(error)}"
        raise LostRaceError(what, AGAIN) from None


def _forward(ref: Any, old: str, new: str) -> None:
    # Reading the ref also makes PyGithub learn the address that takes changes: it is another one.
    if ref.object.sha == old:
        ref.edit(new, force=False)
    else:
        raise LostRaceError(f"{ref.ref}: it is at {ref.object.sha}, no longer at {old}", AGAIN)


def message_of(error: Any) -> str:
    """What GitHub said, on one line."""
    data = error.data if isinstance(error.data, dict) else {}
    details = [
        str(detail.get("message", "")) for detail in data.get("errors", []) if isinstance(detail, dict)
    ]
    return " ".join(part for part in [str(data.get("message", error.status)), *details] if part)


def _text(repository: Any, path: str, commit: str) -> str | None:
    from github import UnknownObjectException

    try:
        return str(repository.get_contents(path, ref=commit).decoded_content.decode())
    except UnknownObjectException:
        return None
