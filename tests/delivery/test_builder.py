"""How images are made: what is refused before any build, who builds, and what is put together."""

import fcntl
import gzip
import hashlib
import json
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from delivery import build, builder, context, dockerfile, image, kept, layout, lock, settings
from delivery.builder import Builder, Kind
from delivery.layout import Image, digest_of
from flows.errors import InputError, RetrainError

ONE, TWO = "1" * 40, "2" * 40
PIN = "@sha256:" + "a" * 64
DOCKERFILE = f"""\
FROM python:3.12{PIN} AS base
FROM base AS packages
COPY pyproject.toml poetry.lock ./
FROM base AS runtime
COPY --from=packages /packages /packages
WORKDIR /app
ENV PATH=/packages/bin:/bin
FROM runtime
COPY flows /app/flows
USER 10001
CMD ["python"]
"""
PROJECT = '[project]\nrequires-python = ">=3.11"\ndependencies = ["numpy"]\n'
LOCK = """\
[[package]]
name = "numpy"
version = "2.4.0"
groups = ["main"]
files = [{{file = "numpy.whl", hash = "sha256:aa"}}]

[metadata]
content-hash = "{}"
"""
RELEVANT = {
    "project": {"requires-python": ">=3.11", "dependencies": ["numpy"]},
    "tool": {"poetry": {}},
}
HASH = hashlib.sha256(json.dumps(RELEVANT, sort_keys=True).encode()).hexdigest()
IGNORE = "*\n!flows\n!pyproject.toml\n!poetry.lock\n"
WHOLE = Builder("buildah")


def tree(folder: Path, **changed: str) -> Path:
    """A small tree that can be built; `changed` holds other or more files."""
    files = {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": IGNORE,
        "pyproject.toml": PROJECT,
        "poetry.lock": LOCK.format(HASH),
        "flows/step.py": "1",
    }
    for name, text in {**files, **changed}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def replaced(old: str, new: str) -> dict[str, str]:
    """The Dockerfile with one of its texts changed everywhere."""
    assert old in DOCKERFILE
    return {"Dockerfile": DOCKERFILE.replace(old, new)}


def test_the_small_tree_and_this_repository_can_be_built(tmp_path: Path) -> None:
    builder.check(tree(tmp_path), WHOLE)
    builder.check(settings.ROOT, WHOLE)


