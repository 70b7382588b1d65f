"""Accounts, repositories and commits as GitHub's REST API shows them."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localcloud.github.call import API
from localcloud.github.diff import Change
from localcloud.github.git import Commit, Person
from localcloud.github.identity import account_id
from localcloud.github.people import reaches
from localcloud.github.repository import Repository

WEB = "https://github.com"
NO_SIGNATURE = {
    "verified": False,
    "reason": "unsigned",
    "signature": None,
    "payload": None,
    "verified_at": None,
}
PLAIN_LINKS = (
    "contributors deployments downloads events forks hooks languages merges"
    " stargazers subscribers subscription tags teams"
)
# Link name → what stands behind the repository's address, as URI templates
TEMPLATE_LINKS = {
    "archive": "{archive_format}{/ref}",
    "assignees": "assignees{/user}",
    "blobs": "git/blobs{/sha}",
    "branches": "branches{/branch}",
    "collaborators": "collaborators{/collaborator}",
    "comments": "comments{/number}",
    "commits": "commits{/sha}",
    "compare": "compare/{base}...{head}",
    "contents": "contents/{+path}",
    "git_commits": "git/commits{/sha}",
    "git_refs": "git/refs{/sha}",
    "git_tags": "git/tags{/sha}",
    "issue_comment": "issues/comments{/number}",
    "issue_events": "issues/events{/number}",
    "issues": "issues{/number}",
    "keys": "keys{/key_id}",
    "labels": "labels{/name}",
    "milestones": "milestones{/number}",
    "notifications": "notifications{?since,all,participating}",
    "pulls": "pulls{/number}",
    "releases": "releases{/id}",
    "statuses": "statuses/{sha}",
    "trees": "git/trees{/sha}",
}


def node_id(kind: str, number: object) -> str:
    """An opaque identifier of the GraphQL kind."""
    return f"{kind}_" + b64encode(f"{kind}{number}".encode()).decode().rstrip("=")


def account(login: str, kind: str = "") -> dict[str, Any]:
    """A user, bot or organization, in short."""
    number = account_id(login)
    bot = login.endswith("[bot]")
    api, web = f"{API}/users/{login}", f"{WEB}/apps/{login[:-5]}" if bot else f"{WEB}/{login}"
    lists = ["followers", "subscriptions", "repos", "received_events"]
    return {
        "login": login,
        "id": number,
        "node_id": node_id("U", number),
        "avatar_url": f"https://avatars.githubusercontent.com/u/{number}?v=4",
        "gravatar_id": "",
        "url": api,
        "html_url": web,
        **{f"{name}_url": f"{api}/{name}" for name in lists},
        "organizations_url": f"{api}/orgs",
        "following_url": f"{api}/following{{/other_user}}",
        "gists_url": f"{api}/gists{{/gist_id}}",
        "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
        "events_url": f"{api}/events{{/privacy}}",
        "type": kind or ("Bot" if bot else "User"),
        "user_view_type": "public",
        "site_admin": False,
    }


def full_account(login: str, kind: str = "") -> dict[str, Any]:
    """A user or organization, as GET /user, /users/… and /orgs/… answer."""
    since = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    counts = dict.fromkeys(["public_repos", "public_gists", "followers", "following"], 0)
    if kind == "Organization":
        short = {key: value for key, value in account(login, kind).items() if key in IN_ORGANIZATION}
        return {**short, "name": login, **counts, **since, **_organization(login)}
    return {**account(login, kind), "name": login, **counts, **since, **_user()}


IN_ORGANIZATION = ("login", "id", "node_id", "avatar_url", "html_url", "type")


def _user() -> dict[str, Any]:
    empty = ["company", "location", "email", "hireable", "bio", "twitter_username"]
    zero = "private_gists total_private_repos owned_private_repos disk_usage collaborators"
    counts = dict.fromkeys(zero.split(), 0)
    return {**dict.fromkeys(empty), **counts, "blog": "", "two_factor_authentication": True}


def _organization(login: str) -> dict[str, Any]:
    api = f"{API}/orgs/{login}"
    lists = {f"{name}_url": f"{api}/{name}" for name in ("repos", "events", "hooks", "issues")}
    members = {f"{name}_url": f"{api}/{name}{{/member}}" for name in ("members", "public_members")}
    flags = {"has_organization_projects": True, "has_repository_projects": True}
    return {"url": api, "description": None, **lists, **members, **flags, "archived_at": None}


def repository(found: Repository) -> dict[str, Any]:
    """A repository as it stands in lists and inside other objects."""
    record, api = found.record, f"{API}/repos/{found.full_name}"
    web = f"{WEB}/{found.full_name}"
    return {
        "id": record["id"],
        "node_id": node_id("R", record["id"]),
        "name": found.name,
        "full_name": found.full_name,
        "private": record["private"],
        "visibility": "private" if record["private"] else "public",
        "owner": account(found.owner, record.get("owner_type", "Organization")),
        "html_url": web,
        "description": record.get("description"),
        "fork": found.is_fork,
        "allow_forking": not record["private"],
        "url": api,
        **{f"{name}_url": f"{api}/{name}" for name in PLAIN_LINKS.split()},
        **{f"{name}_url": f"{api}/{rest}" for name, rest in TEMPLATE_LINKS.items()},
        "git_url": f"git://github.com/{found.full_name}.git",
        "ssh_url": f"git@github.com:{found.full_name}.git",
        "clone_url": f"{web}.git",
        "svn_url": web,
        "default_branch": found.default_branch,
        "created_at": record["created_at"],
        "updated_at": record["pushed_at"],
        "pushed_at": record["pushed_at"],
        **_repository_constants(),
    }


Origins = Mapping[str, Repository]
ZEROS = "forks forks_count stargazers_count watchers watchers_count open_issues open_issues_count size"
OFF = "archived disabled is_template has_pages has_discussions web_commit_signoff_required"
ON = "has_issues has_projects has_wiki has_downloads"


def _repository_constants() -> dict[str, Any]:
    return {
        **dict.fromkeys(ZEROS.split(), 0),
        **dict.fromkeys(OFF.split(), False),
        **dict.fromkeys(ON.split(), True),
        **dict.fromkeys(["mirror_url", "homepage", "language", "license"]),
        "topics": [],
    }


def permissions(role: str) -> dict[str, bool]:
    """What a role may do."""
    needed = {"admin": "admin", "maintain": "maintain", "push": "write", "triage": "triage"}
    return {name: reaches(role, one) for name, one in {**needed, "pull": "read"}.items()}


def full_repository(found: Repository, origins: Origins | None = None) -> dict[str, Any]:
    """A repository as GET answers it; `origins` are a fork's parent and source."""
    merges = "allow_merge_commit allow_squash_merge allow_rebase_merge"
    off = "allow_auto_merge allow_update_branch delete_branch_on_merge use_squash_pr_title_as_default"
    extra = {"network_count": 0, "subscribers_count": 0, "temp_clone_token": None}
    return {
        **repository(found),
        **extra,
        **dict.fromkeys(merges.split(), True),
        **dict.fromkeys(off.split(), False),
        **{name: repository(one) for name, one in (origins or {}).items()},
    }


