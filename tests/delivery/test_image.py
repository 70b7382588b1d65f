"""The image: which files it holds, when it is a new one, and how a commit names it."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from delivery import build, context, dockerfile, image, settings
from delivery.layout import Image, digest_of
from delivery.registry import Registry
from flows.errors import InputError, RetrainError

DOCKERFILE = """\
FROM python:3.12 AS packages
COPY pyproject.toml poetry.lock ./

FROM python:3.12
RUN useradd app
COPY --from=packages /packages /usr/local
WORKDIR /app
ENV PYTHONPATH=/app GREETING="good day"
COPY code/flows /app/flows
COPY LICENSE /app/
USER 10001
CMD ["python", "-m", "flows"]
"""
IGNORE = """\
# Nothing but what is named.
*
!pyproject.toml
!poetry.lock
!LICENSE
!code/flows
code/flows/*/flow.toml
code/flows/*/*.sql
code/flows/*/sample.py
**/__pycache__
"""
LOCK = """\
[[package]]
name = "numpy"
version = "2.4.0"
groups = ["main"]
files = [{file = "numpy.whl", hash = "sha256:aa"}]

[[package]]
name = "pytest"
version = "9.0.0"
groups = ["dev"]
files = [{file = "pytest.whl", hash = "sha256:bb"}]

[[package]]
name = "torch"
version = "2.13.0"
groups = ["torch", "dev"]
files = [{file = "torch.whl", hash = "sha256:cc"}]
"""
FILES = {
    "Dockerfile": DOCKERFILE,
    ".dockerignore": IGNORE,
    "poetry.lock": LOCK,
    "pyproject.toml": "[project]",
    "LICENSE": "MIT",
    "README.md": "hello",
    "settings.toml": "schema = 1",
    "tests/test_it.py": "assert True",
    "code/delivery/submit.py": "1",
    "code/flows/__init__.py": "",
    "code/flows/step.py": "2",
    "code/flows/shop/flow.py": "3",
    "code/flows/shop/flow.toml": "schema = 1",
    "code/flows/shop/query.sql": "SELECT 1",
    "code/flows/shop/sample.py": "4",
    "code/flows/__pycache__/step.cpython-312.pyc": "5",
    "code/flows/shop/__pycache__/flow.cpython-312.pyc": "6",
}
COPIED = {
    "/app/LICENSE": "LICENSE",
    "/app/flows/__init__.py": "code/flows/__init__.py",
    "/app/flows/shop/flow.py": "code/flows/shop/flow.py",
    "/app/flows/step.py": "code/flows/step.py",
}
Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Makes the small tree in a folder of that name, with some of its files changed."""

    def make(name: str = "tree", **changed: str) -> Path:
        for path, text in {**FILES, **changed}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / name

    return make


def layer_of(made: Image) -> bytes:
    """The one layer of a local image."""
    [entry] = json.loads(made.manifest)["layers"]
    data = made.blobs[entry["digest"]]
    assert isinstance(data, bytes)
    return data


def with_line(old: str, new: str) -> dict[str, str]:
    """The Dockerfile with one of its lines changed."""
    assert DOCKERFILE.count(old) == 1
    return {"Dockerfile": DOCKERFILE.replace(old, new)}


def test_it_holds_the_copied_files_and_not_the_ignored_ones(tree: Tree) -> None:
    root = tree()
    assert context.files(root) == {inside: root / path for inside, path in COPIED.items()}


def test_the_layer_has_the_files_bytes_and_nothing_of_this_machine(tree: Tree) -> None:
    layer = layer_of(image.make(tree()))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        found = {entry.name: entry for entry in tar.getmembers()}
        texts = {name: tar.extractfile(name).read().decode() for name in found}  # type: ignore[union-attr]
    assert texts == {inside.lstrip("/"): FILES[path] for inside, path in COPIED.items()}
    assert layer[4:8] == bytes(4), "gzip's own time"
    assert list(found) == sorted(found)
    assert {(e.mtime, e.uid, e.uname, e.mode) for e in found.values()} == {(0, 0, "", 0o644)}


def test_its_settings_are_the_dockerfile_s(tree: Tree) -> None:
    config = image.make(tree()).config["config"]
    assert config["WorkingDir"] == "/app"
    assert config["User"] == "10001"
    assert config["Cmd"] == ["python", "-m", "flows"]
    assert config["Env"] == ["PYTHONPATH=/app", "GREETING=good day"]
    assert config["Labels"]["retrain.content"] == image.content_key(tree())


