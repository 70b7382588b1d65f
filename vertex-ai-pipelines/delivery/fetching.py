"""A released model from S3, checked file by file. The standard library and boto3 alone."""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flows.errors import InputError, RetrainError

MANIFEST = "manifest.json"
SMALL = 1 << 20  # bytes: manifests and channels are smaller
BLOCK = 1 << 20
ADDRESS = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<folder>models/(?P<flow>[^/]+)/(?P<version>[^/]+))/")
SHA256 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CHANGED = "the object was changed after the release: restore it, or release another version"


class Released(NamedTuple):
    """A model version by its manifest: its address in S3, and the hash of its bytes."""

    version: str
    manifest: str
    sha256: str

    @classmethod
    def of(cls, table: object, where: str) -> "Released":
        """What a channel or a release says. Raises InputError where it does not."""
        found = table if isinstance(table, dict) else {}
        one = cls(*(str(found.get(key, "")) for key in cls._fields))
        place = ADDRESS.fullmatch(one.manifest.removesuffix(MANIFEST))
        if not place or place["version"] != one.version or not SHA256.fullmatch(one.sha256):
            raise InputError(f"{where}: it names no version with manifest and sha256", CHANGED)
        return one

    @property
    def bucket(self) -> str:
        """Where it is."""
        place = ADDRESS.match(self.manifest)
        assert place
        return place["bucket"]


def fetch(client: Any, released: Released, folder: Path) -> bool:
    """The model's files and its manifest, in `folder`; False where exactly they are there already.

    The folder comes about at once, with all of them, each one checked. Raises InputError where
    something else is there, RetrainError where the model is not whole.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(folder) as scratch:
        if folder.exists():
            _check_there(folder, released)
            return False
        place = ADDRESS.match(released.manifest)
        assert place
        for name, expected in _manifest(client, released, scratch).items():
            key = f"{place['folder']}/{name}"
            _download(client, (place["bucket"], key), scratch / name, expected)
        scratch.rename(folder)
        return True


def small(client: Any, bucket: str, key: str) -> bytes:
    """A small object. Raises InputError where there is none, RetrainError where S3 refuses."""
    with _named(f"s3://{bucket}/{key}"):
        data: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read(SMALL + 1)
    if len(data) > SMALL:
        raise RetrainError(f"s3://{bucket}/{key}: it is larger than {SMALL} bytes", CHANGED)
    return data


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder`, this process's alone; what a killed one left is used again."""
    scratch = folder.parent / f".{folder.name}.part"
    while True:
        scratch.mkdir(exist_ok=True)
        lock = os.open(scratch, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if scratch.exists() and os.path.samestat(os.fstat(lock), scratch.stat()):
            break
        os.close(lock)  # who had it has made it the model's folder
    try:
        for left in scratch.iterdir():
            left.unlink()
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def _manifest(client: Any, released: Released, folder: Path) -> Mapping[str, Any]:
    """The manifest's files by name; the manifest itself is in the folder then."""
    place = ADDRESS.match(released.manifest)
    assert place
    data = small(client, place["bucket"], f"{place['folder']}/{MANIFEST}")
    found = hashlib.sha256(data).hexdigest()
    if found != released.sha256:
        raise RetrainError(f"{released.manifest}: its hash is {found}, not {released.sha256}", CHANGED)
    (folder / MANIFEST).write_bytes(data)
    return _files(data, released, place["flow"])


def _files(data: bytes, released: Released, flow: str) -> Mapping[str, Any]:
    """What a manifest, whose hash is right, lists."""
    manifest = json.loads(data)
    known = {"schema": 1, "flow": flow, "version": released.version}
    for key, expected in known.items():
        if manifest.get(key) != expected:
            what = f"{released.manifest}: {key} = {manifest.get(key)!r}, expected {expected!r}"
            raise RetrainError(what, "use the code of the release's time, or release another version")
    files: Mapping[str, Any] = manifest["files"]
    for name in files:
        if not NAME.fullmatch(name) or name == MANIFEST:
            raise RetrainError(f"{released.manifest}: '{name}' is no name of a model's file", CHANGED)
    return files


def _download(client: Any, place: tuple[str, str], path: Path, expected: Mapping[str, Any]) -> None:
    bucket, key = place
    with path.open("wb") as file, _named(f"s3://{bucket}/{key}"):
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        found = _digest(body.iter_chunks(BLOCK), expected["bytes"], file.write)
    if found != expected["sha256"]:
        raise RetrainError(f"s3://{bucket}/{key}: it is not the file that was released", CHANGED)


def _digest(blocks: Iterator[bytes], limit: int, each: Callable[[bytes], object]) -> str:
    """The SHA-256 of `blocks`; what is longer than `limit` bytes is read no further."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        each(block)
        size += len(block)
        if size > limit:
            break
    return digest.hexdigest()


def _check_there(folder: Path, released: Released) -> None:
    """That `folder` holds exactly the model. Raises InputError."""
    other = InputError(
        f"{folder}: it is there already, and is not {released.version}", "name a new folder"
    )
    try:
        data = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(data).hexdigest() != released.sha256:
            raise other
        files = json.loads(data)["files"]
        if {path.name for path in folder.iterdir()} != {*files, MANIFEST}:
            raise other
        for name, expected in files.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected["sha256"]:
                    raise other
    except OSError:
        raise other from None


@contextmanager
def _named(address: str) -> Iterator[None]:
    """S3's errors with the object's name."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404"):
            raise InputError(f"{address}: there is no such object", "nothing is released so") from None
        mend = "allow this caller s3:GetObject on it; a missing object may look so too"
        raise RetrainError(f"{address}: S3 refuses: {error}", mend) from None
    except BotoCoreError as error:
        mend = "are the credentials and the region right, and is S3 reachable?"
        raise RetrainError(f"{address}: {error}", mend) from None
