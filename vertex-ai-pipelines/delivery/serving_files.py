"""gs://SERVING_BUCKET/models/FLOW/VERSION/: a released model's files, streamed there from S3, once."""

import hashlib
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from delivery.releases import Model
from delivery.settings import Environment
from flows import manifest as manifests
from flows import s3, storage
from flows.errors import RetrainError
from flows.manifest import MANIFEST, File, Manifest
from flows.storage import Address

HASH = "sha256"  # the key of an object's own metadata that has its hash
CHUNK = 8 << 20  # bytes of one request
THREADS = 4  # files at a time: each holds a chunk in memory
SCHEMA = "schemas/metrics-1.yaml"  # below the bucket: what describes every version's metrics
METRICS = b"""title: metrics
type: object
additionalProperties:
  type: number
"""


class ServingFiles:
    """One environment's serving bucket."""

    def __init__(self, environment: Environment) -> None:
        self._root = Address.parse(environment.serving_bucket, "gs")

    def folder(self, flow: str, version: str) -> Address:
        """Where a version's files are."""
        return self._root / f"models/{flow}/{version}"

    @property
    def schema(self) -> str:
        """The address of the metrics' schema."""
        return str(self._root / SCHEMA)

    def lacking(self, manifest: Manifest, model: Model) -> list[str]:
        """The names of the files that are not there yet. Raises RetrainError where one is another.

        An object's hash stands beside it since it was made: it is made whole and checked, or not at all.
        """
        folder = self.folder(manifest.flow, manifest.version)
        there = storage.listing(str(folder))
        wanted = {**manifest.files, MANIFEST: File(sha256=model.sha256, bytes=0)}
        for name, file in wanted.items():
            blob = there.get(name)
            if blob and (blob.metadata or {}).get(HASH) != file.sha256:
                raise RetrainError(
                    f"{folder / name}: it is not the file of {model.version}; nothing is overwritten",
                    f"who put it there? Delete {folder}, then deploy again",
                )
        return [name for name in wanted if name not in there]

    def copy(self, store: Any, manifest: Manifest, model: Model) -> None:
        """Bring what is lacking from S3, several files at a time, the manifest last.

        `store` is a client of S3 that may read the models.
        Raises RetrainError where a file is not what the manifest says: then it is not made.
        """
        lacking = self.lacking(manifest, model)
        source = Address.parse(model.manifest.rpartition("/")[0], "s3")
        folder = self.folder(manifest.flow, manifest.version)
        files = {name: manifest.files[name] for name in lacking if name != MANIFEST}
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(partial(self._stream, store, source, folder), *_pairs(files)))
        if MANIFEST in lacking:
            data = s3.get(store, source / MANIFEST, manifests.LIMIT)
            self._put(folder / MANIFEST, io.BytesIO(data), File(sha256=model.sha256, bytes=len(data)))

    def describe_metrics(self) -> None:
        """Write the metrics' schema, where it is not there."""
        file = File(sha256=hashlib.sha256(METRICS).hexdigest(), bytes=len(METRICS))
        self._put(self._root / SCHEMA, io.BytesIO(METRICS), file)

    def _stream(self, store: Any, source: Address, folder: Address, name: str, file: File) -> None:
        with s3.opened(store, source / name) as body:
            self._put(folder / name, _Checked(body, file, str(source / name)), file)

    def _put(self, address: Address, stream: Any, file: File) -> None:
        """Make an object where there is none; one with the same hash is from an earlier attempt."""
        from google.api_core.exceptions import PreconditionFailed
        from google.cloud.storage.retry import DEFAULT_RETRY

        blob = storage.gs_client().bucket(address.bucket).blob(address.key, chunk_size=CHUNK)
        blob.metadata = {HASH: file.sha256}
        try:
            with storage.named(f"copy to {address}", passing=PreconditionFailed):
                blob.upload_from_file(
                    stream, size=file.bytes, if_generation_match=0, retry=DEFAULT_RETRY
                )
        except PreconditionFailed:
            blob.reload()
            if (blob.metadata or {}).get(HASH) != file.sha256:
                raise RetrainError(f"{address}: another file is there already") from None


class _Checked(io.RawIOBase):
    """A stream that gives its last byte only where all of them are what was expected."""

    def __init__(self, body: Any, expected: File, where: str) -> None:
        self._body, self._expected, self._where = body, expected, where
        self._hash, self._size = hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        left = self._expected.bytes - self._size
        wanted = left if size < 0 else min(size, left)
        data = bytes(self._body.read(wanted)) if wanted else b""
        self._hash.update(data)
        self._size += len(data)
        if len(data) < wanted or (self._size == self._expected.bytes and self._is_other()):
            raise RetrainError(
                f"{self._where}: it is not the file with SHA-256 {self._expected.sha256}",
                "it was changed after its release: restore it, or train again",
            )
        return data

    def tell(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def _is_other(self) -> bool:
        return bool(self._body.read(1)) or self._hash.hexdigest() != self._expected.sha256


def _pairs(files: Mapping[str, File]) -> tuple[list[str], list[File]]:
    return list(files), list(files.values())
