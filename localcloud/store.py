"""What the local cloud keeps: records in one SQLite file, bytes in one object folder."""

import hashlib
import json
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud.errors import ApiError

HASH = re.compile(r"[0-9a-f]{64}")
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""


class Store:
    """Records by kind and key, and bytes by hash. Safe to use from many threads."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "objects"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(root / "cloud.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(SCHEMA)

    def close(self) -> None:
        """Write everything out."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, one at a time; may be nested."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._db.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """The record, or None."""
        query = "SELECT value FROM records WHERE kind = ? AND key = ?"
        with self._lock:
            row = self._db.execute(query, (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Write the record, whether it is there or not."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (kind, key, json.dumps(value))
            )

    def delete(self, kind: str, key: str) -> None:
        """Remove the record, if it is there."""
        with self._lock:
            self._db.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))

    def list(self, kind: str, prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
        """The records of a kind whose keys start with `prefix`, in the keys' order."""
        query = "SELECT key, value FROM records WHERE kind = ? AND key >= ? AND key < ? ORDER BY key"
        with self._lock:
            rows = self._db.execute(query, (kind, prefix, prefix + "\U0010ffff")).fetchall()
        return [(key, json.loads(value)) for key, value in rows]

    def next_number(self, name: str) -> int:
        """1, 2, 3, … for each `name`, never twice the same."""
        with self.transaction():
            number = int((self.get("counter", name) or {"n": 0})["n"]) + 1
            self.put("counter", name, {"n": number})
        return number

    def put_blob(self, data: bytes) -> str:
        """Keep bytes; returns their SHA-256, by which they are found again."""
        name = hashlib.sha256(data).hexdigest()
        path = self.blob_path(name)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f"{name}.{threading.get_ident()}.part")
            part.write_bytes(data)
            part.replace(path)
        return name

    def put_file(self, path: Path) -> str:
        """Keep a file's bytes by taking the file itself; returns their SHA-256, as `put_blob` does."""
        with path.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
        self.blob_path(name).parent.mkdir(exist_ok=True)
        path.replace(self.blob_path(name))
        return name

    def blob(self, name: str) -> bytes:
        """The bytes of that hash."""
        return self.blob_path(name).read_bytes()

    def blob_path(self, name: str) -> Path:
        """The file that holds the bytes of that hash. Raises INVALID_ARGUMENT for what is no hash."""
        if not HASH.fullmatch(name):
            raise ApiError("INVALID_ARGUMENT", f"'{name}' is not a SHA-256 hash")
        return self._blobs / name[:2] / name
