"""main's present head on GitHub: what a roll-out makes true, whatever commit has started it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery import declared, git, settings
from delivery.declared import Declared
from delivery.settings import Settings
from flows import config
from flows.errors import InputError, RetrainError

BRANCH = "main"
NOT_YET = f"couldn't find remote ref {BRANCH}"  # git says, where nothing was pushed


class Head:
    """A folder with the files of main's head, as it was when it was asked for last."""

    def __init__(self, repository: str, root: Path) -> None:
        self._repository, self.root, self._commit = repository, root, ""

    @property
    def settings(self) -> Settings:
        """Its settings.toml."""
        return settings.load(self.root / "settings.toml")

    @property
    def flows(self) -> Path:
        """Its flows' folder."""
        return self.root / "vertex-ai-pipelines" / "flows"

    def fetch(self) -> None:
        """Bring the folder to the head as it is now. Raises RetrainError."""
        url = f"https://github.com/{self._repository}.git"
        self._git("fetch", "--quiet", "--depth=1", "--no-tags", "--no-auto-gc", url, BRANCH)
        commit = (self.root / ".git" / "FETCH_HEAD").read_text().split()[0]
        if commit != self._commit:
            self._git("reset", "--quiet", "--hard", commit)
            self._commit = commit

    def has(self, name: str) -> bool:
        """Whether it has a file of that name, whatever is in it."""
        return os.path.lexists(self.root / name)

    def declared(self, name: str) -> Declared:
        """What the file `name` of releases/ declares. Raises InputError as `declared.read` does."""
        return declared.read(self.root, name, self.settings, config.names(self.flows))

    def all(self, environment: str | None, flow: str | None) -> tuple[list[Declared], list[InputError]]:
        """What is declared, and what is wrong with those files that declare nothing."""
        good, wrong = list[Declared](), list[InputError]()
        for name in declared.files(self.root, environment):
            if flow is None or Path(name).stem == flow:
                try:
                    good.append(self.declared(name))
                except InputError as error:
                    wrong.append(error)
        return good, wrong

    def _git(self, *arguments: str) -> None:
        token = os.environ.get("GITHUB_TOKEN")
        shown = git.credentials(token) if token else {}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **shown},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode and NOT_YET in done.stderr:
            raise InputError(
                f"{self._repository} has no branch '{BRANCH}'",
                f"push a commit to {BRANCH}; ./scripts/run does it on a laptop",
            )
        if done.returncode:
            raise RetrainError(
                f"{BRANCH} of {self._repository} cannot be read: {done.stderr.strip()[-300:]}",
                "put a token that may read the repository into GITHUB_TOKEN, or mend settings.toml",
            )


@contextmanager
def checked_out(repository: str) -> Iterator[Head]:
    """main's head in a folder, for a while; GITHUB_TOKEN is shown to GitHub where there is one."""
    with tempfile.TemporaryDirectory(prefix="retrain-main-") as folder:
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        head = Head(repository, Path(folder))
        head.fetch()
        yield head
