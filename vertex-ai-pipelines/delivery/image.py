"""What an image is: its content key, the local build, and the look-up from commit tag to digest."""

import gzip
import hashlib
import io
import json
import tarfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.dockerfile import DOCKERFILE, recipe
from delivery.registry import Registry
from flows.errors import InputError

IGNORE, LOCK = ".dockerignore", "poetry.lock"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MEND = "add it to the dependencies of that group in pyproject.toml, then lock and set up again"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class LocalImage:
    """An image made without a container engine: the copied files as one layer, nothing below it."""

    manifest: bytes
    config: bytes
    layer: bytes

    @property
    def digest(self) -> str:
        """The manifest's digest, by which the image is used."""
        return _digest(self.manifest)


def content_key(root: Path, group: str = "base") -> str:
    """The hash of everything that decides what the image holds: 64 hexadecimal digits."""
    parts = {
        DOCKERFILE: _read(root, DOCKERFILE),
        IGNORE: _read(root, IGNORE),
        "packages": packages(root, group),
        **{str(path): (root / path).read_bytes() for path in sorted(_all_files(root))},
    }
    whole = hashlib.sha256()
    for name, data in parts.items():
        whole.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()


def files(root: Path) -> dict[str, Path]:
    """Image path → file, exactly as the Dockerfile copies and .dockerignore lets through.

    Raises InputError for a COPY that copies nothing: a container engine would refuse it too.
    """
    kept, found = sorted(_kept(root)), dict[str, Path]()
    for copy in recipe(root).copies:
        placed = {place: root / path for path in kept if (place := copy.place(path))}
        if not placed:
            raise InputError(
                f"{DOCKERFILE}: '{copy}' copies nothing",
                f"name a file or folder that is there and that {IGNORE} lets through; no patterns",
            )
        found |= placed
    return found


def build_local(root: Path, group: str = "base") -> LocalImage:
    """The image of the tree at `root` without its base and packages; the same tree, the same digest."""
    layer = _layer(files(root))
    plan = recipe(root)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "User": plan.user,
            "WorkingDir": plan.workdir,
            "Env": list(plan.variables),
            "Cmd": list(plan.command),
            "Labels": {"retrain.content": content_key(root, group), **_base(root, group)},
        },
        "rootfs": {"type": "layers", "diff_ids": [_digest(gzip.decompress(layer))]},
    }
    encoded = json.dumps(config, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(CONFIG_TYPE, encoded),
        "layers": [_descriptor(LAYER_TYPE, layer)],
    }
    return LocalImage(json.dumps(manifest, sort_keys=True).encode(), encoded, layer)


def publish(registry: Registry, root: Path, group: str, commit: str) -> tuple[str, bool]:
    """Put the local image into the registry and the commit's tag on it; returns digest and newness.

    Content that is there already gets the tag without a build.
    """
    tag = f"content-{content_key(root, group)[:32]}"
    found = registry.manifest(tag)
    manifest, kind = found or (_push(registry, build_local(root, group), tag), MANIFEST_TYPE)
    registry.push_manifest(commit, manifest, kind)
    return _digest(manifest), found is None


def resolve(registry: Registry, commit: str) -> str:
    """The digest that the commit's tag names. Raises InputError where there is no such image."""
    found = registry.manifest(commit)
    if found is None:
        raise InputError(
            f"there is no image {registry.name}:{commit}",
            "build this commit first (./scripts/build --push), or submit a commit of main",
        )
    return _digest(found[0])


def packages(root: Path, group: str) -> bytes:
    """The locked packages of the image's group, with hashes. Raises InputError for an unknown one."""
    groups = _groups(group)
    chosen = [(_requirement(p, groups), p["files"]) for p in _locked(root, groups)]
    lines = sorted(f"{pin} {json.dumps(files, sort_keys=True)}" for pin, files in chosen)
    return "\n".join(lines).encode()


def _push(registry: Registry, image: LocalImage, tag: str) -> bytes:
    registry.push_blob(image.layer, _digest(image.layer))
    registry.push_blob(image.config, _digest(image.config))
    registry.push_manifest(tag, image.manifest, MANIFEST_TYPE)
    return image.manifest


def _kept(root: Path) -> set[Path]:
    """What .dockerignore lets through, as Docker reads it, relative to `root`."""
    from docker.utils.build import exclude_paths

    lines = _read(root, IGNORE).decode().splitlines()
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = {Path(path) for path in exclude_paths(str(root), patterns)}
    return {path for path in found if (root / path).is_file() and path.name not in (DOCKERFILE, IGNORE)}


def _all_files(root: Path) -> set[Path]:
    """The files of every COPY from the tree; the lock's part that counts is in the packages."""
    return {path.relative_to(root) for path in files(root).values()}


def _base(root: Path, group: str) -> dict[str, str]:
    """Labels that say what the base, which is not in a local image, would hold."""
    groups = _groups(group)
    lines = sorted(_requirement(package, groups) for package in _locked(root, groups))
    return {
        "retrain.base": "none",
        "python.requirements": "\n".join(lines),
        "python.requirements.group": " + ".join(sorted(groups)),
        "python.requirements.mend": MEND,
    }


def _groups(group: str) -> set[str]:
    return {"main"} if group == "base" else {"main", group}


def _locked(root: Path, groups: set[str]) -> list[dict[str, Any]]:
    """The lock's packages of any of the groups. Raises InputError for a group that it does not have."""
    locked = tomllib.loads(_read(root, LOCK).decode())["package"]
    known = {name for package in locked for name in package["groups"]}
    if unknown := groups - known:
        raise InputError(
            f"{LOCK} has no dependency group '{unknown.pop()}'",
            f"name base or one of: {', '.join(sorted(known))}",
        )
    return [package for package in locked if groups & set(package["groups"])]


def _requirement(package: Mapping[str, Any], groups: set[str]) -> str:
    """A locked package as a requirement; its markers may differ from group to group."""
    found = package.get("markers", "")
    own = groups & set(package["groups"])
    markers = {found} if isinstance(found, str) else {found.get(name, "") for name in own}
    pin = f"{package['name']}=={package['version']}"
    return pin if "" in markers else f"{pin} ; {' or '.join(f'({m})' for m in sorted(markers))}"


def _layer(content: dict[str, Path]) -> bytes:
    """The files as a gzipped tar, sorted, without times and owners: the same files, the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(content.items()):
            data = path.read_bytes()
            entry = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def _read(root: Path, name: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name}: there is no such file in {root}") from None


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _descriptor(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}
