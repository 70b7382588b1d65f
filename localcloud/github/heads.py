"""The head of a pull request: a branch of the repository itself, or of a fork."""

from localcloud.github.errors import invalid
from localcloud.github.repository import Repositories, Repository
from localcloud.github.tracker import Record


def repository(repositories: Repositories, where: Repository, pull: Record) -> Repository:
    """Where the head's branch is."""
    return where if is_own(where, pull) else repositories.get(*pull["head_repo"].split("/"))


def is_own(where: Repository, pull: Record) -> bool:
    """Whether the head is a branch of the same repository."""
    return bool(pull.get("head_repo", where.full_name) == where.full_name)


def label(where: Repository, pull: Record) -> str:
    """The head as OWNER:BRANCH."""
    owner = pull.get("head_repo", where.full_name).split("/")[0]
    return f"{owner}:{pull['head_ref']}"


def is_head(where: Repository, pull: Record, other: Repository, branch: str) -> bool:
    """Whether a pull request's head is that branch of that repository."""
    return (pull.get("head_repo", where.full_name), pull["head_ref"]) == (other.full_name, branch)


def named(repositories: Repositories, where: Repository, head: str) -> tuple[Repository, str]:
    """What `BRANCH` or `OWNER:BRANCH` of the same network means. Raises GitHubError (422)."""
    owner, colon, branch = head.rpartition(":")
    if not colon or owner.lower() == where.owner.lower():
        return where, branch
    for one in repositories.network(where):
        if one.owner.lower() == owner.lower():
            return one, branch
    raise invalid("PullRequest", "head")


def tip(where: Repository, head: Repository, branch: str) -> str | None:
    """The branch's commit, which is in `where` from now on; None: no such branch in its network."""
    found = head.branch(branch) if head.source == where.source else None
    if found and head.key != where.key:
        source = (str(head.path), f"refs/heads/{branch}")
        where.raw("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", *source)
    return found
