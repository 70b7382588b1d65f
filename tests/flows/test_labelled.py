"""Images that a table names, fetched by Google's own client: all of them, or the first that is none."""
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud import storage as google
from google.oauth2.credentials import Credentials

from flows import storage
from flows.errors import InputError
from flows.images import labelled, png
from localcloud.storage import Storage
from tests.localcloud.served import new_cloud, serve

FACTS = {"columns": ["image", "label"], "files": ["try/rows.parquet"], "rows": 3}
TO = "gs://data/run/data"
IMAGES = {f"{name}.png": png.grey(8, bytes([number] * 64)) for number, name in enumerate("abc")}
Fetch = Callable[..., dict[str, Any]]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of a local Cloud Storage, which the flows' own client talks to."""
    cloud = new_cloud(tmp_path / "cloud")
    credentials = Credentials(token=cloud.issue_token(cloud.world.owner))
    with serve(Storage(cloud), "storage.googleapis.com") as address:
        options = {"api_endpoint": address}
        client = google.Client("acme-ml", credentials=credentials, client_options=options)
        monkeypatch.setattr(storage, "gs_client", lambda: client)
        yield client.create_bucket("data")
        client.close()
    cloud.store.close()


@pytest.fixture
def fetch(bucket: Any, tmp_path: Path) -> Fetch:
    """What get_data makes of these objects and of the table's rows (image → label)."""

    def found(rows: dict[str, str], objects: dict[str, bytes] = IMAGES) -> dict[str, Any]:
        for name, content in objects.items():
            bucket.blob(name).upload_from_string(content)
        table = tmp_path / "rows.parquet"
        pq.write_table(pa.table({"image": list(rows), "label": list(rows.values())}), table)
        bucket.blob("run/data/try/rows.parquet").upload_from_filename(str(table))
        return labelled.fetch(FACTS, TO)

    return found


def named(*names: str) -> dict[str, str]:
    """A row for each object, whose label is its first letter."""
    return {f"gs://data/{name}": name[0] for name in names}


def test_the_images_lie_beside_the_table_and_the_progress_is_said(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(labelled, "TOGETHER", 2)
    facts = fetch(named(*reversed(IMAGES)))
    files = ["try/images/00000.parquet", "try/images/00001.parquet"]
    assert facts == FACTS | {"classes": 3, "files": files}
    assert capsys.readouterr().out == "2 of 3 images\n3 of 3 images\n"
    storage.download(TO, tmp_path / "data", files)
    found = labelled.read(tmp_path / "data")
    assert found.names == [f"gs://data/{name}" for name in IMAGES]
    assert (found.labels, found.contents) == (list("abc"), list(IMAGES.values()))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.png", None, "image gs://data/none.png: the table names it, but it is not there"),
        ("b.png", b"words", "image gs://data/b.png: it is neither PNG nor JPEG"),
        ("b.png", png.grey(8, bytes(64)) + bytes(1000), "image gs://data/b.png: it has more than 1,000"),
    ],
)
def test_the_image_that_is_none_is_named(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, words: str
) -> None:
    monkeypatch.setattr(labelled, "LARGEST", 1000)
    with pytest.raises(InputError, match=words) as refused:
        fetch(named("a.png", name), IMAGES | ({name: content} if content else {}))
    assert refused.value.mend.endswith(", or leave it out in query.sql")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"s3://data/a.png": "a"}, "image s3://data/a.png: 's3://data/a.png' is not an address"),
        ({"gs://data/a.png": None}, "label"),
    ],
)
def test_a_table_that_names_no_images_is_refused(fetch: Fetch, rows: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        fetch(rows)


def test_a_table_that_cannot_be_read_is_refused(bucket: Any) -> None:
    bucket.blob("run/data/try/rows.parquet").upload_from_string(b"words")
    with pytest.raises(InputError, match=r"rows\.parquet: it is not a Parquet file"):
        labelled.fetch(FACTS, TO)
