"""A real local cloud for the tests that need one: a process of its own, in a folder of its own."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tools import lacks
from localcloud.client import Client, free_port
from localcloud.cloud import World
from localcloud.environment import Environment
from tests import programs, shared
from tests.clone import Clone, Ended, clone, own_files
from tests.order import Scheduling, rank

ROOT = Path(__file__).parents[1]
WORLD = World("test-project", "100000000009", "europe-west1", "acme/tests", "eu-west-1")
PRODUCT = str(ROOT / "vertex-ai-pipelines")
Program = Callable[[str], Any]
SERVERS = {"cloud", "hub", "newcomer", "builder"}  # fixtures that start a server, or build


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--image`: for machines where the image has to be proven."""
    parser.addoption("--image", action="store_true", help="fail where no whole image can be built")


def pytest_configure(config: pytest.Config) -> None:
    """Raises UsageError where `--image` asks for what this machine cannot do."""
    if config.getoption("--image") and (why := lacks()):
        raise pytest.UsageError(f"--image: no whole image can be built: {why}")
    if not hasattr(config, "workerinput"):
        shared.begin()
        config.add_cleanup(shared.end)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Of the workers' files."""
    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was left out, and why; what the images weigh."""
    for report in terminalreporter.getreports("passed"):
        for name, said in report.user_properties:
            if name == "weighs":
                terminalreporter.write_line(str(said))
    if why := lacks():
        terminalreporter.write_line(f"left out: the image's tests (tests/image): {why}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The image's tests where no whole image can be built."""
    return True if collection_path == ROOT / "tests" / "image" and lacks() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lasts long first. What talks to a server, or builds, is left out by ./scripts/test --fast."""
    items.sort(key=lambda item: rank(item.nodeid))
    for item in items:
        served = SERVERS & set(getattr(item, "fixturenames", ()))
        if served or "localcloud" in item.path.relative_to(ROOT).parts:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One local cloud for all tests of a worker; its port is any that is free."""
    client = Client(tmp_path_factory.mktemp("cloud"))
    client.up(WORLD, free_port())
    yield client
    client.down()


@pytest.fixture(scope="session")
def owner(cloud: Client) -> Environment:
    """The environment of the person at the keyboard."""
    return cloud.environment().alone()


@pytest.fixture(scope="session")
def run_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs a program with unmodified SDKs in a local cloud; what it leaves in `answer` comes back."""
    folder = tmp_path_factory.mktemp("programs")

    def run(cloud: Client, code: str, account: str = "") -> Any:
        variables = {**os.environ, "PYTHONPATH": PRODUCT, "WHO": account}
        return programs.run(code, folder, cloud.environment(account).alone().over(variables))

    return run


@pytest.fixture(scope="session")
def program(cloud: Client, run_in: Callable[..., Any]) -> Program:
    """Runs a program in the tests' own local cloud."""
    return partial(run_in, cloud)


@pytest.fixture(scope="session")
def as_account(cloud: Client, run_in: Callable[..., Any]) -> Callable[[str, str], Any]:
    """Runs a program on a machine of the cloud that has a service account: (account, program)."""
    return lambda account, code: run_in(cloud, code, account)


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """A fresh clone, for what is told of a first run."""
    with clone(tmp_path_factory.mktemp("newcomer")) as made:
        yield made


@pytest.fixture(scope="session")
def untouched(newcomer: Clone) -> dict[str, str]:
    """The newcomer's own files before anything has run."""
    return own_files(newcomer.folder)


@pytest.fixture(scope="session")
def first(newcomer: Clone, untouched: dict[str, str]) -> Ended:
    """The newcomer's first run, from the tree as it is."""
    assert untouched
    return newcomer.run()
