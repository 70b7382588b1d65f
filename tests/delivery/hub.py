"""A GitHub of the test's own, with the repository's one file, people, and the release App's rights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from github import Auth, Github, GithubException, UnknownObjectException

from delivery.access import RIGHTS
from flows.github import CLIENT
from localcloud.github import GitHub
from tests.localcloud.served import new_cloud, serve

NAME = "acme/models"
PATH = "releases/local/recommender.toml"
JOB = {"actions": "write", "contents": "read", "issues": "write", "pull_requests": "write"}
BRANCH = "release/local/recommender"


class Hub:
    """`app` is the repository as the release App sees it, `person` as a maintainer does, `job` as a
    workflow's job may have it.
    """

    def __init__(self, server: GitHub, address: str) -> None:
        self.server = server
        token = server.tokens.installation("retrain-release", {"metadata": "read", **RIGHTS}, [NAME])
        self.app = _repository(address, token, lazy=True)
        granted = server.tokens.installation("github-actions", {"metadata": "read", **JOB}, [NAME])
        self.job = _repository(address, granted, lazy=True)
        self.person = _repository(address, server.person_token("maintainer", "acme"), lazy=False)

    def main(self, text: str | None, note: str = "a note") -> None:
        """A commit on main: the release file says `text`; a file beside it changes too."""
        self._write("main", "README.md", note)
        if text is not None:
            self._write("main", PATH, text)

    def text(self, ref: str, path: str = PATH) -> str | None:
        """A file at a branch or commit; None where it is not there."""
        try:
            return str(self.person.get_contents(path, ref=ref).decoded_content.decode())
        except UnknownObjectException:
            return None

    def head(self, branch: str = BRANCH) -> str:
        return str(self.person.get_git_ref(f"heads/{branch}").object.sha)

    def pulls(self, state: str = "open") -> list[Any]:
        return list(self.person.get_pulls(state=state))

    def changed(self) -> list[str]:
        """The files that the release branch changes against main."""
        return [file.filename for file in self.person.compare("main", BRANCH).files]

    def issues(self, state: str = "open") -> list[Any]:
        """The issues, the oldest first."""
        found = self.person.get_issues(state=state, direction="asc")
        return [one for one in found if one.pull_request is None]

    def _write(self, branch: str, path: str, text: str) -> None:
        try:
            old = self.person.get_contents(path, ref=branch)
        except GithubException:
            self.person.create_file(path, f"Write {path}", text, branch=branch)
        else:
            self.person.update_file(path, f"Change {path}", text, old.sha, branch=branch)


@contextmanager
def hub(folder: Path) -> Iterator[Hub]:
    """A new GitHub with the repository, whose main has one commit."""
    server = GitHub(new_cloud(folder), lambda run: {})
    server.ensure(*NAME.split("/"))
    with serve(server.services[0], "api.github.com") as address:
        found = Hub(server, address)
        found.main(None)
        yield found
    server.close()


def _repository(address: str, token: str, lazy: bool) -> Any:
    # flows.github's client is lazy, which moves some errors to where an answer is used.
    client = Github(base_url=address, auth=Auth.Token(token), lazy=lazy, **CLIENT)
    return client.get_repo(NAME)
