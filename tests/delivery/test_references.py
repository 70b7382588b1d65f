"""No file, pipeline, release or command line names an image by what may mean another one tomorrow."""

import re
from pathlib import Path

import pytest
import yaml

from delivery import build, compiled, pipeline, releases
from delivery import compile as compiling
from delivery.builder import BUILDER, BUILDKIT
from delivery.references import pinned
from flows import config
from flows.errors import InputError
from tests.clone import ROOT, tracked

DIGEST, COMMIT = "@sha256:" + "a1" * 32, ":" + "b2" * 20
NAME = "europe-west1-docker.pkg.dev/p/r/base"
LOOSE = [
    "",
    ":latest",
    ":3.12",
    ":main",
    ":b2b2b2b",
    "@sha256:a1",
    f":{'g' * 40}",
    f"{DIGEST}0",
    f"{COMMIT} x",
]
# An image, whatever follows its name; at Artifact Registry it is below a project's repository.
IMAGE = r"\b(?:(?:docker|ghcr|quay|gcr)\.io(?:/[\w.-]+)+|[\w-]+-docker\.pkg\.dev(?:/[\w.-]+){3,})"
REFERENCE = re.compile(rf"{IMAGE}(?:[:@][\w:.@{{}}'*-]+)?")
# Also in a program's text: a bench writes a Dockerfile.
FROM = re.compile(
    r"(?:^\s*|[\"'])(?:FROM\s+(?:--\S+\s+)*|ARG \w*(?:BASE|IMAGE)\w*=)([\w$][^\s\"'\\]*)", re.M
)
STAGE = re.compile(r"^\s*FROM .* AS (\S+)", re.M)
# buildx's cache, the one name that comes to mean something else: its layers are found by what they are
# made of, nothing runs it, and where images are attested nothing is taken from it.
CACHE = "artifact_registry}/cache:{group}"
TAGGED = re.compile(r"artifact_registry\}/[\w.{}-]+:[\w.{}()-]+")
RELEASE = """\
schema = 1
[champion]
version = "v20261121-084500-abc1234"
manifest = "s3://acme-models/models/recommender/v20261121-084500-abc1234/manifest.json"
sha256 = "{hash}"
image = "{image}"
traffic = 100
"""


@pytest.mark.parametrize("end", [DIGEST, COMMIT, f":3.12{DIGEST}", f":latest{DIGEST}"])
def test_a_digest_and_a_commit_s_tag_mean_one_image(end: str) -> None:
    assert pinned(NAME + end, "here") == NAME + end


@pytest.mark.parametrize("end", LOOSE)
def test_nothing_else_does(end: str) -> None:
    with pytest.raises(
        InputError, match=r"here: image '.*' is named by neither a digest nor a commit's"
    ):
        pinned(NAME + end, "here")


@pytest.mark.parametrize("end", LOOSE)
def test_no_compiled_pipeline_has_it(end: str, tmp_path: Path) -> None:
    flow = config.load("linnerud")
    with pytest.raises(InputError, match="pipeline linnerud: image"):
        compiled.spec(flow, NAME + end, tmp_path)
    with pytest.raises(InputError, match="pipeline linnerud: image"):
        pipeline.compile_pipeline(flow, NAME + end, tmp_path / "compiled.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", [*LOOSE, COMMIT])
def test_no_release_has_it(end: str) -> None:
    text = RELEASE.format(hash="1" * 64, image=NAME + end)
    with pytest.raises(InputError, match="image"):
        releases.parse(text, "x")
    assert releases.parse(text.replace(NAME + end, NAME + DIGEST), "x")


def test_no_command_line_takes_it(tmp_path: Path) -> None:
    image = f"{NAME}:latest"
    with pytest.raises(InputError, match=image):
        compiling.main(["--image", image, "--output", str(tmp_path)])
    with pytest.raises(InputError, match=image):
        build.main(["--builder", "buildah", "--base", image])


def texts() -> list[tuple[str, str]]:
    """Every file, but for the tests: those hold what is refused."""
    names = [name for name in tracked() if not name.startswith("tests/") and name != "poetry.lock"]
    return [(name, (ROOT / name).read_text(errors="replace")) for name in names]


def test_no_file_has_it() -> None:
    loose = [
        f"{name}: {found}"
        for name, text in texts()
        for found in REFERENCE.findall(text)
        if not re.search(r"@sha256:|:[0-9a-f]{40}$", found)
    ]
    assert loose == []


@pytest.mark.parametrize("end", ["", ":latest", ":3.12"])
def test_it_would_be_found(end: str) -> None:
    assert REFERENCE.findall(f'image = "{NAME}{end}"') == [NAME + end]
    assert FROM.findall(f'TEXT = """FROM python{end}\n') == [f"python{end}"]
    assert FROM.findall(f"FROM --platform=linux/amd64 python{end} AS x\n") == [f"python{end}"]


def test_every_image_that_is_built_on_is_named_by_its_digest() -> None:
    """In a Dockerfile, or in the text of a program that writes one."""
    found = {(name, base) for name, text in texts() for base in FROM.findall(text)}
    stages = {(name, stage) for name, text in texts() for stage in STAGE.findall(text)}
    assert "Dockerfile" in {name for name, _ in found}
    for name, base in found - stages:
        if base != "scratch" and not base.startswith("$"):
            pinned(base, name)


def test_what_builds_is_named_by_its_digest_and_its_builder_by_its_version() -> None:
    assert pinned(BUILDKIT, "builder") == BUILDKIT
    assert BUILDKIT.partition("@")[0].rpartition(":")[2] == BUILDER.rpartition("-")[2]


def test_the_build_s_cache_is_the_one_tag_that_moves() -> None:
    assert {found for _, text in texts() for found in TAGGED.findall(text)} == {CACHE}


def test_every_image_in_yaml_is_the_pipeline_s_or_pinned() -> None:
    images = {
        found
        for name in tracked()
        if name.endswith((".yaml", ".yml"))
        for document in yaml.safe_load_all((ROOT / name).read_text())
        for found in _images(document)
    }
    assert pipeline.PLACEHOLDER in images
    for image in images - {"set-at-compile"}:  # components': the pipeline sets it
        pinned(image, "a YAML file")


def _images(value: object) -> list[str]:
    """The texts below keys that hold an image."""
    if isinstance(value, list):
        return [found for item in value for found in _images(item)]
    if not isinstance(value, dict):
        return []
    own = [v for k, v in value.items() if k in ("image", "container") and isinstance(v, str)]
    return own + [found for item in value.values() for found in _images(item)]
