"""What is said of an image, kept beside it in its registry: artifacts whose subject it is (OCI 1.1)."""

import json
from collections.abc import Iterator

import msgspec

from delivery.layout import MANIFEST_TYPE, descriptor, digest_of
from delivery.registry import Registry
from flows.errors import RetrainError

EMPTY, EMPTY_TYPE = b"{}", "application/vnd.oci.empty.v1+json"


def attach(registry: Registry, subject: str, kind: str, data: bytes) -> str:
    """Put `data` beside the image with that digest; the artifact's digest. Again: nothing changes."""
    found = registry.manifest(subject)
    if found is None:
        raise RetrainError(f"{registry.name}@{subject}: there is no such image", "build it again")
    image, image_type = found
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": kind,
        "config": descriptor(EMPTY_TYPE, EMPTY),
        "layers": [descriptor(kind, data)],
        "subject": descriptor(image_type, image),
    }
    encoded = json.dumps(manifest, sort_keys=True).encode()
    for blob in (EMPTY, data):
        registry.push_blob(blob, digest_of(blob))
    registry.push_manifest(digest_of(encoded), encoded, MANIFEST_TYPE)
    return digest_of(encoded)


def attached(registry: Registry, subject: str, kind: str) -> Iterator[bytes]:
    """What of that kind is beside the image with that digest; what is not whole is left out."""
    for one in registry.referrers(subject, kind):
        found = registry.manifest(one["digest"])
        if found and digest_of(found[0]) == one["digest"]:
            yield from _contents(registry, found[0], kind)


class _Layer(msgspec.Struct, rename="camel"):
    digest: str
    media_type: str


class _Manifest(msgspec.Struct):
    layers: list[_Layer]


def _contents(registry: Registry, manifest: bytes, kind: str) -> Iterator[bytes]:
    try:
        layers = msgspec.json.decode(manifest, type=_Manifest).layers
    except msgspec.MsgspecError:
        return  # whoever may write there may write anything
    for layer in layers:
        if layer.media_type == kind and registry.has_blob(layer.digest):
            yield registry.blob(layer.digest)