PEM = "-----BEGIN " + "PRIVATE KEY-----"
# Without an engine none of it would be in the image, and nobody would be told.
MORE = (
    "RUN make",
    "COPY --from=packages /packages /other",
    "LABEL team=data",
    "EXPOSE 8080",
    'SHELL ["/bin/sh"]',
    "ARG DEBUG=1",
)
EVERYTHING = {".dockerignore": "", **replaced("COPY flows /app/flows", "COPY . /app")}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"flows/.env": "A=1"}, "copies flows/.env: a secret by its name"),
        ({"flows/id_ed25519": "1"}, "copies flows/id_ed25519: a secret by its name"),
        ({"flows/service-account.json": "{}"}, "copies flows/service-account.json"),
        ({"flows/.aws/config": "1"}, "copies flows/.aws/config: a file of .aws"),
        ({"flows/keys.txt": f"x\n{PEM}\n"}, "copies flows/keys.txt: it holds a private key"),
        ({"flows/step.py": "key = 'AKIA" + "A" * 16 + "'"}, "it holds an AWS key"),
        ({**EVERYTHING, ".git/config": "1"}, "'COPY . /app' copies .git/config: a file of .git"),
        ({**EVERYTHING, ".git": "gitdir: /elsewhere"}, "'COPY . /app' copies .git: a file of .git"),
        (
            {".dockerignore": IGNORE + "!.npm/.env\n", ".npm/.env": "A=1"}
            | replaced("COPY pyproject.toml poetry.lock ./", "COPY .npm ./"),
            "'COPY .npm /' copies .npm/.env",
        ),
        (replaced("PATH=", "TOKEN=ghp_" + "a" * 36 + " PATH="), "Dockerfile: it holds a GitHub token"),
        (
            {"pyproject.toml": PROJECT.replace("numpy", "scipy")},
            "poetry.lock does not fit pyproject.toml",
        ),
        ({"pyproject.toml": "["}, "pyproject.toml: not valid TOML"),
        (replaced(PIN, ""), "image 'python:3.12' is named by neither a digest nor a commit's tag"),
        (
            replaced(f"FROM python:3.12{PIN}", f"ARG BASE=python:3.12{PIN}\nFROM ${{BASE}}"),
            "image '${BASE}'",  # who brings updates reads no arguments
        ),
        (replaced("--from=packages", "--from=tools:latest"), "image 'tools:latest'"),
        (replaced("WORKDIR /app", "RUN --mount=type=bind,from=tools:1,target=/t make"), "'tools:1'"),
        (replaced("FROM runtime\n", f"FROM python{PIN}\n"), "last stage stands on an image"),
        *(
            (replaced("USER 10001\n", f"USER 10001\n{more}\n"), f"copy the flows: '{more}'")
            for more in MORE
        ),
    ],
)
def test_bad_input_is_refused_by_name_before_any_build(
    tmp_path: Path, changed: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was started"))
    with pytest.raises(InputError) as caught:
        builder.check(tree(tmp_path, **changed), WHOLE)
    assert said in caught.value.what


@pytest.mark.parametrize("link", ["flows/key", "flows", "poetry.lock"])
@pytest.mark.parametrize("is_dangling", [False, True])
def test_a_link_is_not_copied_wherever_it_leads(tmp_path: Path, link: str, is_dangling: bool) -> None:
    """Its name says nothing of what it leads to: flows/key may be a key of this machine."""
    root, outside = tree(tmp_path / "tree"), tmp_path / "outside"
    here = root / link
    if here.exists():
        here.rename(outside)
    else:
        outside.write_text("1")
    here.symlink_to(tmp_path / "nothing" if is_dangling else outside)
    with pytest.raises(InputError, match=rf"copies {link}: {link} is a symbolic link"):
        context.refuse_secrets(root)


@pytest.mark.parametrize(
    "project",
    [
        PROJECT + '[tool.ruff]\nline-length = 9\n[project.urls]\nhome = "x"\n',
        "# a comment\n" + PROJECT,
    ],
)
def test_a_lock_fits_whatever_else_pyproject_says(tmp_path: Path, project: str) -> None:
    lock.check(tree(tmp_path, **{"pyproject.toml": project}))


def test_what_stages_below_copy_is_part_of_the_content(tmp_path: Path) -> None:
    more = {".dockerignore": IGNORE + "!extra\n"}
    more |= replaced("COPY pyproject.toml poetry.lock ./", "COPY pyproject.toml poetry.lock extra ./")
    other = {"pyproject.toml": PROJECT + "[tool.ruff]\n"}
    one, two, three = (
        image.content_key(tree(tmp_path, **more, **changed), "base", WHOLE)
        for changed in ({"extra": "1"}, {"extra": "2"}, {"extra": "1", **other})
    )
    assert one != two
    assert one == three


def test_another_base_or_no_base_is_other_content(tmp_path: Path) -> None:
    root = tree(tmp_path)
    builders = (WHOLE, Builder(), Builder("buildah", f"debian{PIN}"))
    assert len({image.content_key(root, "base", one) for one in builders}) == 3
    assert image.content_key(root, "base", Builder("docker")) == image.content_key(root, "base", WHOLE)


@pytest.mark.parametrize(
    "base", ["python", "python:latest", "python:3.12", "python@sha256:1", f"a b{PIN}"]
)
def test_a_base_is_named_by_digest(base: str) -> None:
    with pytest.raises(InputError, match=r"--base: image '.*' is named by neither"):
        Builder("buildah", base)


LAYER = gzip.compress(b"below")


def lower(name: str = "below") -> Image:
    """An image as an engine would make it below the flows' layer."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin", "LANG=C.UTF-8"], "Labels": {"name": name}},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(b"below")]},
        "history": [{"created_by": "FROM"}],
    }
    manifest, encoded = layout.manifest_of(config, [layout.descriptor(layout.LAYER_TYPE, LAYER)])
    return Image(manifest, {digest_of(encoded): encoded, digest_of(LAYER): LAYER})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The groups that were built, by an engine that makes `lower()`."""
    made = list[str]()

    def make(root: Path, group: str, _: Builder, folder: Path) -> None:
        made.append(group)
        layout.write(lower(), folder)

    monkeypatch.setattr(builder, "build", make)
    monkeypatch.setattr(builder, "needed", lambda _: None)
    return made


def test_the_flows_are_one_layer_on_what_the_engine_made(tmp_path: Path, built: list[str]) -> None:
    root = tree(tmp_path)
    made = image.make(root, "base", WHOLE)
    first, second = json.loads(made.manifest)["layers"]
    own, config = made.blobs[second["digest"]], made.config
    assert isinstance(own, bytes)
    assert first["digest"] == digest_of(LAYER)
    assert config["rootfs"]["diff_ids"] == [digest_of(b"below"), digest_of(gzip.decompress(own))]
    assert len(config["history"]) == 2
    assert config["config"] == {
        "Env": ["PATH=/packages/bin:/bin", "LANG=C.UTF-8"],
        "Labels": {"name": "below", image.LABEL: image.content_key(root, "base", WHOLE)},
        "User": "10001",
        "WorkingDir": "/app",
        "Cmd": ["python"],
    }


def test_another_source_builds_nothing_and_is_one_new_layer(tmp_path: Path, built: list[str]) -> None:
    one = image.make(tree(tmp_path), "base", WHOLE)
    two = image.make(tree(tmp_path, **{"flows/step.py": "2"}), "base", WHOLE)
    layers = [json.loads(made.manifest)["layers"] for made in (one, two)]
    assert layers[0][:-1] == layers[1][:-1]
    assert layers[0][-1] != layers[1][-1]
    assert built == ["base"]
    image.make(tree(tmp_path, **{"poetry.lock": LOCK.format(HASH).replace("aa", "ab")}), "base", WHOLE)
    assert built == ["base", "base"]


def test_what_is_kept_stays_until_another_is_built(
    tmp_path: Path, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path)
    one = image.make(root, "base", WHOLE)
    tree(root, **{"poetry.lock": LOCK.format(HASH).replace("aa", "ab")})
    with monkeypatch.context() as patch:
        patch.setattr(builder, "build", lambda *_: raising(RetrainError("full"))(""))
        with pytest.raises(RetrainError, match="full"):
            image.make(root, "base", WHOLE)
    assert all(path.exists() for path in one.blobs.values() if isinstance(path, Path))
    image.make(root, "base", WHOLE)
    tag = image.below_tag(root, "base", WHOLE)
    assert [path.name for path in kept.folder(root, "base").iterdir()] == [tag]


def test_one_process_at_a_time_uses_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_free() -> bool:
        with (kept.folder(tmp_path, "base") / "alone").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def make(*_: Any) -> Image:
        assert not is_free()
        assert not left.exists()
        return lower()

    left = kept.folder(tmp_path, "base") / f"{kept.PART}killed"
    left.mkdir(parents=True)
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(image, "make", make)
    monkeypatch.setattr(builder, "check", lambda *_: None)
    assert build._made("base", None, WHOLE) == (lower().digest, False)
    assert is_free()


def test_what_is_saved_is_the_whole_image(tmp_path: Path, built: list[str]) -> None:
    root = tree(tmp_path)
    for text in ("1", "2"):  # the second one takes the first one's place
        made = image.make(tree(root, **{"flows/step.py": text}), "base", WHOLE)
        folder = image.save(made, root, "base")
        found = layout.read(folder)
        assert found.digest == made.digest
        assert all(digest_of(Path(str(p)).read_bytes()) == name for name, p in found.blobs.items())
        assert len(list((folder / "blobs" / "sha256").iterdir())) == 4


def test_a_folder_without_an_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrainError, match="holds no image"):
        layout.read(tmp_path)


