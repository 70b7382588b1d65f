"""The environment's model store, as a release reads it: a manifest, and the files that it names."""

import sys
from collections.abc import Sequence
from typing import Protocol

from delivery.candidate import Candidate
from delivery.releases import Entry
from flows import manifest as manifests
from flows.errors import RetrainError
from flows.manifest import File, Manifest

AGAIN = "train again: a version is never changed once it is made"


class Objects(Protocol):
    """One bucket's objects. Each method raises RetrainError where the object cannot be read."""

    def read(self, key: str, limit: int) -> bytes: ...

    def describe(self, key: str) -> File: ...


class ModelStore:
    """Manifests that are what was claimed, and models that are what their manifests say."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def manifest(self, candidate: Candidate, origins: Sequence[str] = ()) -> Manifest:
        """The candidate's manifest; it may be of one of the environments `origins`, too.

        Raises RetrainError where it is not what the candidate claims.
        """
        found = self._read(candidate.key, candidate.sha256, candidate.manifest)
        for field in ("flow", "version", "environment"):
            more = origins if field == "environment" else ()
            if getattr(found, field) not in (getattr(candidate, field), *more):
                raise RetrainError(
                    f"{candidate.manifest}: its {field} is '{getattr(found, field)}',"
                    f" expected '{getattr(candidate, field)}'",
                    AGAIN,
                )
        if not found.verdict.passed:
            raise RetrainError(
                f"{candidate.manifest}: the gate refused this model", "train a better one"
            )
        return found

    def check_files(self, candidate: Candidate, manifest: Manifest) -> None:
        """That each file is there, whole. Raises RetrainError that names the first one that is not."""
        for name, expected in manifest.files.items():
            found = self._objects.describe(candidate.folder + name)
            if found != expected:
                raise RetrainError(
                    f"s3://…/{candidate.folder}{name}: {found.bytes:,} bytes with hash {found.sha256},"
                    f" expected {expected.bytes:,} bytes with hash {expected.sha256}",
                    f"the file was changed after the upload: {AGAIN}",
                )

    def released(self, entry: Entry) -> Manifest | None:
        """A released model's manifest; None, and a line that says why, where it cannot be read."""
        try:
            return self._read(entry.manifest.split("/", 3)[3], entry.sha256, entry.manifest)
        except RetrainError as error:
            print(f"released model {entry.version}: {error}", file=sys.stderr)
            return None

    def _read(self, key: str, sha256: str, where: str) -> Manifest:
        try:
            return manifests.read(self._objects.read(key, manifests.LIMIT), sha256, where)
        except RetrainError as error:
            # What is in the bucket is not the caller's input: exit code 1.
            raise RetrainError(error.what, error.mend) from None
