"""One blob on its way to a registry: in one piece, and on from where a connection broke.

Artifact Registry takes no blob in several chunks, so a blob is sent whole: a small one with the call
that ends its upload, a large one in one PATCH before it. A registry that kept what arrived before a
connection broke says how much that is, and gets the rest; another one gets it all again.
"""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin

from delivery.patience import passing
from flows.errors import RetrainError

if TYPE_CHECKING:
    from delivery.registry import Registry

SMALL = 8 << 20  # bytes that are sent again as a whole
TRIES, PAUSE = 5, 0.5  # times that a blob's bytes are sent; seconds before the second, then doubled
ARRIVED = re.compile(r"(?:bytes=)?0-(\d+)")


class Upload:
    """A blob's bytes, or a file with them, and the session in which they are sent."""

    def __init__(
        self,
        registry: "Registry",
        source: bytes | Path,
        digest: str,
        told: Callable[[int, int], None] | None,
    ) -> None:
        self._registry, self._source, self._digest, self._told = registry, source, digest, told
        self._size = source.stat().st_size if isinstance(source, Path) else len(source)
        self._place = ""  # the session's address, while there is one

    def send(self) -> None:
        """Do it. Raises RetrainError where the registry refuses, or breaks off again and again."""
        for number in range(TRIES):
            try:
                return self._attempt()
            except passing() as error:
                broken = error
            time.sleep(PAUSE * 2**number)
            if self._registry.has_blob(self._digest):  # only the answer was lost
                return None
        raise self._registry.away(broken)

    def _attempt(self) -> None:
        arrived = self._arrived() if self._place else 0
        try:
            self._go_on(arrived)
        except RetrainError:
            if self._registry.has_blob(self._digest):  # the last call came twice
                return
            if self._size <= SMALL:
                raise
            self._place = ""  # what it kept is of no use: a part came twice, or not all of it
            self._go_on(0)

    def _go_on(self, arrived: int) -> None:
        """Send what has not arrived, and say that this is all."""
        if not arrived:
            self._place = self._answered(self._registry.call("POST", "/blobs/uploads/"))
        if self._size > max(arrived, SMALL):
            headers = {"Content-Range": f"{arrived}-{self._size - 1}"} if arrived else {}
            self._place = self._answered(self._write("PATCH", self._place, arrived, headers))
            arrived = self._size
        whole = self._place + ("&" if "?" in self._place else "?") + f"digest={self._digest}"
        self._answered(self._write("PUT", whole, arrived, {}))

    def _write(self, method: str, place: str, start: int, headers: dict[str, str]) -> Any:
        kind = {"Content-Type": "application/octet-stream", **headers}
        if start == self._size:
            return self._registry.once(method, place, headers=kind)
        with self._open() as file:
            file.seek(start)
            return self._registry.once(method, place, data=_Rest(file, self, start), headers=kind)

    def _answered(self, response: Any) -> str:
        """The address that the registry says to go on at."""
        self._registry.check(response, f"blob {self._digest}")
        return str(urljoin(response.url, response.headers.get("Location", "")))

    def _arrived(self) -> int:
        """How many bytes the registry has kept; 0 where it does not say."""
        response = self._registry.call("GET", self._place)
        found = ARRIVED.fullmatch(response.headers.get("Range", "")) if response.ok else None
        count = int(found[1]) + 1 if found else 0
        return count if 1 < count <= self._size else 0  # "0-0" stands for nothing, too

    def _open(self) -> BinaryIO:
        return self._source.open("rb") if isinstance(self._source, Path) else io.BytesIO(self._source)

    @property
    def size(self) -> int:
        """In bytes."""
        return self._size

    def tell(self, sent: int) -> None:
        """Say how many bytes are on their way."""
        if self._told:
            self._told(sent, self._size)


class _Rest:
    """A file from a place on, as a request's body of a known length."""

    def __init__(self, file: BinaryIO, upload: Upload, start: int) -> None:
        self._file, self._upload, self._at, self._start = file, upload, start, start

    def __len__(self) -> int:
        return self._upload.size - self._start

    def read(self, count: int = -1) -> bytes:
        """The next bytes."""
        data = self._file.read(count)
        self._at += len(data)
        self._upload.tell(self._at)
        return data