def utc(date: str) -> str:
    """Git's ISO date in UTC, as GitHub writes it."""
    return datetime.fromisoformat(date).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def person(found: Person) -> dict[str, str]:
    """An author or committer inside a commit."""
    return {"name": found.name, "email": found.email, "date": utc(found.date)}


def _account_of(found: Person) -> dict[str, Any] | None:
    """The account behind a mail address, where it is one of GitHub's own."""
    name, _, domain = found.email.partition("@")
    if domain == "users.noreply.github.com":
        return account(name.partition("+")[2] or name)
    return account("web-flow") if found.email == "noreply@github.com" else None


def git_commit(where: Repository, found: Commit) -> dict[str, Any]:
    """A commit as the Git database shows it."""
    git = f"{API}/repos/{where.full_name}/git"
    parents = [
        {"sha": sha, "url": f"{git}/commits/{sha}", "html_url": _page(where, sha)}
        for sha in found.parents
    ]
    return {
        "sha": found.sha,
        "node_id": node_id("C", found.sha),
        "url": f"{git}/commits/{found.sha}",
        "html_url": _page(where, found.sha),
        "author": person(found.author),
        "committer": person(found.committer),
        "message": found.message,
        "tree": {"sha": found.tree, "url": f"{git}/trees/{found.tree}"},
        "parents": parents,
        "verification": NO_SIGNATURE,
    }


def commit(where: Repository, found: Commit) -> dict[str, Any]:
    """A commit as lists of commits show it."""
    inner = git_commit(where, found)
    api = f"{API}/repos/{where.full_name}/commits"
    kept = ("author", "committer", "message", "tree", "url", "verification")
    parents = [
        {"sha": sha, "url": f"{api}/{sha}", "html_url": _page(where, sha)} for sha in found.parents
    ]
    return {
        "sha": found.sha,
        "node_id": inner["node_id"],
        "commit": {**{key: inner[key] for key in kept}, "comment_count": 0},
        "url": f"{api}/{found.sha}",
        "html_url": inner["html_url"],
        "comments_url": f"{api}/{found.sha}/comments",
        "author": _account_of(found.author),
        "committer": _account_of(found.committer),
        "parents": parents,
    }


def _page(where: Repository, sha: str) -> str:
    return f"{WEB}/{where.full_name}/commit/{sha}"


def changed_file(where: Repository, at: str, change: Change) -> dict[str, Any]:
    """One file of a commit, a comparison or a pull request."""
    name, full = change.path, where.full_name
    shown = {
        "sha": change.sha,
        "filename": name,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{WEB}/{full}/blob/{at}/{name}",
        "raw_url": f"{WEB}/{full}/raw/{at}/{name}",
        "contents_url": f"{API}/repos/{full}/contents/{name}?ref={at}",
    }
    optional = {"patch": change.patch, "previous_filename": change.previous}
    return {**shown, **{key: value for key, value in optional.items() if value}}


def epoch(date: str) -> int:
    """Seconds since 1970 of an ISO date; empty: now."""
    return int((datetime.fromisoformat(date) if date else datetime.now(UTC)).timestamp())


def from_epoch(seconds: int) -> str:
    """The ISO date of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
