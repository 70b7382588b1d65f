"""releases/ENV/FLOW.toml: what should serve. This module reads, validates, writes and changes it."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flows.errors import InputError
from flows.manifest import Sha256, Version
from flows.tables import Table, convert

Share = Annotated[int, Meta(ge=0, le=100)]
Image = Annotated[str, Meta(pattern=r"^[^@\s\"\\]+@sha256:[0-9a-f]{64}\Z")]
Address = Annotated[
    str,
    Meta(
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/models/[a-z][a-z0-9_]*/[a-z0-9-]+/manifest\.json\Z"
    ),
]
MOMENT = re.compile(r"v(\d{8}-\d{6})-[0-9a-f]{7}(?:-(\d+))?")


class Model(Table):
    """A model version by name, manifest (address and hash) and the image that made it."""

    version: Version
    manifest: Address
    sha256: Sha256
    image: Image


class Entry(Model):
    """A model version with its share of the traffic, in percent."""

    traffic: Share

    @property
    def model(self) -> tuple[str, ...]:
        """What is served, without its share."""
        return self.version, self.manifest, self.sha256, self.image


class Release(Table):
    """What serves one flow in one environment. The shares sum to 100."""

    schema: Literal[1] = 1
    champion: Entry
    challenger: Entry | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The champion, then the challenger where there is one."""
        return (self.champion, self.challenger) if self.challenger else (self.champion,)

    def entry(self, version: str) -> Entry | None:
        """The entry of `version`, or None."""
        return next((entry for entry in self.entries if entry.version == version), None)

    @property
    def newest(self) -> Entry:
        """The entry with the latest version."""
        return max(self.entries, key=lambda entry: age(entry.version))


def path(environment: str, flow: str) -> str:
    """The file's path inside the repository."""
    return f"releases/{environment}/{flow}.toml"


def age(version: str) -> tuple[str, int]:
    """What versions are ordered by: the trigger's time, then the number that --again appended."""
    found = MOMENT.fullmatch(version)
    if not found:
        raise InputError(f"'{version}' is not a version", "it looks like v20261121-084500-abc1234")
    return found[1], int(found[2] or 1)


def read(file: Path) -> Release | None:
    """The release in `file`; None where the file is absent. Raises InputError as `parse` does."""
    try:
        return parse(file.read_text(), str(file))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not valid TOML: {error}") from None


def parse(text: str | None, where: str) -> Release | None:
    """The release in `text`; None where `text` is. Raises InputError that says where and why."""
    if text is None:
        return None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not valid TOML: {error}") from None
    if "schema" not in tables:
        raise InputError(f"{where}: 'schema' is missing", "begin the file with: schema = 1")
    return check(convert(tables, Release, where), where)


def check(release: Release, where: str) -> Release:
    """`release` itself. Raises InputError where its entries contradict each other."""
    shares = [entry.traffic for entry in release.entries]
    if sum(shares) != 100:
        added = " + ".join(str(share) for share in shares)
        raise InputError(f"{where}: the traffic is {added} = {sum(shares)}", "make its sum 100")
    if len({entry.version for entry in release.entries}) < len(shares):
        raise InputError(
            f"{where}: champion and challenger are both {release.champion.version}",
            "take the challenger out, and give the champion 100",
        )
    for entry in release.entries:
        if entry.manifest.split("/")[-2] != entry.version:
            raise InputError(
                f"{where}: version {entry.version} has the manifest of another: {entry.manifest}",
                "take version, manifest, sha256 and image from one release pull request",
            )
    if len({entry.manifest.rsplit("/", 2)[0] for entry in release.entries}) > 1:
        raise InputError(f"{where}: champion and challenger are of different flows or buckets")
    return release


def write(release: Release) -> str:
    """The file's one canonical text. Raises InputError where `release` is not valid."""
    check(release, "the release")
    tables = ["schema = 1\n"]
    for name, entry in zip(("champion", "challenger"), release.entries, strict=False):
        fields = msgspec.to_builtins(entry).items()
        lines = [
            f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
            for key, value in fields
        ]
        tables.append("\n".join([f"[{name}]", *lines]) + "\n")
    return "\n".join(tables)


def propose(current: Release | None, candidate: Model, first_share: int) -> Release:
    """What `current` becomes by `candidate`.

    Nothing released yet, or a first share of 100 (a ladder of [100]: no steps): the candidate is
    champion at 100, alone. Otherwise it is challenger with `first_share` in the place of any other
    challenger, and the champion has the rest. Where it serves already, nothing changes.
    """
    if current and current.entry(candidate.version):
        return current
    if current is None or first_share >= 100:
        return Release(champion=_at(candidate, 100))
    champion = _at(current.champion, 100 - first_share)
    return Release(champion=champion, challenger=_at(candidate, first_share))


def _at(model: Model, share: int) -> Entry:
    return Entry(
        version=model.version,
        manifest=model.manifest,
        sha256=model.sha256,
        image=model.image,
        traffic=share,
    )
