"""What the files of releases/ declare, against settings, flows and the model store."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from delivery import releases
from delivery.candidate import Candidate
from delivery.lines import Source
from delivery.model_store import AGAIN, ModelStore
from delivery.releases import Entry, Release
from delivery.settings import Settings
from flows.errors import InputError, RetrainError
from flows.manifest import Manifest

FOLDER = "releases"
TAKE = "take version, manifest, sha256 and image from a release pull request"


class Declared(NamedTuple):
    """A flow's release in an environment, and the file that declares it."""

    environment: str
    flow: str
    release: Release
    text: str = ""
    origins: tuple[str, ...] = ()  # environments whose models it may name besides its own

    @property
    def file(self) -> str:
        """The file's path inside the repository."""
        return releases.path(self.environment, self.flow)

    def roles(self) -> Iterator[tuple[str, Entry]]:
        """The entries with the names of their tables."""
        yield from self.release.roles()

    def at(self, role: str, key: str) -> str:
        """FILE:LINE of a key of an entry, and the entry's table."""
        return f"{Source.of(self.file, self.text).at(f'{role}.{key}')}: [{role}]"


def files(root: Path, environment: str | None = None) -> list[str]:
    """Everything in releases/, or in one environment's folder there."""
    folder = root / FOLDER / (environment or "")
    return sorted(path.relative_to(root).as_posix() for path in folder.rglob("*") if not path.is_dir())


def read(root: Path, name: str, found: Settings, flows: list[str]) -> Declared:
    """What the file `name` declares. Raises InputError that says where, what and what was expected."""
    parts = PurePosixPath(name).parts
    if len(parts) != 3 or not name.endswith(".toml") or (root / name).is_symlink():
        raise InputError(f"{name}: nothing but ENVIRONMENT/FLOW.toml is in {FOLDER}/", "take it out")
    environment, flow = parts[1], parts[2].removesuffix(".toml")
    if environment not in found.environments:
        known = ", ".join(found.environments)
        raise InputError(f"{name}: settings.toml has no environment '{environment}'", f"it has: {known}")
    if flow not in flows:
        raise InputError(
            f"{name}: there is no flow '{flow}'", f"flows on this commit: {', '.join(flows)}"
        )
    text = _text(root, name)
    release = releases.parse(text, name)
    assert release is not None
    at = found.environment(environment)
    one = Declared(environment, flow, release, text, tuple(at.origins))
    _check_places(one, [at.model_store, *at.origins.values()])
    return one


def manifest(one: Declared, entry: Entry, store: ModelStore) -> Manifest:
    """The manifest of a declared model. Raises RetrainError where the store has not what is declared."""
    role = next(role for role, other in one.roles() if other == entry)
    try:
        found = store.manifest(_candidate(one, entry), one.origins)
    except RetrainError as error:
        raise RetrainError(f"{one.at(role, 'manifest')} {error.what}", error.mend) from None
    if found.serves != entry.image:
        what = f"image = '{entry.image}', its manifest says '{found.serves}'"
        raise RetrainError(f"{one.at(role, 'image')} {what}", AGAIN)
    return found


def _check_places(one: Declared, model_stores: list[str]) -> None:
    places = tuple(f"{store}/models/{one.flow}/" for store in model_stores)
    for role, entry in one.roles():
        if not entry.manifest.startswith(places):
            raise InputError(
                f"{one.at(role, 'manifest')} manifest = '{entry.manifest}',"
                f" expected one below {' or '.join(places)}",
                TAKE,
            )


def _candidate(one: Declared, entry: Entry) -> Candidate:
    return Candidate(
        schema=1,
        flow=one.flow,
        environment=one.environment,
        version=entry.version,
        manifest=entry.manifest,
        sha256=entry.sha256,
    )


def _text(root: Path, name: str) -> str:
    try:
        return (root / name).read_text()
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not valid TOML: {error}") from None
