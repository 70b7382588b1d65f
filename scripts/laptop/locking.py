"""`./scripts/lock`: requirements/GROUP.txt from GROUP.in: each package by version and hashes."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from delivery import lock, requirements
from delivery.command import run
from delivery.requirements import Package
from delivery.settings import ROOT
from flows.errors import InputError, RetrainError
from laptop.packages import pip, plain
from laptop.shown import say

USUAL = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
CALL = 60.0  # seconds for a page
SUPPORTED = re.compile(r"cp311|cp312|cp313|py3|py2\.py3|abi3")
HEAD = (
    "# Made by ./scripts/lock {} of {}.in, with pip and the versions of poetry.lock: change that one.\n"
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="./scripts/lock", description=__doc__)
    main.add_argument("group", metavar="GROUP", help="the image's dependency group")
    return main


def main(argv: list[str]) -> int:
    """Write the group's file anew, whole or not at all."""
    group = parser().parse_args(argv).group
    source = ROOT / requirements.FOLDER / f"{group}.in"
    if not source.exists():
        raise InputError(
            f"{source.relative_to(ROOT)}: there is no such file", "write what it needs there"
        )
    asked, indexes = read(source)
    known = {one.requirement: one.hashes for one in requirements.load(ROOT, group)}
    pypi, chosen = [_index()], resolved(source, asked)
    pages = {one: indexes if "+" in one.version else pypi for one in chosen}
    found = [hashed(one, pages[one], known.get(one.requirement, ())) for one in chosen]
    text = HEAD.format(group, group) + "".join(f"--extra-index-url {index}\n" for index in indexes)
    target = ROOT / requirements.name(group)
    target.with_suffix(".part").write_text(text + "".join(map(written, found)))
    target.with_suffix(".part").replace(target)
    say("lock", f"{requirements.name(group)} · {len(found)} packages")
    return 0


def read(source: Path) -> tuple[list[Requirement], list[str]]:
    """What a GROUP.in asks for, and which further indexes. Raises InputError for what is neither."""
    lines = [line.strip() for line in source.read_text().splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    indexes = [found[1] for line in kept if (found := requirements.INDEX.fullmatch(line))]
    try:
        return [Requirement(line) for line in kept if not line.startswith("--")], indexes
    except ValueError as error:
        raise InputError(f"{source.name}: {error}") from None


def resolved(source: Path, asked: list[Requirement]) -> list[Package]:
    """What they need besides main, by pip, for this machine; and what is asked for others.

    Raises RetrainError with pip's last lines.
    """
    main = {canonicalize_name(Requirement(line).name) for line in lock.requirements(ROOT, lock.BASE)}
    with tempfile.TemporaryDirectory() as name, pip() as command:
        held, report = Path(name) / "held.txt", Path(name) / "report.json"
        held.write_text("\n".join(lock.requirements(ROOT, lock.BASE)))
        wanted = ["--only-binary", ":all:", "--constraint", str(held), "--requirement", str(source)]
        wanted += ["--dry-run", "--ignore-installed", "--retries=1", "--report", str(report)]
        done = _said([*command, "install", *wanted])
        if done.returncode:
            raise RetrainError(f"pip finds no versions for {source.name}:\n{done.stderr[-600:]}")
        chosen = json.loads(report.read_text())["install"]
    markers = {canonicalize_name(one.name): str(one.marker or "") for one in asked if _is_here(one)}
    own = [
        _chosen(one, markers) for one in chosen if canonicalize_name(one["metadata"]["name"]) not in main
    ]
    others = [_asked(one) for one in asked if not _is_here(one)]
    return sorted(own + others, key=lambda one: (one.name, one.requirement))


def hashed(package: Package, indexes: list[str], known: tuple[str, ...]) -> Package:
    """With the hashes of all its wheels in `indexes` for a supported Python, and those that were known.

    What is kept of an earlier file lets an index be out of reach: a version's files do not change.
    """
    found = {*package.hashes, *known}
    for page in indexes:
        found |= set(_hashes(page, package))
    if not found:
        raise RetrainError(f"no index in reach has {package.requirement}")
    return Package(package.name, package.version, package.marker, tuple(sorted(found)))


def written(package: Package) -> str:
    """One package in the file: a line a hash."""
    return " \\\n".join((package.requirement, *(f"    --hash={one}" for one in package.hashes))) + "\n"


def _is_here(one: Requirement) -> bool:
    return one.marker is None or one.marker.evaluate()


def _chosen(one: dict[str, Any], markers: Mapping[NormalizedName, str]) -> Package:
    name = canonicalize_name(one["metadata"]["name"])
    digest = one["download_info"]["archive_info"]["hashes"]["sha256"]
    return Package(
        name, one["metadata"]["version"], markers.get(name, "").replace("'", '"'), (f"sha256:{digest}",)
    )


def _asked(one: Requirement) -> Package:
    """Raises InputError where it does not say which version."""
    pin = str(one.specifier)
    if not pin.startswith("==") or "," in pin:
        raise InputError(
            f"'{one}' is for another system, which pip here cannot resolve for", "pin it: =="
        )
    return Package(canonicalize_name(one.name), pin[2:], str(one.marker), ())


def _hashes(index: str, package: Package) -> Iterator[str]:
    """The hashes of its wheels there; none, and said, where the index cannot be reached."""
    import requests

    try:
        answer = requests.get(f"{index}/{package.name}/", timeout=CALL)
        answer.raise_for_status()
    except requests.RequestException as error:
        say("lock", f"{package.requirement}: {index} is not in reach: the hashes known before are kept")
        say("", str(error)[:100])
        return
    for address in _links(answer.text):
        name, _, digest = urldefrag(address).url.rpartition("/")[2], "", urldefrag(address).fragment
        if digest.startswith("sha256=") and _is_wheel_of(unquote(name), package):
            yield digest.replace("=", ":", 1)


def _is_wheel_of(name: str, package: Package) -> bool:
    try:
        _, version, _, tags = parse_wheel_filename(name)
    except ValueError:
        return False
    used = any(SUPPORTED.fullmatch(tag.interpreter) or tag.abi == "abi3" for tag in tags)
    return used and version == Version(package.version)


def _links(page: str) -> list[str]:
    found = list[str]()

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for key, value in attrs if tag == "a" and key == "href" and value)

    Links().feed(page)
    return found


def _index() -> str:
    """pip's own index: by its variable, or else as its files say, or else its usual one."""
    found = plain().get("PIP_INDEX_URL", "")
    if not found:
        with pip() as command:
            found = _said([*command, "config", "get", "global.index-url"]).stdout.strip()
            found = found or _said([command[0], "-c", USUAL]).stdout
    return found.strip().rstrip("/")


def _said(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=plain(), capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(run(main))
