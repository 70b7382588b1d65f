import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from flows import s3
from flows.errors import InputError, RetrainError
from flows.storage import Address, hash_file

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
PLACE = Address("s3", "store", "models/f/v/model")


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in [
        name for name in os.environ if name.upper().endswith("_PROXY") or name.startswith("AWS_")
    ]:
        monkeypatch.delenv(name)
    with mock_aws():
        made = s3.s3_client("eu-west-1", KEYS)
        made.create_bucket(Bucket="store", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield made


def test_written_once_and_a_retry_goes_on(client: Any, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"weights")
    assert s3.put(client, PLACE, file)
    assert not s3.put(client, PLACE, b"weights")
    with pytest.raises(
        RetrainError, match=r"s3://store/models/f/v/model: other bytes.*nothing is overwritten"
    ):
        s3.put(client, PLACE, b"others")
    assert s3.get(client, PLACE, 100) == b"weights"


def test_a_large_file_goes_in_parts(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "SINGLE", 1 << 20)
    monkeypatch.setattr(s3, "PART", 5 << 20)
    file = tmp_path / "model"
    file.write_bytes(os.urandom(6 << 20))
    assert s3.put(client, PLACE, file)
    assert s3.digest(client, PLACE) == hash_file(file)
    assert not s3.put(client, PLACE, file)
    assert "Uploads" not in client.list_multipart_uploads(Bucket="store")


def test_what_is_read_is_checked(client: Any, tmp_path: Path) -> None:
    s3.put(client, PLACE, b"weights")
    expected = s3.digest(client, PLACE)
    s3.download(client, PLACE, tmp_path / "x", expected)
    client.put_object(Bucket="store", Key=PLACE.key, Body=b"evil")
    with pytest.raises(RetrainError, match="changed after its release"):
        s3.download(client, PLACE, tmp_path / "x", expected)
    with pytest.raises(InputError, match="larger than 3 bytes"):
        s3.get(client, PLACE, 3)
    with pytest.raises(InputError, match="there is no such object"):
        s3.get(client, Address("s3", "store", "nothing"), 3)


def test_a_bucket_that_is_not_there_is_named(client: Any) -> None:
    with pytest.raises(RetrainError, match=r"s3://other/key: S3 refuses: .*NoSuchBucket") as caught:
        s3.get(client, Address("s3", "other", "key"), 3)
    assert caught.value.mend == "make the bucket, or mend model_store in settings.toml"


def test_no_credentials_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    with pytest.raises(RetrainError, match=r"s3://store/.*: there are no AWS credentials here"):
        s3.get(s3.s3_client("eu-west-1", None), PLACE, 3)
