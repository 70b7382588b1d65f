"""What an image is: its content key and tags, what it is put together of, and commit tag → digest."""

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delivery import builder as engines
from delivery import context, kept, layout, lock
from delivery.builder import Builder
from delivery.dockerfile import DOCKERFILE, recipe
from delivery.layout import LAYER_TYPE, PLATFORM, Image, digest_of
from delivery.registry import Registry
from flows.errors import InputError

FILES = Builder()
LABEL = "retrain.content"
MEND = "add it to the dependencies of that group in pyproject.toml, then lock and set up again"
INSTALL = "./scripts/setup --packages {}"
DAY = f"{datetime.fromtimestamp(engines.EPOCH, UTC):%Y-%m-%dT%H:%M:%SZ}"  # of every layer


@dataclass(frozen=True)
class Origin:
    """What is asked and said of who built an image; by default, nothing.

    `reusable`: whether the image of that digest counts, which somebody else has put there; asked with
    None where there is none. `attest` says of a digest that this process has built it.
    """

    reusable: Callable[[str | None], bool] = bool
    attest: Callable[[str], None] = lambda _: None


UNASKED = Origin()


def content_key(root: Path, group: str = "base", builder: Builder = FILES) -> str:
    """The hash of everything that decides what the image holds: 64 hexadecimal digits."""
    copied = {path.relative_to(root) for path in context.files(root).values()}
    return _key(root, group, builder, copied, ("all", context.IGNORE))


def content_tag(key: str) -> str:
    """The tag of the image with that content."""
    return f"content-{key[:32]}"


def below_tag(root: Path, group: str, builder: Builder) -> str:
    """The tag of what the image stands on: all but the flows' own layer."""
    return f"below-{_key(root, group, builder, set(), ('below',))[:32]}"


def make(
    root: Path, group: str = "base", builder: Builder = FILES, store: Registry | None = None
) -> Image:
    """The image of the tree at `root`; the same tree, the same digest.

    What is below the flows' own layer is taken from the registry `store`, or from this machine; only
    where neither has it, the engine builds it, and it is put into both.
    """
    key = content_key(root, group, builder)
    if not builder.is_whole:
        return _on(_nothing(root, group), root, key)
    return _on(_below(root, group, builder, store), root, key)


def publish(
    registry: Registry,
    root: Path,
    group: str,
    commit: str,
    builder: Builder = FILES,
    origin: Origin = UNASKED,
) -> tuple[str, bool]:
    """Put the image into the registry and the commit's tag on it; returns digest and newness.

    Content that is there already gets the tag without a build, byte for byte, if its digest is
    `origin.reusable`; that is asked with None where there is none, before it is built. What is built is
    attested before any tag names it. Raises InputError where the commit's tag is on another image.
    """
    key = content_key(root, group, builder)
    tag = content_tag(key)
    named, tagged = _find(registry, commit), _find(registry, tag)
    tagged = tagged if tagged and _content_of(registry, tagged) == key else None
    there = named if named and _content_of(registry, named) == key else tagged
    _refuse_another(registry, commit, named, there)
    used = there if origin.reusable(there.digest if there else None) else None
    image = used or make(root, group, builder, registry)
    _refuse_another(registry, commit, named, image)

    def counts(other: Image) -> bool:
        is_known = named or (there and there.digest == other.digest)
        return not is_known and _content_of(registry, other) == key and origin.reusable(other.digest)

    if used is None:
        image = _push_new(registry, image, tag, counts, origin.attest)
    elif tagged is None:  # its other tag was taken off
        registry.push_manifest(tag, used.manifest, used.kind)
    if named is None:
        registry.push_manifest(commit, image.manifest, image.kind)
    return image.digest, used is None


def resolve(registry: Registry, commit: str) -> str:
    """The digest of the linux/amd64 manifest that the commit's tag names.

    Raises InputError where there is no such image.
    """
    found = _find(registry, commit)
    if found is None:
        raise InputError(
            f"there is no image {registry.name}:{commit}",
            "build this commit first (./scripts/build --push), or submit a commit of main",
        )
    return found.digest


def refuse_other_content(
    registry: Registry, digest: str, root: Path, group: str, builder: Builder
) -> None:
    """Raises InputError where the registry's image does not hold what the tree at `root` would make."""
    found, key = _find(registry, digest), content_key(root, group, builder)
    held = _content_of(registry, found) if found else ""
    if held != key:
        raise InputError(
            f"{registry.name}@{digest} holds content {held[:12] or 'that it does not name'}, but"
            f" this commit's is {key[:12]}: somebody has put this commit's tag on another image",
            "find out who; then delete that tag, and press the button of train.yml",
        )


def save(image: Image, root: Path, group: str) -> Path:
    """The whole image as a layout folder on this machine, in the place of the group's last one."""
    folder = kept.folder(root, group) / "image"
    with kept.replacing(folder) as part:
        layout.write(image, part)
    return folder


def _key(root: Path, group: str, builder: Builder, copied: set[Path], more: tuple[str, ...]) -> str:
    """The hash of the recipe, the packages, the copied files and `more` (names of files, or words)."""
    parts = {
        DOCKERFILE: lock.read(root, DOCKERFILE),
        "packages": lock.packages(root, group),
        "builder": b"" if builder.is_whole else b"files",
        "base": builder.base.encode(),
        "epoch": str(engines.EPOCH).encode(),
        **{name: lock.read(root, name) if name == context.IGNORE else b"" for name in more},
    }
    below = {path for path in context.earlier(root) if not lock.counts(path)}
    parts |= {f"/{path}": (root / path).read_bytes() for path in sorted(copied | below)}
    whole = hashlib.sha256()
    for name, data in parts.items():
        whole.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return whole.hexdigest()


