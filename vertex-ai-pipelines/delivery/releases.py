"""releases/ENV/FLOW.toml: what should serve. This module reads, validates, writes and changes it."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from msgspec import Meta

from delivery.lines import Source
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
ROLES = ("champion", "challenger")
# A version and its share stand together: git merges no new version with a share of another.
ORDER = ("version", "traffic", "manifest", "sha256", "image")
FORMS = {
    "version": "the name of a model's version, such as v20261121-084500-abc1234",
    "manifest": "s3://BUCKET/models/FLOW/VERSION/manifest.json",
    "sha256": "the 64 hexadecimal digits of the manifest's SHA-256, in lower case",
    "image": "REGISTRY/NAME@sha256:DIGEST",
}
MISFORMED = re.compile(
    rf"matching regex .* at `(?P<name>(?P<table>{'|'.join(ROLES)})\.(?P<key>{'|'.join(FORMS)}))`"
)
MOMENT = re.compile(r"v(\d{8}-\d{6})-[0-9a-f]{7}(?:-(\d+))?")


class Model(Table):
    """A model version by name, manifest (address and hash) and the image that made it."""

    version: Version
    manifest: Address
    sha256: Sha256
    image: Image

    @property
    def bucket(self) -> str:
        """The bucket of the model store that has it."""
        return self.manifest.split("/")[2]


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

    def roles(self) -> Iterator[tuple[str, Entry]]:
        """The entries with the names of their tables."""
        yield from zip(ROLES, self.entries, strict=False)

    def entry(self, version: str) -> Entry | None:
        """The entry of `version`, or None."""
        return next((entry for entry in self.entries if entry.version == version), None)

    @property
    def shares(self) -> dict[str, int]:
        """Each version's share of the traffic, in percent."""
        return {entry.version: entry.traffic for entry in self.entries}

    @property
    def newest(self) -> Entry:
        """The entry with the latest version."""
        return max(self.entries, key=lambda entry: age(entry.version))


def path(environment: str, flow: str) -> str:
    """The file's path inside the repository."""
    return f"releases/{environment}/{flow}.toml"


def prune(environment: str, flow: str) -> str:
    """The command that ends what goes on serving where the release's file is gone."""
    return f"./scripts/deploy {flow} --environment {environment} --prune"


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
    source = Source.of(where, text)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source.at_error(str(error))}: not valid TOML: {error}") from None
    if "schema" not in tables:
        raise InputError(f"{source.at('')}: 'schema' is missing", "begin the file with: schema = 1")
    try:
        release = convert(tables, Release, where)
    except InputError as error:
        what = error.what.removeprefix(where)
        at = source.at_error(what)
        if misformed := MISFORMED.search(what):
            _refuse_form(at, tables, misformed)
        raise InputError(f"{at}{what}", error.mend) from None
    return check(release, source)


def _refuse_form(at: str, tables: dict[str, Any], found: re.Match[str]) -> NoReturn:
    """Raises InputError for a text that is not of its key's form."""
    name, key = found["name"], found["key"]
    value = tables[found["table"]][key]
    raise InputError(f"{at}: {name} = '{value}' is not of the right form", f"write {FORMS[key]}")


def check(release: Release, source: Source) -> Release:
    """`release` itself. Raises InputError where its entries contradict each other."""
    shares = [entry.traffic for entry in release.entries]
    last = ROLES[len(shares) - 1]
    if sum(shares) != 100:
        added = " + ".join(str(share) for share in shares)
        raise InputError(
            f"{source.at(f'{last}.traffic')}: the traffic is {added} = {sum(shares)}", "make its sum 100"
        )
    if len({entry.version for entry in release.entries}) < len(shares):
        raise InputError(
            f"{source.at(f'{last}.version')}: champion and challenger are both"
            f" {release.champion.version}",
            "take the challenger out, and give the champion 100",
        )
    for role, entry in release.roles():
        if entry.manifest.split("/")[-2] != entry.version:
            raise InputError(
                f"{source.at(f'{role}.manifest')}: version {entry.version} has the manifest of another:"
                f" {entry.manifest}",
                "take version, manifest, sha256 and image from one release pull request",
            )
    if len({entry.manifest.split("/")[4] for entry in release.entries}) > 1:
        raise InputError(
            f"{source.at(f'{last}.manifest')}: champion and challenger are of different flows"
        )
    return release


def write(release: Release) -> str:
    """The file's one canonical text. Raises InputError where `release` is not valid."""
    check(release, Source("the release"))
    tables = ["schema = 1\n"]
    for role, entry in release.roles():
        values = [(key, getattr(entry, key)) for key in ORDER]
        lines = [
            f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
            for key, value in values
        ]
        tables.append("\n".join([f"[{role}]", *lines]) + "\n")
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
        return alone(candidate)
    champion = _at(current.champion, 100 - first_share)
    return Release(champion=champion, challenger=_at(candidate, first_share))


def promote(current: Release | None, ladder: Sequence[int]) -> Release:
    """`current` one rung on: the challenger with the next share of the `ladder`.

    At its end the challenger becomes champion, alone. Raises InputError where there is no challenger.
    """
    _, challenger = _both(current, "promoted")
    share = next((rung for rung in ladder if rung > challenger.traffic), 100)
    return split(current, share) if share < 100 else alone(challenger)


def share(text: str) -> int:
    """A challenger's share of the traffic, in percent. Raises InputError where it cannot have that."""
    if not re.fullmatch("[1-9][0-9]?", text):
        raise InputError(
            f"a challenger cannot have {text} % of the traffic",
            "write 1 to 99; ./scripts/promote makes it champion, ./scripts/rollback takes it out",
        )
    return int(text)


def split(current: Release | None, share: int) -> Release:
    """`current` with `share` percent for the challenger. Raises InputError where there is none."""
    champion, challenger = _both(current, "given a share")
    return Release(champion=_at(champion, 100 - share), challenger=_at(challenger, share))


def alone(model: Model) -> Release:
    """`model` as champion with all of the traffic."""
    return Release(champion=_at(model, 100))


def before(current: Release, earlier: Iterable[Release]) -> Entry | None:
    """The champion that served before `current`'s: the first older one of `earlier`, newest first.

    A version that was rolled back is newer: rolling back twice goes further back.
    """
    now = age(current.champion.version)
    champions = (release.champion for release in earlier)
    return next((entry for entry in champions if age(entry.version) < now), None)


def _both(current: Release | None, done: str) -> tuple[Entry, Entry]:
    if current is None:
        raise InputError(f"nothing is released: there is nothing to be {done}", "release a model first")
    if current.challenger is None:
        raise InputError(
            f"there is no challenger to be {done}: {current.champion.version} serves alone",
            "merge a release pull request first: its candidate becomes the challenger",
        )
    return current.champion, current.challenger


def _at(model: Model, share: int) -> Entry:
    return Entry(
        version=model.version,
        manifest=model.manifest,
        sha256=model.sha256,
        image=model.image,
        traffic=share,
    )
