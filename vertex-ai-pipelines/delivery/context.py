"""The build context: the tree's files that the Dockerfile may copy, and no secret among them."""

import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from delivery.dockerfile import DOCKERFILE, Copy, on, recipe
from delivery.lock import read
from flows.errors import InputError

IGNORE = ".dockerignore"
FOLDERS = {".git", ".ssh", ".aws", ".azure", ".gnupg", ".gcloud", ".kube", ".docker", ".local", ".venv"}
NAMES = (
    *(
        ".env",
        ".env.*",
        ".netrc",
        "_netrc",
        ".pypirc",
        ".pgpass",
        ".secrets",
        ".git",
        ".git-credentials",
    ),
    *(
        "id_rsa*",
        "id_dsa*",
        "id_ecdsa*",
        "id_ed25519*",
        "*.key",
        "*.p12",
        "*.pfx",
        "*.jks",
        "*.keystore",
    ),
    *("kubeconfig", "credentials", "credentials.json", "client_secret*.json", "gha-creds-*.json"),
    *("application_default_credentials.json", "service[-_]account*.json", "terraform.tfstate*"),
)
FORMS = {
    "a private key": rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "an AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{80})",
    "a Google key": rb"\bAIza[0-9A-Za-z_-]{35}\b|\bya29\.[0-9A-Za-z_-]{20}",
}


def files(root: Path) -> dict[str, Path]:
    """Image path → file, exactly as the Dockerfile copies and .dockerignore lets through.

    Raises InputError for a COPY that copies nothing, as a container engine would, and for a secret.
    """
    found = dict[str, Path]()
    for copy in recipe(root).copies:
        found |= {str(copy.place(path)): root / path for path in _copied(root, copy)}
    return found


def earlier(root: Path) -> list[Path]:
    """What the stages below the last one copy, relative to `root`. Raises InputError as `files` does."""
    return sorted({path for copy in recipe(root).earlier for path in _copied(root, copy)})


def write(root: Path, folder: Path, base: str = "") -> None:
    """The stages' context and the Dockerfile in `folder`, with modes that no umask has changed.

    `base` stands in the Dockerfile for its own.
    """
    for path in (Path(DOCKERFILE), *earlier(root)):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, place)
        place.chmod(0o644)
    if base:
        (folder / DOCKERFILE).write_text(on(root, base))
    for place in folder.rglob("*"):
        if place.is_dir():
            place.chmod(0o755)


def refuse_secrets(root: Path) -> None:
    """Raises InputError that names the first secret which the Dockerfile copies, or has itself."""
    files(root)
    earlier(root)
    _refuse_forms(DOCKERFILE, read(root, DOCKERFILE), "take it out, and revoke it")


def _copied(root: Path, copy: Copy) -> Iterator[Path]:
    """The files that are let through and copied, relative to `root`."""
    placed = [path for path in sorted(_kept(root)) if copy.place(path)]
    if not placed:
        raise InputError(
            f"{DOCKERFILE}: '{copy}' copies nothing",
            f"name a file or folder that is there and that {IGNORE} lets through; no patterns",
        )
    for path in placed:
        _refuse(root, path, copy)
        yield path


def _refuse(root: Path, path: Path, copy: Copy) -> None:
    """Raises InputError where a copied file is a secret by its name or by what it holds, or no file."""
    for place in (path, *path.parents):
        if (root / place).is_symlink() and place.name:
            raise InputError(
                f"{DOCKERFILE}: '{copy}' copies {path}: {place} is a symbolic link",
                f"put the file itself there, or name it in {IGNORE}: a link's end is not looked at",
            )
    mend = f"copy less, or name it in {IGNORE}; who has the image has it"
    parts = FOLDERS & set(path.parts)
    if parts or any(fnmatch(path.name.lower(), name) for name in NAMES):
        what = f"a file of {parts.pop()}" if parts else "a secret by its name"
        raise InputError(f"{DOCKERFILE}: '{copy}' copies {path}: {what}", mend)
    _refuse_forms(f"{DOCKERFILE}: '{copy}' copies {path}", (root / path).read_bytes(), mend)


def _refuse_forms(where: str, data: bytes, mend: str) -> None:
    for what, form in FORMS.items():
        if re.search(form, data):
            raise InputError(f"{where}: it holds {what}", mend)


def _kept(root: Path) -> set[Path]:
    """What .dockerignore lets through, as Docker reads it, relative to `root`."""
    from docker.utils.build import exclude_paths

    lines = read(root, IGNORE).decode().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = {Path(path) for path in exclude_paths(str(root), patterns)}
    kept = {path for path in found if (root / path).is_file() or (root / path).is_symlink()}
    return {path for path in kept if path.name not in (DOCKERFILE, IGNORE)}