def _on(below: Image, root: Path, key: str) -> Image:
    """The image of the tree's files as one layer on `below`, with the Dockerfile's settings."""
    data, plan, config = _layer(context.files(root)), recipe(root), below.config
    own = config.setdefault("config", {})
    named = {pair.partition("=")[0]: pair for pair in (*own.get("Env", []), *plan.variables)}
    own |= {"User": plan.user, "WorkingDir": plan.workdir, "Cmd": list(plan.command)}
    own |= {"Env": list(named.values()), "Labels": {**(own.get("Labels") or {}), LABEL: key}}
    config["rootfs"]["diff_ids"].append(digest_of(gzip.decompress(data)))
    if "history" in config:
        config["history"].append({"created": DAY, "created_by": "; ".join(map(str, plan.copies))})
    layers = json.loads(below.manifest)["layers"]
    blobs = {e["digest"]: below.blobs[e["digest"]] for e in layers if e["digest"] in below.blobs}
    manifest, encoded = layout.manifest_of(config, [*layers, layout.descriptor(LAYER_TYPE, data)])
    return Image(manifest, {**blobs, digest_of(encoded): encoded, digest_of(data): data})


def _nothing(root: Path, group: str) -> Image:
    """What a local image stands on: labels that say what its base would hold."""
    labels = {
        "retrain.base": "none",
        "python.requirements": "\n".join(lock.requirements(root, group)),
        "python.requirements.group": " + ".join(sorted(lock.groups_of(group))),
        "python.requirements.mend": MEND,
        **({} if group == lock.BASE else {"python.requirements.install": INSTALL.format(group)}),
    }
    config = {**PLATFORM, "config": {"Labels": labels}, "rootfs": {"type": "layers", "diff_ids": []}}
    manifest, encoded = layout.manifest_of(config, [])
    return Image(manifest, {digest_of(encoded): encoded})


def _below(root: Path, group: str, builder: Builder, registry: Registry | None) -> Image:
    """All but the tree's own layer, by a key of its own: built only where nobody has it."""
    tag = below_tag(root, group, builder)
    registry = registry if builder.is_shared else None
    if registry and (found := _find(registry, tag)):
        return _with_config(registry, found)
    folder = kept.folder(root, group) / tag
    if not folder.exists():
        _build(root, group, builder, folder)
    image = layout.read(folder)
    pushed = _push_new(registry, image, tag) if registry else image
    return image if registry is None or pushed.digest == image.digest else _with_config(registry, pushed)


def _build(root: Path, group: str, builder: Builder, folder: Path) -> None:
    """Build into `folder`, whole or not at all; then older ones of the group are no longer needed."""
    engines.needed(builder.kind)
    with kept.replacing(folder) as part:
        engines.build(root, group, builder, part)
    for old in folder.parent.glob("below-*"):
        if old != folder:
            shutil.rmtree(old)


def _push_new(
    registry: Registry,
    image: Image,
    tag: str,
    counts: Callable[[Image], bool] = lambda _: True,
    attest: Callable[[str], None] = lambda _: None,
) -> Image:
    """Put the image into the registry, by digest, and its tag on it once it is attested.

    Two may build one content at once, and end with one digest: what the tag says is taken instead, where
    it `counts`. Whoever else may write there may have put the tag on anything.
    """
    if quicker := _another(registry, image, tag, counts):
        return quicker
    for digest, data in image.blobs.items():
        registry.push_blob(data, digest)
    registry.push_manifest(image.digest, image.manifest, image.kind)
    attest(image.digest)
    registry.push_manifest(tag, image.manifest, image.kind)
    return _another(registry, image, tag, counts) or image


def _another(
    registry: Registry, image: Image, tag: str, counts: Callable[[Image], bool]
) -> Image | None:
    """Another image than this one that the tag is on, and that counts."""
    found = _find(registry, tag)
    return found if found and found.digest != image.digest and counts(found) else None


def _find(registry: Registry, reference: str) -> Image | None:
    """The linux/amd64 manifest that is there, without its blobs; an index is never meant."""
    found = registry.manifest(reference)
    if found and (digest := layout.chosen(found[0], f"{registry.name}:{reference}")):
        found = registry.manifest(digest)
    return Image(found[0], kind=found[1]) if found else None


def _with_config(registry: Registry, image: Image) -> Image:
    name = json.loads(image.manifest)["config"]["digest"]
    return Image(image.manifest, {name: registry.blob(name)}, image.kind)


def _content_of(registry: Registry, image: Image) -> str:
    """The content key that an image in the registry says of itself; "" where it says none."""
    if "config" not in json.loads(image.manifest):
        return ""
    labels = _with_config(registry, image).config.get("config", {}).get("Labels") or {}
    return str(labels.get(LABEL, ""))


def _refuse_another(registry: Registry, commit: str, named: Image | None, there: Image | None) -> None:
    if named and (there is None or named.digest != there.digest):
        now = f", but {there.digest}" if there else ""
        raise InputError(
            f"{registry.name}:{commit} is {named.digest}, which is not this content's image{now}",
            "nobody moves a commit's tag: make a new commit, or delete that tag if nothing uses it",
        )


def _layer(content: dict[str, Path]) -> bytes:
    """The files as a gzipped tar, sorted, without times and owners: the same files, the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in sorted(content.items()):
            data = path.read_bytes()
            entry: Any = tarfile.TarInfo(name.lstrip("/"))
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)
