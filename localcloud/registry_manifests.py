"""Manifests of images: kept, tagged, listed, found by what they refer to, deleted."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from localcloud.cloud import Cloud
from localcloud.errors import ApiError
from localcloud.http import Request, Response
from localcloud.registry_access import DELETE, PULL, PUSH, TAG, UNTAG, Access, digest_of, page
from localcloud.registry_blobs import Blobs

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
INDEXES = {INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"}
IMAGES = {MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"}
MOST = 4 << 20  # bytes, of one manifest
Row = dict[str, Any]


class Manifests:
    """Records: "manifest" by host/name@digest, "tag" by host/name:tag, and "registry-referrer".

    The key of the last is host/name@subject@digest.
    """

    def __init__(self, cloud: Cloud, access: Access, blobs: Blobs) -> None:
        self._store, self._access, self._blobs = cloud.store, access, blobs

    def get(self, request: Request) -> Response:
        """A manifest by tag or digest."""
        name, reference = self._access.name(request, PULL), request.params["reference"]
        digest, row = self._found(name, reference)
        headers = {"content-type": row["type"], "docker-content-digest": digest}
        return Response(self._store.blob(row["blob"]), headers=headers)

    def put(self, request: Request) -> Response:
        """Keep a manifest of which all is here, and point the tag at it."""
        name, reference = self._access.name(request, PUSH), request.params["reference"]
        digest = "sha256:" + hashlib.sha256(request.body).hexdigest()
        content, kind = _content(request)
        tag = _tag(reference, digest)
        before = self._store.get("manifest", f"{name}@{digest}")
        if before is None:
            self._check(name, kind, content)
        row = {"blob": self._store.put_blob(request.body), "type": kind, "size": _size(content)}
        with self._store.transaction():
            # A manifest that comes again is as old as it was.
            uploaded = (before or {}).get("uploaded") or int(time.time() * 1000)
            self._store.put("manifest", f"{name}@{digest}", {**row, "uploaded": uploaded})
            if tag:
                self._store.put("tag", f"{name}:{tag}", {"digest": digest})
            subject = self._refer(name, digest, content, request)
        location = f"/v2/{request.params['name']}/manifests/{digest}"
        headers = {"location": location, "docker-content-digest": digest}
        return Response(b"", 201, headers | ({"oci-subject": subject} if subject else {}))

    def delete(self, request: Request) -> Response:
        """A tag alone; or a manifest that no tag and no index names."""
        reference = request.params["reference"]
        by_digest = ":" in reference
        name = self._access.name(request, DELETE if by_digest else UNTAG)
        digest, _ = self._found(name, reference)
        if not by_digest:
            self._store.delete("tag", f"{name}:{reference}")
            return Response(b"", 202)
        with self._store.transaction():
            self._check_unused(name, digest)
            self._store.delete("manifest", f"{name}@{digest}")
            for key, _ in self._store.list("registry-referrer", f"{name}@"):
                if key.endswith(f"@{digest}"):
                    self._store.delete("registry-referrer", key)
        return Response(b"", 202)

    def tags(self, request: Request) -> Response:
        """A name's tags, page by page; and, as Google adds, its manifests and the names below it."""
        name = self._access.name(request, PULL)
        tagged = self._tagged(name)
        found, headers = page(request, sorted(tagged))
        whole = "n" not in request.query and "last" not in request.query
        kept = {tagged[tag] for tag in found}
        described = {
            digest: self._described(row, sorted(t for t, d in tagged.items() if d == digest))
            for digest, row in self._rows(name)
            if whole or digest in kept
        }
        below = {key.removeprefix(f"{name}/") for key, _ in self._store.list("manifest", f"{name}/")}
        child = sorted({one.partition("@")[0].partition("/")[0] for one in below})
        body = {"name": request.params["name"], "tags": found, "child": child, "manifest": described}
        return Response(body, headers=headers)

    def referrers(self, request: Request) -> Response:
        """An index of what has this manifest as its subject, also of one that is not here."""
        name, digest = self._access.name(request, PULL), digest_of(request.params["digest"])
        found = [row for _, row in self._store.list("registry-referrer", f"{name}@{digest}@")]
        headers = {"content-type": INDEX}
        if wanted := request.query.get("artifactType"):
            found = [row for row in found if row.get("artifactType") == wanted]
            headers["oci-filters-applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        return Response(json.dumps(index).encode(), headers=headers)

    def digest(self, name: str, reference: str) -> str | None:
        """The digest that a tag stands on, or the digest itself."""
        if ":" in reference:
            return reference
        found = self._store.get("tag", f"{name}:{reference}")
        return found["digest"] if found else None

    def _found(self, name: str, reference: str) -> tuple[str, Row]:
        digest = self.digest(name, digest_of(reference) if ":" in reference else reference)
        row = self._store.get("manifest", f"{name}@{digest}") if digest else None
        if row is None:
            words = f"manifest {reference} is unknown to {name}"
            raise ApiError("NOT_FOUND", words, reason="MANIFEST_UNKNOWN")
        return str(digest), row

    def _check(self, name: str, kind: str, content: Row) -> None:
        """Raises where a part of it is not here."""
        if kind in INDEXES:
            missing = [one for one in _digests(content, "manifests") if not self._has(name, one)]
        else:
            wanted = [*_digests({"one": [content.get("config")]}, "one"), *_digests(content, "layers")]
            missing = [one for one in wanted if not self._blobs.has(name, one)]
        if missing:
            words = f"{missing[0]} is unknown to {name}"
            raise ApiError("INVALID_ARGUMENT", words, reason="MANIFEST_BLOB_UNKNOWN")

    def _has(self, name: str, digest: str) -> bool:
        return self._store.get("manifest", f"{name}@{digest}") is not None

    def _check_unused(self, name: str, digest: str) -> None:
        """Google deletes nothing that is still named; the specification leaves it open."""
        if tags := [tag for tag, named in self._tagged(name).items() if named == digest]:
            words = f"Manifest is still referenced by tag: {tags[0]}"
            raise ApiError("INVALID_ARGUMENT", words, reason="GOOGLE_MANIFEST_DANGLING_TAG")
        for other, row in self._rows(name):
            content = json.loads(self._store.blob(row["blob"])) if row["type"] in INDEXES else {}
            if digest in _digests(content, "manifests"):
                words = f"Manifest is still referenced by parent image: {other}"
                reason = "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE"
                raise ApiError("INVALID_ARGUMENT", words, reason=reason)

    def _refer(self, name: str, digest: str, content: Row, request: Request) -> str:
        """Remember what the manifest refers to; the subject's digest, or ""."""
        subject = content.get("subject")
        if not isinstance(subject, dict):
            return ""
        to = digest_of(str(subject.get("digest", "")))
        config = content.get("config") or {}
        row = {
            "mediaType": request.headers["content-type"],
            "digest": digest,
            "size": len(request.body),
            "artifactType": content.get("artifactType") or config.get("mediaType"),
            "annotations": content.get("annotations"),
        }
        kept = {key: value for key, value in row.items() if value}
        self._store.put("registry-referrer", f"{name}@{to}@{digest}", kept)
        return to

    def _rows(self, name: str) -> Iterator[tuple[str, Row]]:
        for key, row in self._store.list("manifest", f"{name}@"):
            yield key.removeprefix(f"{name}@"), row

    def _tagged(self, name: str) -> dict[str, str]:
        rows = self._store.list("tag", f"{name}:")
        return {key.removeprefix(f"{name}:"): str(row["digest"]) for key, row in rows}

    def _described(self, row: Row, tags: list[str]) -> Row:
        """A manifest as Google's registries list it, numbers as text."""
        uploaded = str(row.get("uploaded", 0))
        times = {"timeCreatedMs": uploaded, "timeUploadedMs": uploaded}
        size = {"imageSizeBytes": str(row.get("size", 0))}
        return {**size, "layerId": "", "mediaType": row["type"], "tag": tags, **times}


def _content(request: Request) -> tuple[Row, str]:
    """A manifest's content and media type. Raises MANIFEST_INVALID, and 413 where it is too big."""
    if len(request.body) > MOST:
        raise ApiError("INVALID_ARGUMENT", "manifest is above 4 MiB", 413, "SIZE_INVALID")
    content, kind = request.json(), request.headers.get("content-type", "").partition(";")[0]
    if not isinstance(content, dict) or kind not in IMAGES | INDEXES:
        words = f"'{kind}' is not a type of manifests that is served"
        raise ApiError("INVALID_ARGUMENT", words, reason="MANIFEST_INVALID")
    if content.get("mediaType", kind) != kind:
        words = f"the manifest says that it is {content['mediaType']}, the call says {kind}"
        raise ApiError("INVALID_ARGUMENT", words, reason="MANIFEST_INVALID")
    return content, kind


def _tag(reference: str, digest: str) -> str:
    """The tag that is meant; "" where the manifest is put under its own digest."""
    if ":" not in reference:
        if TAG.fullmatch(reference):
            return reference
        words = f"'{quote(reference)}' is not a tag"
        raise ApiError("INVALID_ARGUMENT", words, reason="TAG_INVALID")
    if digest_of(reference) != digest:
        words = f"the manifest is {digest}, not {reference}"
        raise ApiError("INVALID_ARGUMENT", words, reason="DIGEST_INVALID")
    return ""


def _digests(content: Row, key: str) -> list[str]:
    """The digests that a list of descriptors names; layers that are kept elsewhere are not asked for."""
    listed = [one for one in content.get(key) or [] if isinstance(one, dict)]
    return [str(one.get("digest", "")) for one in listed if not one.get("urls")]


def _size(content: Row) -> int:
    parts = [content.get("config") or {}, *(content.get("layers") or [])]
    return sum(int(part.get("size") or 0) for part in parts)
