"""The image, really built: with buildah, from a base that is made here, and run as a container."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.engine import Engine
from delivery import image, layout
from delivery.builder import Builder
from tests.clone import ROOT
from tests.image.container import Container


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """buildah with its store below .local: what is built there once is there the next time."""
    made = Engine(ROOT / ".local" / "image")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.variables.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="session")
def builder(engine: Engine) -> Builder:
    """The product's own builder, on the base that is made here."""
    return Builder("buildah", base=engine.base())


@pytest.fixture(scope="session")
def made(engine: Engine, builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree's image, as an OCI layout folder."""
    folder = tmp_path_factory.mktemp("image")
    with engine.alone():
        layout.write(image.make(ROOT, "base", builder), folder)
    return folder


@pytest.fixture(scope="session")
def container(engine: Engine, made: Path) -> Iterator[Container]:
    """A container of that image."""
    with engine.alone():
        started = Container.start(engine, made)
    yield started
    started.close()
