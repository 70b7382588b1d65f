"""No file, pipeline, release or command line names an image by what may mean another one tomorrow."""

import re
from pathlib import Path

import pytest
import yaml

from delivery import build, compiled, pipeline, releases, settings
from delivery import compile as compiling
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
HOSTS = r"(?:docker\.io|ghcr\.io|quay\.io|gcr\.io|[\w-]+-docker\.pkg\.dev)"
REFERENCE = re.compile(rf"\b{HOSTS}/[\w./-]*\w[:@][\w:.{{}}'*-]+")
FROM = re.compile(r"^\s*(?:FROM|ARG \w*(?:BASE|IMAGE)\w*=)\s*(\S+)", re.M)
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


def test_no_file_has_it() -> None:
    loose = [
        f"{name}: {found}"
        for name in tracked()
        if not name.startswith("tests/") and name != "poetry.lock"
        for found in REFERENCE.findall((settings.ROOT / name).read_text(errors="replace"))
        if not re.search(r"@sha256:|:[0-9a-f]{40}$", found)
    ]
    assert loose == []


def test_every_image_that_is_built_on_is_named_by_its_digest() -> None:
    files = [name for name in tracked() if name.endswith("Dockerfile")]
    assert "Dockerfile" in files
    for name in files:
        text = (ROOT / name).read_text()
        stages = set(re.findall(r"^FROM .* AS (\S+)", text, re.M))
        for base in FROM.findall(text):
            if base not in stages and not base.startswith("$"):
                pinned(base, name)


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
