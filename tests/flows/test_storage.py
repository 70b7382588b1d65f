import pytest

from flows import storage
from flows.errors import InputError, RetrainError
from flows.manifest import File
from flows.storage import Address


def test_an_address_is_read_and_written() -> None:
    address = Address.parse("gs://bucket/a/b/", "gs")
    assert (address.bucket, address.key, str(address / "c")) == ("bucket", "a/b", "gs://bucket/a/b/c")
    assert str(Address.parse("s3://bucket", "s3") / "c") == "s3://bucket/c"


@pytest.mark.parametrize(
    "text",
    ["", "bucket/a", "s3://bucket/a", "gs://", "gs://b/../a", "gs://buck et/a", "gs://bucket/a//b"],
)
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not an address"):
        Address.parse(text, "gs")


def test_a_changed_file_is_named() -> None:
    one, other = File(sha256="a" * 64, bytes=1), File(sha256="b" * 64, bytes=1)
    storage.verify({"m": one}, {"m": one}, "gs://b")
    for found in ({"m": other}, {}, {"m": one, "n": one}):
        with pytest.raises(RetrainError, match=r"gs://b/[mn]: it is"):
            storage.verify(found, {"m": one}, "gs://b")
