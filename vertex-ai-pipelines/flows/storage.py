"""Folders in Cloud Storage and objects in S3, by address. Every transfer gives hashes and sizes."""

import functools
import hashlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from flows.errors import InputError, RetrainError
from flows.manifest import File

GONE = "an object is gone: run without the cache"
T = TypeVar("T")
R = TypeVar("R")

THREADS = 8  # transfers at the same time
MANY = 16  # of small objects: more threads than that wait for Python, no longer for the service
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


@dataclass(frozen=True)
class Address:
    """`SCHEME://BUCKET/KEY`, an object or a folder; a folder's key has no slash at its end."""

    scheme: str
    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str, scheme: str) -> "Address":
        """The address in `text`. Raises InputError where it is not one of `scheme` ("gs" or "s3")."""
        head, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        key = key.rstrip("/")
        if head != scheme or not BUCKET.fullmatch(bucket) or not _is_key(key):
            raise InputError(
                f"'{text}' is not an address", f"it looks like {scheme}://BUCKET/FOLDER/NAME"
            )
        return cls(scheme, bucket, key)

    def __truediv__(self, name: str) -> "Address":
        return Address(self.scheme, self.bucket, f"{self.key}/{name}".lstrip("/"))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")


def hash_file(path: Path) -> File:
    """The SHA-256 and the size of a file."""
    with path.open("rb") as stream:
        return File(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), bytes=path.stat().st_size)


@functools.cache
def gs_client() -> Any:
    """The process's Cloud Storage client; it needs no project: buckets are named in full."""
    from google.cloud import storage
    from requests.adapters import HTTPAdapter

    client = storage.Client(project=None)
    # Its own pool holds ten connections, and throws away each further one after a single use.
    if not client._http.is_mtls:  # whose adapter holds the client's certificate
        client._http.mount("https://", HTTPAdapter(pool_maxsize=MANY))
    return client


def upload(folder: Path, uri: str) -> dict[str, File]:
    """Put all files below `folder` under `uri`, a gs:// folder; the files by relative name.

    The client checks each transfer's checksum. Raises RetrainError where the service refuses.
    """
    from google.cloud.storage.retry import DEFAULT_RETRY

    address = Address.parse(uri, "gs")
    bucket = gs_client().bucket(address.bucket)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())

    def put(path: Path) -> tuple[str, File]:
        name = path.relative_to(folder).as_posix()
        # An artifact's folder is one execution's own: writing these bytes again changes nothing.
        bucket.blob((address / name).key).upload_from_filename(str(path), retry=DEFAULT_RETRY)
        return name, hash_file(path)

    return dict(_in_parallel(put, paths, f"upload to {address}"))


def download(uri: str, folder: Path, names: Iterable[str] | None = None) -> dict[str, File]:
    """Fetch `names`, or all that is below `uri`, a gs:// folder, into `folder`; the files by name.

    Raises InputError where there is nothing, RetrainError where one is missing or cannot be read.
    """
    address = Address.parse(uri, "gs")
    bucket = gs_client().bucket(address.bucket)
    wanted = sorted(listing(uri) if names is None else names)
    if not wanted:
        raise InputError(
            f"{address}: there is nothing below it", "was it deleted after the step before?"
        )

    def get(name: str) -> tuple[str, File]:
        path = folder / _relative(name, address)
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket.blob((address / name).key).download_to_filename(str(path))
        return name, hash_file(path)

    return dict(_in_parallel(get, wanted, f"download from {address}"))


def listing(uri: str) -> dict[str, Any]:
    """The blobs below `uri`, a gs:// folder, by relative name."""
    address = Address.parse(uri, "gs")
    prefix = f"{address.key}/" if address.key else ""
    with named(f"listing of {address}"):
        blobs = list(gs_client().list_blobs(address.bucket, prefix=prefix))
    return {blob.name.removeprefix(prefix): blob for blob in blobs if not blob.name.endswith("/")}


CACHED = "it was changed after the step that made it: run the pipeline again without its cache"


def verify(
    found: dict[str, File],
    expected: dict[str, File],
    where: str,
    promise: tuple[str, str] = ("metadata", CACHED),
) -> None:
    """That `found` are the files that were promised, by what, and the mend where they are not.

    Raises RetrainError that names the first other.
    """
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            is_, was = (_described(files.get(name)) for files in (found, expected))
            raise RetrainError(
                f"{where}/{name}: it is {is_}, but its {promise[0]} says {was}", promise[1]
            )


def _described(file: File | None) -> str:
    return f"{file.bytes} bytes with SHA-256 {file.sha256}" if file else "absent"


def _is_key(key: str) -> bool:
    parts = key.split("/")
    return not key or (key.isprintable() and not {"", ".", ".."} & set(parts) and len(key) <= 1024)


def _relative(name: str, address: Address) -> PurePosixPath:
    if not name or not _is_key(name):
        raise InputError(f"{address}: '{name}' is not a file's name below it")
    return PurePosixPath(name)


def _in_parallel(do: Callable[[T], R], items: Iterable[T], what: str) -> list[R]:
    with ThreadPoolExecutor(THREADS) as pool, named(what):
        return list(pool.map(do, items))


class named:  # noqa: N801
    """Gives the service's errors the name of what was tried, and of the object where it says it.

    But for those of the kind `passing`, which the caller answers itself.
    """

    def __init__(self, what: str, passing: type[Exception] | None = None) -> None:
        self._what, self._passing = what, passing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound

        if self._passing and isinstance(error, self._passing):
            return
        if isinstance(error, NotFound):
            bucket = "bucket does not exist" in str(error.message)
            mend = "make the bucket, or mend pipeline_root in settings.toml" if bucket else GONE
            raise RetrainError(f"{self._what}: {error.message}", mend) from None
        if isinstance(error, Forbidden):
            mend = "grant that account roles/storage.objectUser on the bucket"
            raise RetrainError(f"{self._what}: {error.message}", mend) from None
        if isinstance(error, GoogleAPICallError):
            raise RetrainError(f"{self._what}: {error.message}") from None