AMD, ARM = lower("amd").digest, lower("arm").digest


def entry(digest: str, architecture: str, **more: Any) -> dict[str, Any]:
    return {"digest": digest, "platform": {"os": "linux", "architecture": architecture}, **more}


def test_an_index_means_its_image_for_this_platform() -> None:
    proof = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    listed = [entry(ARM, "amd64", **proof), entry(ARM, "arm64"), entry(AMD, "amd64")]
    assert layout.chosen(json.dumps({"manifests": listed}).encode(), "x") == AMD
    assert layout.chosen(lower().manifest, "x") is None
    with pytest.raises(InputError, match="x: it has no image for linux/amd64"):
        layout.chosen(json.dumps({"manifests": listed[:2]}).encode(), "x")


class Store:
    """A registry that keeps what it is given; `name` as the real one's."""

    name = "example.dev/project/repository/base"

    def __init__(self) -> None:
        self.tags: dict[str, tuple[bytes, str]] = {}
        self.blobs: dict[str, bytes] = {}

    def manifest(self, reference: str) -> tuple[bytes, str] | None:
        return self.tags.get(reference)

    def blob(self, digest: str) -> bytes:
        return self.blobs[digest]

    def push_blob(self, source: bytes | Path, digest: str) -> None:
        self.blobs[digest] = source if isinstance(source, bytes) else source.read_bytes()

    def push_manifest(self, reference: str, data: bytes, kind: str) -> None:
        named = json.loads(data)
        assert {e["digest"] for e in (named["config"], *named["layers"])} <= self.blobs.keys()
        self.tags[reference] = self.tags[digest_of(data)] = (data, kind)


