"""Images with labels: a table names them, Cloud Storage has them, a Parquet file carries both on."""

import io
import itertools
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import holdout, storage
from flows.contract import Facts, Window
from flows.errors import InputError
from flows.images import header
from flows.storage import Address

NAME, LABEL, CONTENT = "image", "label", "content"
FILE = "images.parquet"
TOGETHER = 1000  # images of one file
PAGE = 64  # images of one page of it, which ends at 2 GB
LARGEST = 1 << 25  # bytes of an image: no more of an object is read, whatever it is


@dataclass(frozen=True)
class Labelled:
    """One entry an image, sorted by name: its gs:// address, what it shows, and its bytes."""

    names: list[str]
    labels: list[str]
    contents: list[bytes]

    def classes(self) -> list[str]:
        """The labels, sorted. Raises InputError where all images have the same."""
        found = sorted(set(self.labels))
        if len(found) < 2:
            raise InputError("all images have one label: there is nothing to learn", "mend query.sql")
        return found


def export(query: str, table: str, window: Window, project: str, destination: str) -> Facts:
    """What the query finds, by `flows.bigquery.export`, and the images that it names.

    Raises InputError that names an image that is none.
    """
    from flows import bigquery

    facts = fetch(bigquery.export(query, table, window, project, destination), destination)
    days = bigquery.period(facts, window)
    return facts | {"summary": f"{facts['rows']:,} images of {facts['classes']} classes · {days}"}


def fetch(facts: Facts, destination: str) -> Facts:
    """Put the images beside the table that was exported to `destination`; the facts of what is there.

    So the data is what it was when it was read, whatever is written over later. The table has the
    columns `image`, a gs:// address, and `label`. Raises InputError that names an image that is none.
    """
    from flows import bigquery

    bigquery.require((NAME, LABEL), facts["columns"], "the query's result")
    folder = f"{facts['files'][0].partition('/')[0]}/images"
    with tempfile.TemporaryDirectory() as scratch:
        storage.download(destination, Path(scratch), facts["files"])
        names, labels = _table(Path(scratch))
        packed = Path(scratch, "packed")
        packed.mkdir()
        for number, (own, shown) in enumerate(_batches(names, labels)):
            found = Labelled(own, shown, _contents(own))
            write(found, packed / f"{number:05}.parquet")
            print(f"{number * TOGETHER + len(own):,} of {len(names):,} images", flush=True)
        files = storage.upload(packed, f"{destination.rstrip('/')}/{folder}")
    return facts | {"classes": len(set(labels)), "files": [f"{folder}/{name}" for name in sorted(files)]}


def write(images: Labelled, path: Path) -> None:
    """One Parquet file: the same bytes for the same images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = pa.array(images.contents, pa.large_binary())  # plain offsets end at 2 GB
    columns = {NAME: images.names, LABEL: images.labels, CONTENT: contents}
    table = pa.table(columns)
    pq.write_table(table, path, compression="none", use_dictionary=False, write_batch_size=PAGE)


def read(folder: Path) -> Labelled:
    """What `write` wrote to the files in `folder`. Raises InputError."""
    import pyarrow as pa

    from flows import bigquery

    rows = bigquery.read(folder, [NAME, LABEL, CONTENT])
    at = rows.column_names.index(CONTENT)
    rows = rows.set_column(at, CONTENT, rows[CONTENT].cast(pa.large_binary())).sort_by(NAME)
    return Labelled(*(rows[name].to_pylist() for name in (NAME, LABEL, CONTENT)))


def split(images: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """Training set and holdout, about `share` of the images. Raises InputError where one is empty.

    An image's side is a matter of `seed` and its bytes alone: two copies of one are never on both, and
    none changes sides when others come.
    """
    held = holdout.held(images.contents, share, seed, "images")
    return _part(images, [not one for one in held]), _part(images, held)


def write_both(own: Labelled, held: Labelled, folders: tuple[Path, Path]) -> tuple[Facts, Facts]:
    """Write training set and holdout to their folders; the facts of each."""
    for part, folder in zip((own, held), folders, strict=True):
        write(part, folder / FILE)
    sizes = {"training_images": len(own.names), "holdout_images": len(held.names)}
    summary = f"{len(own.names):,} images to learn from · {len(held.names):,} held out"
    return sizes | {"summary": summary}, sizes


def _part(images: Labelled, wanted: list[bool]) -> Labelled:
    columns = (images.names, images.labels, images.contents)
    return Labelled(*(list(itertools.compress(column, wanted)) for column in columns))  # type: ignore[arg-type]


def _table(folder: Path) -> tuple[list[str], list[str]]:
    """The addresses, sorted, and the labels as texts."""
    from flows import bigquery

    rows = bigquery.read(folder, [NAME, LABEL])
    for column in (NAME, LABEL):
        bigquery.no_nulls(rows, column)
    rows = rows.sort_by(NAME)
    names = [str(one) for one in rows[NAME].to_pylist()]
    for one, following in itertools.pairwise(names):
        if one == following:
            raise InputError(
                f"image {one} has more than one label", "select one row an image in query.sql"
            )
    return names, [str(one) for one in rows[LABEL].to_pylist()]


def _batches(names: list[str], labels: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    for start in range(0, len(names), TOGETHER):
        yield names[start : start + TOGETHER], labels[start : start + TOGETHER]


def _contents(names: list[str]) -> list[bytes]:
    with ThreadPoolExecutor(storage.MANY) as pool:
        return list(pool.map(_content, names))


def _content(name: str) -> bytes:
    try:
        content = _download(Address.parse(name, "gs"))
        header.check(content)
    except InputError as error:
        raise InputError(
            f"image {name}: {error.what}", f"{error.mend}, or leave it out in query.sql"
        ) from None
    return content


class _Bounded(io.BytesIO):
    """Takes no more than LARGEST bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > LARGEST:
            raise InputError(f"it has more than {LARGEST:,} bytes", "make it smaller")
        return super().write(data)


def _download(address: Address) -> bytes:
    from google.api_core.exceptions import NotFound

    blob: Any = storage.gs_client().bucket(address.bucket).blob(address.key)
    found = _Bounded()
    try:
        with storage.named(f"download of {address}", passing=NotFound):
            blob.download_to_file(found)
    except NotFound:
        raise InputError("the table names it, but it is not there", "put it there") from None
    return found.getvalue()
