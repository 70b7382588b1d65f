"""Searches what a local cloud leaves behind for the values of secrets."""

import json
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.clone import Clone

# The services' own stores of secrets, which only they read.
STORES = {"cloud.sqlite", "cloud.sqlite-wal", "cloud.sqlite-shm", "owner.json", "authority-key.pem"}
SHORTEST = 16  # characters: shorter strings are names and numbers
TOKENS = r"gh[ps]_[A-Za-z0-9]{20,}|ya29\.[A-Za-z0-9_-]{20,}|eyJhbGciOi[A-Za-z0-9_-]{20,}\.eyJ"
PAYLOADS = """
from google.cloud import secretmanager
manager = secretmanager.SecretManagerServiceClient()
names = [secret.name for secret in manager.list_secrets(parent="projects/retrain-local")]
answer = {
    name: manager.access_secret_version(name=f"{name}/versions/latest").payload.data.decode()
    for name in names
}
"""
PERSONAL = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN")


def values(clone: Clone) -> set[str]:
    """Every secret's values, PEM lines and key ids among them, and the owner's own."""
    environment = clone.environment().set
    payloads = clone.program(PAYLOADS).values()
    keys = [Path(environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text(), *payloads]
    texts = [str(value) for key in keys for value in json.loads(key).values()]
    public = {"https://oauth2.googleapis.com/token"}
    texts = [text for text in texts if not text.endswith(".iam.gserviceaccount.com")]
    texts += [environment[name] for name in PERSONAL]
    texts.append((clone.cloud.root / "authority-key.pem").read_text())
    return set(lines(texts)) - public - {environment["GOOGLE_CLOUD_PROJECT"]}


def lines(texts: Iterable[str]) -> list[str]:
    """The lines that are secret, as they would stand in a log."""
    found = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in found if len(line) >= SHORTEST and not line.startswith("-----")]


def places(root: Path, secret: Iterable[str]) -> list[str]:
    """The files below `root`, and the git repositories, that hold a token or one of `secret`."""
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known"
        known.write_text("\n".join(secret) + "\n")
        patterns = [("-F", "-f", str(known)), ("-E", "-e", TOKENS)]
        hits = [hit for pattern in patterns for hit in _in_files(root, pattern)]
        for repository in sorted({found.parents[1] for found in root.rglob("objects/pack")}):
            hits += [str(repository) for pattern in patterns if _in_objects(repository, pattern)]
    return sorted(set(hits))


def _in_files(root: Path, pattern: tuple[str, ...]) -> list[str]:
    """Links are not followed: packages lie behind them."""
    done = subprocess.run(
        ["grep", "-r", "-a", "-l", *pattern, str(root)], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return [name for name in done.stdout.splitlines() if Path(name).name not in STORES]


def _in_objects(repository: Path, pattern: tuple[str, ...]) -> bool:
    """git packs its objects: their contents are listed, all of them, reachable or not."""
    listed = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects", "--unordered"],
        env={"GIT_DIR": str(repository), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    done = subprocess.run(["grep", "-a", "-q", *pattern], input=listed.stdout, check=False)
    assert done.returncode in (0, 1)
    return done.returncode == 0