def raising(error: Exception) -> Callable[[str], None]:
    def call(_: str) -> None:
        raise error

    return call


def tag_of(root: Path) -> str:
    return image.content_tag(image.content_key(root, "base", WHOLE))


def publish(store: Any, root: Path, commit: str, by: Builder = WHOLE, **more: Any) -> tuple[str, bool]:
    return image.publish(store, root, "base", commit, by, **more)


def test_a_machine_without_an_engine_adds_its_layer_to_what_is_there(
    tmp_path: Path, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    publish(store, tree(tmp_path / "one"), ONE)
    before = set(store.blobs)
    monkeypatch.setattr(builder, "needed", lambda _: pytest.fail("it asks for an engine"))
    elsewhere = tree(tmp_path / "two", **{"flows/step.py": "2"})
    digest, new = publish(store, elsewhere, TWO)
    assert new
    assert built == ["base"]
    assert sum(len(store.blobs[name]) for name in set(store.blobs) - before) < 2000
    assert len(json.loads(store.tags[digest][0])["layers"]) == 2


def test_where_images_are_attested_nothing_below_comes_from_the_registry(
    tmp_path: Path, built: list[str]
) -> None:
    store, alone = Store(), Builder("buildah", is_shared=False)
    publish(store, tree(tmp_path / "one"), ONE, alone)
    publish(store, tree(tmp_path / "two", **{"flows/step.py": "2"}), TWO, alone)
    assert built == ["base", "base"]
    assert not [tag for tag in store.tags if tag.startswith("below-")]


def test_a_commit_s_tag_on_another_image_is_refused_by_name(tmp_path: Path, built: list[str]) -> None:
    store = Store()
    digest, _ = publish(store, tree(tmp_path), ONE)
    other = tree(tmp_path, **{"flows/step.py": "2"})
    with pytest.raises(InputError, match=rf"{store.name}:{ONE} is {digest}, which is not this content"):
        publish(store, other, ONE)
    assert digest_of(store.tags[ONE][0]) == digest


def test_a_content_s_tag_that_was_taken_off_comes_back(tmp_path: Path, built: list[str]) -> None:
    store, root = Store(), tree(tmp_path)
    digest, _ = publish(store, root, ONE)
    tag = image.content_tag(image.content_key(root, "base", WHOLE))
    del store.tags[tag]
    assert publish(store, root, ONE) == (digest, False)
    assert digest_of(store.tags[tag][0]) == digest


def theirs(root: Path, name: str = "theirs") -> Image:
    """The same content as another machine has built it, with other bytes."""
    return image._on(lower(name), root, image.content_key(root, "base", WHOLE))


@pytest.fixture
def overtaken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Store, str, Image], None]:
    """Puts an image under the tag right after the next one that is put there."""

    def overtake(store: Store, tag: str, other: Image) -> None:
        push = store.push_manifest

        def pushed(reference: str, data: bytes, kind: str) -> None:
            push(reference, data, kind)
            if reference == tag:
                store.blobs |= {name: one for name, one in other.blobs.items() if isinstance(one, bytes)}
                push(tag, other.manifest, other.kind)

        monkeypatch.setattr(store, "push_manifest", pushed)

    return overtake


