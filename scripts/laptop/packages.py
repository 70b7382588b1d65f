"""`./scripts/setup --packages GROUP`: what an image holds besides main, installed on this machine, once.

Into .local/packages/GROUP/KEY, where the local cloud finds it for the steps of such images alone.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delivery import lock, requirements
from delivery.command import run
from delivery.kept import PART, replacing
from delivery.requirements import Package
from delivery.settings import ROOT
from flows import config
from flows.errors import RetrainError
from laptop.shown import say
from laptop.world import CLOUD
from localcloud.environment import LOCAL, WHOLE

FOLDER = Path(".local") / "packages"
TAIL = 5  # lines of pip's in an error
FETCHED = re.compile(r"\s*(?:Downloading|Processing|Using cached) (?:\S*/)?(\S+\.whl)(?: \((\d.*)\))?")
CLOUDS = re.compile(r"http://[^/]*:x@127\.0\.0\.1:")  # the local cloud's proxy: no way to an index
# Nothing beyond what is locked: main's packages are those of .venv.
FIXED = ("--progress-bar=off", "--retries=1", "--no-deps", "--require-hashes", "--only-binary", ":all:")
LATER = "--no-compile"  # a step imports 700 of 4,900 modules of PyTorch; those are kept


def main(argv: list[str]) -> int:
    """Install what the named groups add."""
    for group in argv:
        ensure(group)
        say("packages", f"of image '{group}' are here")
    return 0


def needed(flows: list[str]) -> None:
    """Install what the images of these flows hold besides main.

    Raises as `ensure` does where there is one flow; of several, each has its own failure: its steps say
    what they lack.
    """
    for group in sorted({config.load(flow).image for flow in flows}):
        try:
            ensure(group)
        except RetrainError as error:
            if len(flows) == 1:
                raise
            print(f"error: {error}", file=sys.stderr, flush=True)


def ensure(group: str, root: Path = ROOT) -> None:
    """Install the packages that the image `group` holds besides main's, unless they are here.

    Raises InputError for a group that there is not, RetrainError with pip's last lines.
    """
    packages = lock.added(root, group)
    place = root / FOLDER / group / _key(packages)
    if not packages or place.exists():
        return
    with _alone(place.parent):
        if not place.exists():
            _install(root, group, packages, place)


def _install(root: Path, group: str, packages: list[Package], place: Path) -> None:
    """Whole or not at all; then what the group had before is no longer needed."""
    start = time.monotonic()
    say("packages", f"{len({one.name for one in packages})} more for image '{group}' · once")
    with replacing(place) as part, pip() as command:
        for chosen, indexes in _by_index(root, group, packages):
            file = part.parent / "wanted.txt"
            file.write_text("\n".join(package.line for package in chosen))
            wanted = [f"--extra-index-url={index}" for index in indexes]
            wanted += [*FIXED, LATER, "--target", str(part), "--requirement", str(file)]
            _run([*command, "install", *wanted], group)
    for old in place.parent.iterdir():
        if old.is_dir() and old != place:
            shutil.rmtree(old)
    say("packages", f"those of image '{group}' took {time.monotonic() - start:.0f} s")


@contextmanager
def pip() -> Iterator[list[str]]:
    """The command of a pip of this Python's, which .venv has none of."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run([sys.executable, "-m", "venv", name], env=plain(), check=True)
        yield [str(Path(name) / "bin" / "python"), "-m", "pip"]


def plain() -> dict[str, str]:
    """This process's variables without the local cloud's proxy: packages come from the real index.

    Whoever has signed for that is in the local cloud's whole bundle.
    """
    local, whole = (str(CLOUD / name) for name in (LOCAL, WHOLE))
    found = {key: value for key, value in os.environ.items() if not CLOUDS.match(value)}
    return {key: whole if value == local else value for key, value in found.items()}


def _by_index(
    root: Path, group: str, packages: list[Package]
) -> Iterator[tuple[list[Package], list[str]]]:
    """Packages, and where pip looks for them besides its own index: for versions like 1.0+cpu.

    PyPI takes no such version; and no other index is asked for what PyPI has.
    """
    for is_local in (False, True):
        if chosen := [package for package in packages if ("+" in package.version) == is_local]:
            yield chosen, requirements.indexes(root, group) if is_local else []


def _run(command: list[str], group: str) -> None:
    """Say what pip fetches. Raises RetrainError with its last lines."""
    lines = list[str]()
    with subprocess.Popen(
        command, env=plain(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if found := FETCHED.match(line):
                say("", " · ".join(part for part in found.groups() if part))
    if process.returncode:
        tail = "".join(f"  {line}" for line in lines[-TAIL:])
        what = f"the packages of image '{group}' could not be installed:\n{tail.rstrip()}"
        mend = "check the network and pip's index (pip config list), then call it again"
        raise RetrainError(what, mend)


def _key(packages: list[Package]) -> str:
    """The name of what this Python gets of them."""
    named = "\n".join((sys.version, *(package.line for package in packages)))
    return hashlib.sha256(named.encode()).hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One installation of the group at a time; what a killed one left goes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "alone").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("packages", f"waits: another process installs those of image '{folder.name}'")
            fcntl.flock(file, fcntl.LOCK_EX)
        for left in folder.glob(f"{PART}*"):
            shutil.rmtree(left)
        yield


if __name__ == "__main__":
    sys.exit(run(main))
