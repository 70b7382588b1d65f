"""upload_model: the model to S3, its manifest last, and word to GitHub that there is a candidate."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from flows import github, manifest, released, s3, secrets
from flows.errors import InputError
from flows.manifest import MANIFEST, File, Manifest
from flows.released import Access
from flows.storage import Address
from flows.tables import Table, convert

WORKFLOW, REF = "release-pr.yml", "main"
NOT_FACTS = ("summary", "files", "columns")


class Target(Table):
    """The repository whose release workflow is started, and the secret of the App that may."""

    repository: str
    secret: str


class Destination(Table):
    """Where a candidate goes, as the step's parameters say."""

    environment: str
    project: str
    champion: str
    champion_sha256: str
    model_store: str
    s3: Access
    github: Target


@dataclass(frozen=True)
class Uploaded:
    """What upload_model made: the manifest's address and hash, and "proposed" or "unchanged"."""

    manifest: str
    sha256: str
    state: str


def created(version: str) -> str:
    """The moment in a version: v20261121-084500-… → 2026-11-21T08:45:00Z. Raises InputError.

    A manifest has it from there, not from the clock: so a retry writes the same bytes.
    """
    try:
        return datetime.strptime(version[:16], "v%Y%m%d-%H%M%S").isoformat() + "Z"
    except ValueError:
        raise InputError(
            f"version '{version}' has no moment", "it looks like v20261121-084500-abc1234"
        ) from None


def facts(data: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest's `data`: the facts of both artifacts; what get_data says comes first."""
    return {key: value for key, value in {**training, **data}.items() if key not in NOT_FACTS}


def build(fields: Mapping[str, Any]) -> Manifest:
    """A manifest of `fields`, checked. Raises InputError that names the field."""
    made = {**fields, "schema": 1, "created": created(str(fields["version"]))}
    return convert(msgspec.to_builtins(made), Manifest, "the manifest")


def upload(candidate: Manifest, model: Path, to: Destination) -> Uploaded:
    """Write the files in `model` that `candidate` names, then its manifest; start the release workflow.

    Nothing is overwritten; a retry that finds its own bytes goes on. A candidate with the champion's
    very bytes is "unchanged", and starts nothing. Raises InputError or RetrainError.
    """
    store = released.client(to.project, to.s3)
    folder = Address.parse(to.model_store, "s3") / f"models/{candidate.flow}/{candidate.version}"
    write_files(store, folder, model, candidate.files)
    content = manifest.write(candidate)
    s3.put(store, folder / MANIFEST, content)
    state = "unchanged" if is_champion(store, to, candidate.files) else "proposed"
    done = Uploaded(str(folder / MANIFEST), hashlib.sha256(content).hexdigest(), state)
    if state == "proposed":
        notify(to, candidate.flow, done)
    return done


def write_files(store: Any, folder: Address, model: Path, files: Mapping[str, File]) -> None:
    """Write each of `files` below `folder`."""
    for name in sorted(files):
        new = s3.put(store, folder / name, model / name)
        print(f"{folder / name}: {files[name].bytes:,} bytes{'' if new else ', there already'}")


def is_champion(store: Any, to: Destination, files: dict[str, File]) -> bool:
    """Whether `files` are the champion's, byte for byte."""
    if not to.champion:
        return False
    try:
        champion = released.manifest_at(store, to.champion, to.champion_sha256)
    except manifest.ForeignError:
        return False  # whatever it is, today's code writes no such thing
    return manifest.same_files(champion, files)


def notify(to: Destination, flow: str, done: Uploaded) -> None:
    """Start the release workflow. It is idempotent: a second start changes nothing."""
    app, number = secrets.access(to.project, to.github.secret, secrets.GitHubApp)
    print(f"secret {to.github.secret}: version {number}")
    inputs = {"flow": flow, "environment": to.environment}
    inputs |= {"manifest": done.manifest, "sha256": done.sha256}
    github.start_workflow(to.github.repository, app, WORKFLOW, REF, inputs)