def test_two_that_build_one_content_at_once_end_with_one_digest(
    tmp_path: Path, built: list[str], overtaken: Callable[[Store, str, Image], None]
) -> None:
    store, root = Store(), tree(tmp_path)
    overtaken(store, tag_of(root), theirs(root))
    digest, _ = publish(store, root, ONE)
    assert digest == theirs(root).digest
    assert digest_of(store.tags[ONE][0]) == digest


def test_an_image_of_other_content_is_nobody_s_twin(
    tmp_path: Path, built: list[str], overtaken: Callable[[Store, str, Image], None]
) -> None:
    store, root = Store(), tree(tmp_path)
    overtaken(store, tag_of(root), lower("theirs"))
    digest, _ = publish(store, root, ONE)
    assert digest == image.make(root, "base", WHOLE).digest
    assert publish(store, root, TWO) == (digest, True)


class Word:
    """Who is believed; and what is attested, with the tags that were there by then."""

    def __init__(self, store: Store, *believed: str) -> None:
        self.believed, self.asked = set(believed), list[str | None]()
        self.attested = dict[str, set[str]]()
        self.origin, self._store = image.Origin(self.reusable, self.attest), store

    def reusable(self, digest: str | None) -> bool:
        self.asked.append(digest)
        return digest in self.believed

    def attest(self, digest: str) -> None:
        self.believed.add(digest)
        self.attested[digest] = {tag for tag in self._store.tags if not tag.startswith("sha256:")}


def test_what_another_has_put_there_is_taken_where_it_is_believed(
    tmp_path: Path, built: list[str], overtaken: Callable[[Store, str, Image], None]
) -> None:
    store, root = Store(), tree(tmp_path)
    own, other = image.make(root, "base", WHOLE).digest, theirs(root)
    overtaken(store, tag_of(root), other)
    stranger = Word(store)
    assert publish(store, root, ONE, origin=stranger.origin) == (own, True)
    assert list(stranger.attested) == [own], "never what somebody else has put there"
    twin = Word(store, other.digest)
    assert publish(store, root, TWO, origin=twin.origin) == (other.digest, False)
    assert not twin.attested


def test_what_nobody_vouches_for_is_built_again(tmp_path: Path, built: list[str]) -> None:
    store, root = Store(), tree(tmp_path)
    digest, _ = publish(store, root, ONE)
    word = Word(store)
    assert publish(store, root, TWO, origin=word.origin) == (digest, True)
    assert word.asked == [digest], "the refusal is told once"
    assert publish(store, root, ONE, origin=word.origin) == (digest, False)


def test_an_image_has_its_tags_once_it_is_attested(tmp_path: Path, built: list[str]) -> None:
    store, root = Store(), tree(tmp_path)
    word = Word(store)
    by = Builder("buildah", is_shared=False)
    refused = raising(RetrainError("no key"))
    with pytest.raises(RetrainError, match="no key"):
        publish(store, root, ONE, by, origin=image.Origin(word.reusable, refused))
    assert all(tag.startswith("sha256:") for tag in store.tags), "nothing stands in the way of the next"
    digest, _ = publish(store, root, ONE, by, origin=word.origin)
    assert word.attested == {digest: set()}


