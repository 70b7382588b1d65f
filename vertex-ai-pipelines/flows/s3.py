"""The model store: objects in S3 that are written once, never overwritten, and checked when read."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.errors import InputError, RetrainError
from flows.manifest import File
from flows.storage import Address, hash_file

SINGLE = 5 << 30  # bytes: the largest object that one PutObject takes
PART = 256 << 20  # bytes a part of a larger one
PARTS = 10_000  # as many as S3 takes
BLOCK = 1 << 20
CONFLICTS = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
# Without s3:ListBucket, S3 says 403 for a key that is not there.
ABSENT = ("NoSuchKey", "404", "NotFound")
ATTEMPTS = 3
KEY = "put a key that is good into the secret, as a new version"
DENIED = "check the policy of that user or role; a missing object may look so too"
MENDS = {
    "AccessDenied": DENIED,
    "403": DENIED,
    "NoSuchBucket": "make the bucket, or mend model_store in settings.toml",
    "InvalidAccessKeyId": KEY,
    "SignatureDoesNotMatch": KEY,
    "ExpiredToken": "the role's keys live for an hour: run the step again",
}


def s3_client(region: str, keys: Mapping[str, str] | None) -> Any:
    """An S3 client with `keys` (aws_access_key_id, …), or with what boto3 finds where there are none."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "max_attempts": 4}, connect_timeout=10, read_timeout=60)
    return boto3.client("s3", region_name=region, config=config, **dict(keys or {}))


def get(client: Any, address: Address, limit: int) -> bytes:
    """An object of at most `limit` bytes. Raises InputError where it is larger or not there."""
    with _named(address):
        body = client.get_object(Bucket=address.bucket, Key=address.key)["Body"]
        data: bytes = body.read(limit + 1)
    if len(data) > limit:
        raise InputError(f"{address}: it is larger than {limit} bytes", "that is not what is kept there")
    return data


def download(client: Any, address: Address, path: Path, expected: File) -> None:
    """Fetch an object to `path`. Raises RetrainError where it is not, byte for byte, `expected`."""
    with path.open("wb") as file, _named(address):
        found = _stream(client, address, file.write)
    if found != expected:
        raise RetrainError(
            f"{address}: it is {found.bytes} bytes with SHA-256 {found.sha256}, "
            f"expected {expected.bytes} bytes with {expected.sha256}",
            "the object was changed after its release: restore it, or train again",
        )


@contextmanager
def opened(client: Any, address: Address) -> Iterator[Any]:
    """An object's bytes as a stream with `read`. Raises RetrainError, while it is read, too."""
    with _named(address):
        yield client.get_object(Bucket=address.bucket, Key=address.key)["Body"]


def find(client: Any, address: Address, limit: int) -> tuple[bytes, str] | None:
    """An object's bytes and the tag of this state; None where it is not there, or S3 does not say."""
    from botocore.exceptions import ClientError

    try:
        with _named(address, passing=(*ABSENT, "AccessDenied", "403")):
            found = client.get_object(Bucket=address.bucket, Key=address.key)
            return bytes(found["Body"].read(limit)), str(found["ETag"])
    except ClientError:
        return None


def swap(client: Any, address: Address, data: bytes, tag: str | None) -> bool:
    """Whether `data` has replaced the state with that tag, or nothing where no tag is given."""
    from botocore.exceptions import ClientError

    condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
    where = {"Bucket": address.bucket, "Key": address.key}
    try:
        with _named(address, passing=(*CONFLICTS, *ABSENT)):
            client.put_object(**where, Body=data, ContentType="application/json", **condition)
    except ClientError:
        return False
    return True


def digest(client: Any, address: Address) -> File:
    """The SHA-256 and the size of an object, read as a stream."""
    return _stream(client, address, lambda _: None)


