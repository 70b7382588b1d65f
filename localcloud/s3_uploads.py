"""Uploads to S3 that are not finished, as records: moto holds them in memory only."""

from collections.abc import Callable
from typing import Any

from localcloud.http import Request
from localcloud.s3_state import fields, plain
from localcloud.store import Store

Record = dict[str, Any]
OF_UPLOAD = ("uploads", "uploadId")  # a query with one of them speaks of an upload, not of an object


class Uploads:
    """Records: "s3-upload" by bucket and id, "s3-part" by bucket, id and five-digit number."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, request: Request, held: Any) -> None:
        """Write down what a call has changed of a bucket's uploads."""
        upload, number = request.query.get("uploadId", ""), request.query.get("partNumber", "")
        if "uploads" in request.query:
            known = {name for name, _ in self._store.list("s3-upload", f"{held.name}/")}
            for one in held.multiparts.values():
                if f"{held.name}/{one.id}" not in known:
                    self._store.put("s3-upload", f"{held.name}/{one.id}", plain(vars(one)))
        elif upload not in held.multiparts:
            self.forget(held.name, upload)
        elif number:
            part = held.multiparts[upload].parts[int(number)]
            record = {"fields": plain(vars(part)), "blob": self._store.put_blob(part.value)}
            self._store.put("s3-part", f"{held.name}/{upload}/{int(number):05d}", record)

    def forget(self, bucket: str, upload: str = "") -> None:
        """An upload is done or given up; without one, all of a bucket's."""
        for kind in ("s3-upload", "s3-part"):
            for name, _ in self._store.list(kind, f"{bucket}/{upload}"):
                self._store.delete(kind, name)

    def restore(self, buckets: dict[str, Any]) -> None:
        """Give moto's buckets their uploads back."""
        for name, row in self._store.list("s3-upload"):
            place, _, upload = name.partition("/")
            held = buckets[place]
            held.multiparts[upload] = _thawed(row, held, self._parts(name))

    def _parts(self, name: str) -> dict[int, Callable[[Any], Any]]:
        rows = self._store.list("s3-part", f"{name}/")
        return {int(key.rpartition("/")[2]): self._part(row) for key, row in rows}

    def _part(self, row: Record) -> Callable[[Any], Any]:
        def thaw(bucket: Any) -> Any:
            from moto.s3.models import FakeKey

            own = fields(row["fields"])
            data = self._store.blob(row["blob"])
            made = FakeKey(own["name"], data, bucket.account_id, bucket.region_name)
            own.pop("_metadata", None)
            vars(made).update(own)
            return made

        return thaw


def _thawed(row: Record, bucket: Any, parts: dict[int, Callable[[Any], Any]]) -> Any:
    from moto.s3.models import FakeMultipart, get_canned_acl
    from requests.structures import CaseInsensitiveDict

    own = fields(row)
    metadata = CaseInsensitiveDict(own.pop("metadata", None) or {})
    place = (bucket.account_id, bucket.region_name)
    made = FakeMultipart(own.pop("key_name"), metadata, *place, acl=get_canned_acl("private"))
    vars(made).update({key: value for key, value in own.items() if key != "parts"})
    made.parts = {number: thaw(bucket) for number, thaw in parts.items()}
    made.partlist = sorted(made.parts)
    return made