def test_a_commit_s_image_from_before_attestation_gets_its_word(
    tmp_path: Path, built: list[str]
) -> None:
    """Where it is built again byte for byte; else its tag stays, and the error says what to do."""
    store, root = Store(), tree(tmp_path)
    digest, _ = publish(store, root, ONE)
    word = Word(store)
    assert publish(store, root, ONE, origin=word.origin) == (digest, True)
    assert list(word.attested) == [digest]
    other = theirs(root)
    store.blobs |= {name: one for name, one in other.blobs.items() if isinstance(one, bytes)}
    store.push_manifest(TWO, other.manifest, other.kind)
    with pytest.raises(InputError, match=f"{TWO} is {other.digest}(.|\n)*{digest}(.|\n)*new commit"):
        publish(store, root, TWO, origin=word.origin)
    assert publish(store, root, "3" * 40, origin=word.origin) == (digest, False)


@pytest.mark.parametrize(
    ("log", "error", "said"),
    [
        ("THESE PACKAGES DO NOT MATCH THE HASHES", InputError, "its hash does not fit"),
        ("ERROR: No matching distribution found for numpy", InputError, "has no wheel"),
        ("no space left on device", RetrainError, "no space left on device"),
    ],
)
def test_what_an_engine_says_is_told(log: str, error: type[RetrainError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        builder._run(["sh", "-c", f"echo '{log}' >&2; exit 3"])
    assert log in str(caught.value)
    assert type(caught.value) is error


def test_engines_see_the_stages_files_with_modes_that_no_umask_changes(tmp_path: Path) -> None:
    root, folder = tree(tmp_path / "tree"), tmp_path / "context"
    (root / "poetry.lock").chmod(0o600)
    folder.mkdir()
    context.write(root, folder)
    found = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert found == {"Dockerfile": 0o644, "pyproject.toml": 0o644, "poetry.lock": 0o644}


def test_another_base_stands_in_the_dockerfile_that_engines_see(tmp_path: Path) -> None:
    root, other = tree(tmp_path / "tree"), f"debian:12{PIN}"
    (tmp_path / "context").mkdir()
    context.write(root, tmp_path / "context", other)
    seen = (tmp_path / "context" / "Dockerfile").read_text()
    assert seen == DOCKERFILE.replace(f"python:3.12{PIN}", other)
    assert dockerfile.bases(tmp_path / "context") == [other]


def test_this_repository_s_dockerfile_builds_on_one_pinned_image() -> None:
    [base, *others] = dockerfile.bases(settings.ROOT)
    assert (base.count("@sha256:"), others) == (1, [])


FOUND: list[tuple[list[str], set[Kind], str]] = [
    ([], {"docker", "buildah"}, "docker"),
    ([], {"buildah"}, "buildah"),
    ([], set(), "files"),
    (["--environment", "local"], {"docker"}, "files"),
    (["--environment", "production"], {"docker"}, "docker"),
    (["--environment", "production"], {"buildah"}, "files"),
    (["--environment", "production", "--builder", "buildah"], {"buildah"}, "buildah"),
]


@pytest.mark.parametrize(("words", "here", "expected"), FOUND)
def test_who_builds(
    words: list[str],
    here: set[Kind],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    used = list[str]()

    def make(root: Path, group: str, by: Builder) -> Image:
        used.append(by.kind)
        return lower()

    monkeypatch.setattr(builder, "found", lambda kind: kind in here | {"files"})
    monkeypatch.setattr(image, "make", make)
    monkeypatch.setattr(kept, "alone", lambda *_: nullcontext())
    monkeypatch.setattr(image, "save", lambda *_: settings.ROOT / "folder")
    assert build.main(words) == 0
    assert used == [expected]
    is_fallback = expected == "files" and "local" not in words
    assert ("the image holds its files alone" in capsys.readouterr().err) is is_fallback


def test_files_alone_never_get_to_where_whole_images_are_used() -> None:
    with pytest.raises(InputError, match="'production' has builder = 'docker': the image holds"):
        build.main(["--environment", "production", "--builder", "files", "--push"])


def test_an_engine_that_is_asked_for_has_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for kind in ("docker", "buildah"):
        assert not builder.found(kind)
        with pytest.raises(InputError, match="is not on this machine"):
            builder.needed(kind)
    assert builder.found("files")
