"""What a flow's sample puts to Cloud Storage: once, and again where the sample was changed."""

from types import SimpleNamespace
from typing import Any

import pytest
from google.cloud import storage

from laptop import grant, samples


class Bucket:
    """A bucket that is there: its objects, and each write."""

    def __init__(self) -> None:
        self.objects, self.written = dict[str, bytes](), list[str]()

    def blob(self, name: str) -> Any:
        def put(content: bytes, **_: Any) -> None:
            self.objects[name] = content
            self.written.append(name)

        return SimpleNamespace(exists=lambda **_: name in self.objects, upload_from_string=put)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    made = Bucket()
    client = SimpleNamespace(lookup_bucket=lambda *_, **__: made)
    monkeypatch.setattr(storage, "Client", lambda **_: client)
    monkeypatch.setattr(samples, "here", list)
    monkeypatch.setattr(grant, "bucket", lambda *_: None)
    return made


def filled(bucket: Bucket, *objects: tuple[str, bytes]) -> list[str]:
    """The names that were written, without the mark's; one by one, in no order."""
    bucket.written.clear()
    environment: Any = SimpleNamespace(project="p", region="r")
    samples._fill(environment, "images", "vit", lambda: objects)
    if bucket.written:
        assert bucket.written[-1].startswith("vit-")
        assert bucket.written[-1].endswith(samples.DONE)
    return sorted(bucket.written[:-1])


def test_objects_are_put_once_and_again_where_they_changed(bucket: Bucket) -> None:
    first, second = ("1.png", b"one"), ("2.png", b"two")
    assert filled(bucket, first, second) == ["1.png", "2.png"]
    assert filled(bucket, first, second) == []
    assert filled(bucket, first, ("2.png", b"another")) == ["1.png", "2.png"]
    assert bucket.objects["2.png"] == b"another"
    assert filled(bucket, first) == ["1.png"]
    assert filled(bucket, ("3.png", b"one")) == ["3.png"]