MARKED = """
[[package]]
name = "six"
version = "1.17.0"
groups = ["main", "torch"]
markers = {main = "python_version < \\"3.13\\""}
files = []

[[package]]
name = "cffi"
version = "2.1.0"
groups = ["main"]
markers = "sys_platform != \\"win32\\""
files = []
"""


def test_it_says_what_its_base_would_hold(tree: Tree) -> None:
    root = tree(**{"poetry.lock": LOCK + MARKED})

    def labels(group: str) -> tuple[list[str], str]:
        found = image.make(root, group).config["config"]["Labels"]
        return found["python.requirements"].splitlines(), found["python.requirements.group"]

    cffi = 'cffi==2.1.0 ; (sys_platform != "win32")'
    six = 'six==1.17.0 ; (python_version < "3.13")'
    assert labels("base") == ([cffi, "numpy==2.4.0", six], "main")
    assert labels("torch") == ([cffi, "numpy==2.4.0", "six==1.17.0", "torch==2.13.0"], "main + torch")


def test_its_manifest_is_one_that_any_engine_takes(tree: Tree) -> None:
    made = image.make(tree())
    manifest, data = json.loads(made.manifest), layer_of(made)
    for entry in (manifest["config"], *manifest["layers"]):
        blob = made.blobs[entry["digest"]]
        assert isinstance(blob, bytes)
        assert (digest_of(blob), len(blob)) == (entry["digest"], entry["size"])
    assert made.config["rootfs"]["diff_ids"] == [digest_of(gzip.decompress(data))]


def test_the_same_files_elsewhere_and_later_are_the_same_image(tree: Tree) -> None:
    one, two = tree("one"), tree("two")
    for path in two.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    assert image.make(one) == image.make(two)


@pytest.mark.parametrize(
    "changed",
    [
        {"code/flows/step.py": "2 # changed"},
        {"code/flows/new.py": ""},
        {"LICENSE": "Apache-2.0"},
        {"poetry.lock": LOCK.replace("2.4.0", "2.4.1")},
        {"poetry.lock": LOCK.replace("sha256:aa", "sha256:ab")},
        {"poetry.lock": LOCK.replace('["dev"]', '["main", "dev"]')},
        with_line("RUN useradd app", "RUN useradd apps"),
        {".dockerignore": IGNORE.replace("code/flows/*/sample.py\n", "")},
    ],
)
def test_what_it_holds_decides_its_content_key(tree: Tree, changed: dict[str, str]) -> None:
    assert image.content_key(tree("before")) != image.content_key(tree("after", **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"poetry.lock": LOCK.replace("9.0.0", "9.0.1")},
        {"poetry.lock": LOCK.replace("2.13.0", "2.14.0")},
        {"poetry.lock": LOCK + '[metadata]\ncontent-hash = "other"\n'},
        {"code/flows/shop/flow.toml": "schedule = 'now'"},
        {"code/flows/shop/query.sql": "SELECT 2"},
        {"code/flows/shop/sample.py": "5"},
        {"code/flows/other/flow.toml": "schema = 1"},
        {"code/delivery/submit.py": "2"},
        {"tests/test_it.py": "assert False"},
        {"settings.toml": "schema = 2"},
        {"README.md": "good day"},
    ],
)
def test_nothing_else_rebuilds_it(tree: Tree, changed: dict[str, str]) -> None:
    before, after = tree("before"), tree("after", **changed)
    assert image.content_key(before) == image.content_key(after)
    assert image.make(before).digest == image.make(after).digest


def test_a_group_of_its_own_has_a_content_key_of_its_own(tree: Tree) -> None:
    root, newer = tree("one"), tree("two", **{"poetry.lock": LOCK.replace("2.13.0", "2.14.0")})
    assert image.content_key(root) != image.content_key(root, "torch")
    assert image.content_key(root, "torch") != image.content_key(newer, "torch")