def put(client: Any, address: Address, source: Path | bytes) -> bool:
    """Write an object where there is none; False where these very bytes are there already.

    Raises RetrainError where other bytes are there: nothing is overwritten. S3 checks the SHA-256.
    """
    from botocore.exceptions import ClientError

    file = _hash(source)
    for attempt in range(ATTEMPTS):
        try:
            with _named(address, passing=CONFLICTS):
                _write(client, address, source, file)
            return True
        except ClientError:
            there = _present(client, address)
        if there is not None:
            return _same(address, there, file)
        time.sleep(0.2 * 2**attempt)  # 409: another writer was at it, and has not ended
    raise RetrainError(f"{address}: another writer keeps it busy", "run the step again")


def _same(address: Address, there: File, file: File) -> bool:
    if there != file:
        raise RetrainError(
            f"{address}: other bytes are there already (SHA-256 {there.sha256}, ours {file.sha256}); "
            "nothing is overwritten",
            "a version is written once: train again to make a new one",
        )
    return False


def _present(client: Any, address: Address) -> File | None:
    from botocore.exceptions import ClientError

    try:
        with _named(address, passing=ABSENT):
            return digest(client, address)
    except ClientError:
        return None


def _write(client: Any, address: Address, source: Path | bytes, file: File) -> None:
    if isinstance(source, Path) and file.bytes > SINGLE:
        return _write_parts(client, address, source, file.bytes)
    where = {"Bucket": address.bucket, "Key": address.key, "IfNoneMatch": "*"}
    checksum = base64.b64encode(bytes.fromhex(file.sha256)).decode()
    if isinstance(source, bytes):
        client.put_object(**where, Body=source, ChecksumSHA256=checksum)
        return None
    with source.open("rb") as stream:
        client.put_object(**where, Body=stream, ChecksumSHA256=checksum)
    return None


def _write_parts(client: Any, address: Address, path: Path, size: int) -> None:
    where = {"Bucket": address.bucket, "Key": address.key}
    upload = {
        **where,
        "UploadId": client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"],
    }
    try:
        parts = [_part(client, upload, number, data) for number, data in _blocks(path, size)]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except BaseException:
        client.abort_multipart_upload(**upload)
        raise


def _part(client: Any, upload: dict[str, str], number: int, data: bytes) -> dict[str, Any]:
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    done = client.upload_part(**upload, PartNumber=number, Body=data, ChecksumSHA256=checksum)
    return {"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": checksum}


def _blocks(path: Path, size: int) -> Iterator[tuple[int, bytes]]:
    length = max(PART, -(-size // PARTS))
    with path.open("rb") as stream:
        number = 0
        while data := stream.read(length):
            number += 1
            yield number, data


def _hash(source: Path | bytes) -> File:
    if isinstance(source, bytes):
        return File(sha256=hashlib.sha256(source).hexdigest(), bytes=len(source))
    return hash_file(source)


def _stream(client: Any, address: Address, each: Callable[[bytes], object]) -> File:
    digest, size = hashlib.sha256(), 0
    with _named(address, passing=ABSENT):
        body = client.get_object(Bucket=address.bucket, Key=address.key)["Body"]
        for block in body.iter_chunks(BLOCK):
            digest.update(block)
            each(block)
            size += len(block)
    return File(sha256=digest.hexdigest(), bytes=size)


@contextmanager
def _named(address: Address, passing: tuple[str, ...] = ()) -> Iterator[None]:
    """S3's errors with the object's name, but for those codes that the caller answers itself."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in passing:
            raise
        raise _explained(address, code, str(error)) from None
    except NoCredentialsError:
        mend = "in a workflow, grant the job `id-token: write`; elsewhere, aws sso login"
        raise RetrainError(f"{address}: there are no AWS credentials here", mend) from None
    except BotoCoreError as error:
        raise RetrainError(
            f"{address}: {error}", "is the region right, and S3 reachable from here?"
        ) from None


def _explained(address: Address, code: str, message: str) -> RetrainError:
    if code in ABSENT:
        return InputError(f"{address}: there is no such object", "was it deleted, or never written?")
    return RetrainError(f"{address}: S3 refuses: {message}", MENDS.get(code, ""))
