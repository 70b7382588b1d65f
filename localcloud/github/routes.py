"""Every call of api.github.com that is served, with the permission that it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from localcloud.github import commits, gitdata, workflows
from localcloud.github.actions import Actions
from localcloud.github.apps import Apps
from localcloud.github.artifacts import Artifacts
from localcloud.github.attestations import Attestations
from localcloud.github.call import Call
from localcloud.github.check_runs import CheckRuns
from localcloud.github.collaborators import Collaborators
from localcloud.github.contents import Contents
from localcloud.github.forks import Forks
from localcloud.github.issues import Comments, Issues, Labels
from localcloud.github.merging import Merging
from localcloud.github.pulls import Pulls
from localcloud.github.repos import Repos
from localcloud.github.reviews import Reviews
from localcloud.github.statuses import Statuses
from localcloud.http import Response

ANY = "any"  # whoever has a token
PERSON = "person"  # a person's token only
APP = "app"  # an App's JWT, checked by the handler
TALK_READ = "issues:read|pull_requests:read"
TALK = "issues:write|pull_requests:write"

REPO = "/repos/{owner}/{repo}"
ONE_ISSUE = f"{REPO}/issues/{{number}}"
PULL = f"{REPO}/pulls/{{number}}"
RUN = f"{REPO}/actions/runs/{{id}}"
FLOW = f"{REPO}/actions/workflows/{{workflow}}"
COLLABORATOR = f"{REPO}/collaborators/{{username}}"

# What whoever reads may write, or the author of what is there, which the method looks at.
OPEN = {
    ("POST", f"{REPO}/issues"),
    ("PATCH", ONE_ISSUE),
    ("POST", f"{ONE_ISSUE}/comments"),
    ("PATCH", f"{REPO}/issues/comments/{{id}}"),
    ("DELETE", f"{REPO}/issues/comments/{{id}}"),
    ("POST", f"{REPO}/pulls"),
    ("PATCH", PULL),
    ("POST", f"{PULL}/reviews"),
}
SORTING = (f"{ONE_ISSUE}/labels", f"{PULL}/requested_reviewers")  # below these, who triages may write

Method = Callable[[Call], Response]
Entry = tuple[str, str, str, Method]


@dataclass(frozen=True)
class Areas:
    """The parts that answer the calls."""

    repos: Repos
    forks: Forks
    collaborators: Collaborators
    refs: gitdata.Refs
    contents: Contents
    issues: Issues
    comments: Comments
    labels: Labels
    pulls: Pulls
    merging: Merging
    reviews: Reviews
    statuses: Statuses
    apps: Apps
    actions: Actions
    artifacts: Artifacts
    attestations: Attestations
    checks: CheckRuns


def table(to: Areas) -> list[Entry]:
    """Method, path, permission, and who answers."""
    return [*_accounts(to), *_git(to), *_talk(to), *_pulls(to), *_actions(to)]


def role_for(verb: str, path: str, needs: str) -> str:
    """The role that a person needs for a call."""
    if not needs.endswith(":write") or (verb, path) in OPEN:
        return "read"
    if needs.startswith("administration:"):
        return "admin"
    return "triage" if path.startswith(SORTING) else "write"


class _Nobody:
    """Stands for the parts where only the table is wanted."""

    def __getattr__(self, _: str) -> "_Nobody":
        return self


def paths() -> list[tuple[str, str]]:
    """Verb and path of each call that is served."""
    return [(verb, path) for verb, path, _, _ in table(cast(Areas, _Nobody()))]


def _accounts(to: Areas) -> list[Entry]:
    return [
        ("GET", "/user", PERSON, to.repos.user),
        ("GET", "/user/repos", PERSON, to.repos.mine),
        ("POST", "/user/repos", PERSON, to.repos.create),
        ("GET", "/users/{login}", ANY, to.repos.account),
        ("GET", "/users/{owner}/repos", ANY, to.repos.of),
        ("GET", "/orgs/{org}", ANY, to.repos.organization),
        ("GET", "/orgs/{owner}/repos", ANY, to.repos.of),
        ("POST", "/orgs/{org}/repos", PERSON, to.repos.create_in),
        ("GET", "/rate_limit", ANY, to.repos.rate_limit),
        ("GET", "/app", APP, to.apps.app),
        ("GET", "/app/installations", APP, to.apps.installations),
        ("GET", "/app/installations/{id}", APP, to.apps.installation),
        ("POST", "/app/installations/{id}/access_tokens", APP, to.apps.token),
        ("GET", f"{REPO}/installation", APP, to.apps.of_repository),
        ("GET", "/installation/repositories", ANY, to.apps.seen),
        ("DELETE", "/installation/token", ANY, to.apps.revoke),
        ("GET", REPO, "metadata:read", to.repos.get),
        ("PATCH", REPO, "administration:write", to.repos.update),
        ("GET", f"{REPO}/forks", "metadata:read", to.forks.list),
        ("POST", f"{REPO}/forks", PERSON, to.forks.create),
        ("GET", f"{REPO}/collaborators", "metadata:read", to.collaborators.list),
        ("GET", COLLABORATOR, "metadata:read", to.collaborators.get),
        ("PUT", COLLABORATOR, "administration:write", to.collaborators.put),
        ("DELETE", COLLABORATOR, "administration:write", to.collaborators.remove),
    ]


def _git(to: Areas) -> list[Entry]:
    return [
        ("GET", f"{REPO}/branches", "contents:read", commits.branches),
        ("GET", f"{REPO}/branches/{{branch*}}", "contents:read", commits.branch),
        ("GET", f"{REPO}/tags", "contents:read", commits.tags),
        ("GET", f"{REPO}/commits", "contents:read", commits.commits),
        ("GET", f"{REPO}/commits/{{ref*}}/status", "statuses:read", to.statuses.combined),
        ("GET", f"{REPO}/commits/{{ref*}}/statuses", "statuses:read", to.statuses.list),
        ("GET", f"{REPO}/commits/{{ref*}}/check-runs", "checks:read", to.checks.list),
        ("GET", f"{REPO}/check-runs/{{id}}", "checks:read", to.checks.get),
        ("GET", f"{REPO}/commits/{{ref*}}", "contents:read", commits.commit),
        ("GET", f"{REPO}/statuses/{{ref*}}", "statuses:read", to.statuses.list),
        ("POST", f"{REPO}/statuses/{{sha}}", "statuses:write", to.statuses.create),
        ("GET", f"{REPO}/compare/{{basehead*}}", "contents:read", commits.compare),
        ("POST", f"{REPO}/merges", "contents:write", to.merging.merge_branch),
        ("GET", f"{REPO}/contents", "contents:read", to.contents.get),
        ("GET", f"{REPO}/contents/", "contents:read", to.contents.get),
        ("GET", f"{REPO}/contents/{{path*}}", "contents:read", to.contents.get),
        ("PUT", f"{REPO}/contents/{{path*}}", "contents:write", to.contents.put),
        ("DELETE", f"{REPO}/contents/{{path*}}", "contents:write", to.contents.delete),
        ("GET", f"{REPO}/git/ref/{{ref*}}", "contents:read", to.refs.get),
        ("GET", f"{REPO}/git/matching-refs/{{ref*}}", "contents:read", to.refs.matching),
        ("POST", f"{REPO}/git/refs", "contents:write", to.refs.create),
        ("PATCH", f"{REPO}/git/refs/{{ref*}}", "contents:write", to.refs.update),
        ("DELETE", f"{REPO}/git/refs/{{ref*}}", "contents:write", to.refs.delete),
        ("POST", f"{REPO}/git/blobs", "contents:write", gitdata.create_blob),
        ("GET", f"{REPO}/git/blobs/{{sha}}", "contents:read", gitdata.get_blob),
        ("POST", f"{REPO}/git/trees", "contents:write", gitdata.create_tree),
        ("GET", f"{REPO}/git/trees/{{sha*}}", "contents:read", gitdata.get_tree),
        ("POST", f"{REPO}/git/commits", "contents:write", gitdata.create_commit),
        ("GET", f"{REPO}/git/commits/{{sha}}", "contents:read", gitdata.get_commit),
        ("POST", f"{REPO}/git/tags", "contents:write", gitdata.create_tag),
        ("GET", f"{REPO}/git/tags/{{sha}}", "contents:read", gitdata.get_tag),
    ]


def _talk(to: Areas) -> list[Entry]:
    return [
        ("GET", f"{REPO}/issues", TALK_READ, to.issues.list),
        ("POST", f"{REPO}/issues", "issues:write", to.issues.create),
        ("GET", f"{REPO}/issues/comments/{{id}}", TALK_READ, to.comments.get),
        ("PATCH", f"{REPO}/issues/comments/{{id}}", TALK, to.comments.update),
        ("DELETE", f"{REPO}/issues/comments/{{id}}", TALK, to.comments.delete),
        ("GET", ONE_ISSUE, TALK_READ, to.issues.get),
        ("PATCH", ONE_ISSUE, TALK, to.issues.update),
        ("GET", f"{ONE_ISSUE}/comments", TALK_READ, to.comments.list),
        ("POST", f"{ONE_ISSUE}/comments", TALK, to.comments.create),
        ("GET", f"{ONE_ISSUE}/labels", TALK_READ, to.labels.of),
        ("POST", f"{ONE_ISSUE}/labels", TALK, to.labels.add),
        ("PUT", f"{ONE_ISSUE}/labels", TALK, to.labels.set),
        ("DELETE", f"{ONE_ISSUE}/labels", TALK, to.labels.clear),
        ("DELETE", f"{ONE_ISSUE}/labels/{{name}}", TALK, to.labels.remove),
        ("GET", f"{REPO}/labels", TALK_READ, to.labels.list),
        ("POST", f"{REPO}/labels", TALK, to.labels.create),
        ("GET", f"{REPO}/labels/{{name}}", TALK_READ, to.labels.get),
        ("DELETE", f"{REPO}/labels/{{name}}", TALK, to.labels.delete),
    ]


def _pulls(to: Areas) -> list[Entry]:
    read, write = "pull_requests:read", "pull_requests:write"
    return [
        ("GET", f"{REPO}/pulls", read, to.pulls.list),
        ("POST", f"{REPO}/pulls", write, to.pulls.create),
        ("GET", PULL, read, to.pulls.get),
        ("PATCH", PULL, write, to.pulls.update),
        ("GET", f"{PULL}/files", read, to.pulls.files),
        ("GET", f"{PULL}/commits", read, to.pulls.commits),
        ("GET", f"{PULL}/merge", "contents:read", to.merging.is_merged),
        ("PUT", f"{PULL}/merge", "contents:write", to.merging.merge),
        ("GET", f"{PULL}/reviews", read, to.reviews.list),
        ("POST", f"{PULL}/reviews", write, to.reviews.create),
        ("GET", f"{PULL}/reviews/{{id}}", read, to.reviews.get),
        ("PUT", f"{PULL}/reviews/{{id}}/dismissals", write, to.reviews.dismiss),
        ("GET", f"{PULL}/requested_reviewers", read, to.reviews.requested),
        ("POST", f"{PULL}/requested_reviewers", write, to.reviews.request),
        ("DELETE", f"{PULL}/requested_reviewers", write, to.reviews.unrequest),
    ]


def _actions(to: Areas) -> list[Entry]:
    read, write = "actions:read", "actions:write"
    return [
        ("GET", f"{REPO}/actions/workflows", read, workflows.list_workflows),
        ("GET", FLOW, read, workflows.get_workflow),
        ("POST", f"{FLOW}/dispatches", write, to.actions.dispatch),
        ("GET", f"{FLOW}/runs", read, to.actions.of_workflow),
        ("GET", f"{REPO}/actions/runs", read, to.actions.list),
        ("GET", RUN, read, to.actions.get),
        ("GET", f"{RUN}/jobs", read, to.actions.jobs),
        ("GET", f"{RUN}/attempts/{{attempt}}/jobs", read, to.actions.jobs_of_attempt),
        ("GET", f"{RUN}/logs", read, to.actions.logs),
        ("GET", f"{RUN}/artifacts", read, to.artifacts.of_run),
        ("GET", f"{REPO}/actions/artifacts", read, to.artifacts.list),
        ("GET", f"{REPO}/actions/artifacts/{{id}}", read, to.artifacts.get),
        ("GET", f"{REPO}/actions/artifacts/{{id}}/{{format}}", read, to.artifacts.download),
        ("POST", f"{REPO}/attestations", "attestations:write", to.attestations.create),
        ("GET", f"{REPO}/attestations/{{subject_digest}}", "attestations:read", to.attestations.list),
        ("POST", f"{RUN}/cancel", write, to.actions.cancel),
        ("POST", f"{RUN}/force-cancel", write, to.actions.cancel),
        ("POST", f"{RUN}/approve", write, to.actions.approve),
        ("POST", f"{RUN}/rerun", write, to.actions.rerun),
        ("POST", f"{RUN}/rerun-failed-jobs", write, to.actions.rerun_failed),
        ("GET", f"{REPO}/actions/jobs/{{id}}", read, to.actions.job),
        ("GET", f"{REPO}/actions/jobs/{{id}}/logs", read, to.actions.job_logs),
    ]