def test_paths_are_read_as_docker_reads_them(tree: Tree) -> None:
    below = tree("below", **with_line("code/flows /app/flows", "./code/flows/ flows/"))
    assert sorted(context.files(below)) == sorted(COPIED)
    renamed = tree("renamed", **with_line("LICENSE /app/", "LICENSE /app/COPYING"))
    assert context.files(renamed)["/app/COPYING"] == renamed / "LICENSE"
    beside = tree("beside", **with_line("LICENSE /app/", "LICENSE ."))
    assert context.files(beside)["/app/LICENSE"] == beside / "LICENSE"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("COPY code", "COPY --chown=app code", "COPY --chown=app code/flows /app/flows"),
        ("COPY LICENSE /app/", 'COPY ["LICENSE", "/app/"]', "is not of the form COPY SOURCE TARGET"),
        ("COPY LICENSE /app/", "COPY LICENSE pyproject.toml /app", "COPY LICENSE pyproject.toml"),
        ("COPY LICENSE", "COPY LICENCE", "'COPY LICENCE /app' copies nothing"),
        ("COPY LICENSE", "COPY L*", "'COPY L* /app' copies nothing"),
        ("COPY LICENSE", "COPY README.md", "'COPY README.md /app' copies nothing"),
        ("COPY LICENSE", "ADD LICENSE", "ADD"),
        ("USER 10001", 'ENTRYPOINT ["python"]', "ENTRYPOINT"),
        ("USER 10001\n", "", "USER"),
        ("ENV PYTHONPATH=/app", "ENV PYTHONPATH /app", "ENV PYTHONPATH /app"),
        ("ENV PYTHONPATH=/app", "ENV PYTHONPATH=$HOME", "'ENV PYTHONPATH=$HOME' names another variable"),
        ("FROM python:3.12 AS packages", "FROM python:3.12 packages", "is not of the form FROM BASE AS"),
        ('CMD ["python", "-m", "flows"]', "CMD python -m flows", "CMD"),
    ],
)
def test_what_is_not_understood_is_named(tree: Tree, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        image.make(tree(**with_line(old, new)))
    assert str(caught.value).startswith("Dockerfile: ")
    assert said in str(caught.value)


def test_a_tree_without_a_dockerfile_is_named(tree: Tree) -> None:
    root = tree()
    (root / "Dockerfile").unlink()
    with pytest.raises(InputError, match="Dockerfile: there is no such file"):
        image.content_key(root)


def test_this_repository_s_image_holds_the_flows_code_alone() -> None:
    found = context.files(settings.ROOT)
    flows = settings.ROOT / "vertex-ai-pipelines" / "flows"
    assert {"/app/flows/step.py", "/app/flows/__main__.py", "/app/flows/recommender/flow.py"} <= set(
        found
    )
    for inside, path in found.items():
        assert inside == f"/app/flows/{path.relative_to(flows)}"
        assert path.suffix == ".py", "only modules"
        assert path.name != "sample.py"


def test_this_repository_s_steps_find_their_module_and_no_entrypoint() -> None:
    plan = dockerfile.recipe(settings.ROOT)
    assert "PYTHONPATH=/app" in plan.variables
    assert (plan.workdir, plan.user) == ("/app", "10001")


def test_the_verb_lists_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--print"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(context.files(settings.ROOT))
    assert all(line.startswith("/app/flows/") and line.endswith(" bytes") for line in lines)


def test_the_verb_tells_the_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["--json", "--builder", "files"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"group": "base", "digest": image.make(settings.ROOT).digest, "new": False}


ONE, TWO = "1" * 40, "2" * 40


@pytest.mark.slow
def test_the_same_content_at_another_commit_is_not_built_again(
    registry: Registry, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = image.make(tree()).digest
    assert image.publish(registry, tree(), "base", ONE) == (local, True)
    digest = local
    monkeypatch.setattr(image, "make", lambda *_: pytest.fail("it was built again"))
    assert image.publish(registry, tree("again"), "base", TWO) == (digest, False)
    assert [image.resolve(registry, commit) for commit in (ONE, TWO)] == [digest, digest]
    found = registry.manifest(digest)
    assert found
    assert digest_of(found[0]) == digest


@pytest.mark.slow
def test_other_content_leaves_the_first_commit_s_image_alone(registry: Registry, tree: Tree) -> None:
    first, _ = image.publish(registry, tree("one"), "base", ONE)
    second, new = image.publish(registry, tree("two", LICENSE="Apache-2.0"), "base", TWO)
    assert new
    assert [image.resolve(registry, commit) for commit in (ONE, TWO)] == [first, second]
    assert first != second


@pytest.mark.slow
def test_a_commit_without_an_image_is_named(registry: Registry) -> None:
    with pytest.raises(InputError, match=rf"no image {registry.name}:{ONE}(.|\n)*build this commit"):
        image.resolve(registry, ONE)


@pytest.mark.slow
def test_what_the_registry_refuses_is_told(registry: Registry) -> None:
    with pytest.raises(RetrainError, match=r"blob sha256:0: 400 (.|\n)*may write"):
        registry.push_blob(b"other", "sha256:0")
