"""trust/ENV.jsonl: the Sigstores whose word on an image counts; and in trust/ENV.toml, for whom.

One trusted root a line, as `gh attestation trusted-root` prints them. Both files are reviewed.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec

from delivery import settings, trust
from delivery.grants import Repository
from delivery.settings import Environment
from flows.errors import InputError
from flows.tables import Table

FORM = "application/vnd.dev.sigstore.trustedroot+json"


class _Toml(Table):
    """The repository and its owner by GitHub's numbers: a name can go to somebody else."""

    schema: Literal[1]
    repository_id: int
    owner_id: int


class Span(msgspec.Struct, frozen=True):
    """From when to when something counts."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, time: datetime) -> bool:
        """Whether the time is in it."""
        return (self.start is None or self.start <= time) and (self.end is None or time < self.end)


class _Certificate(msgspec.Struct, rename="camel"):
    raw_bytes: bytes


class _Chain(msgspec.Struct):
    certificates: list[_Certificate]


class Authority(msgspec.Struct, rename="camel", dict=True):
    """Certificates, from the one that signs up to the root."""

    cert_chain: _Chain
    valid_for: Span = Span()

    @cached_property
    def certificates(self) -> list[Any]:
        """Those of `cryptography`. Raises ValueError."""
        from cryptography.x509 import load_der_x509_certificate

        return [load_der_x509_certificate(one.raw_bytes) for one in self.cert_chain.certificates]


class _Json(msgspec.Struct, rename="camel"):
    media_type: str
    certificate_authorities: list[Authority]
    tlogs: list[Any] = []
    timestamp_authorities: list[Authority] = []


@dataclass(frozen=True)
class Root:
    """One instance: `text` is its JSON; `is_logged`, whether a public log has to have each signature."""

    text: bytes
    authorities: list[Authority]
    stampers: list[Authority]
    is_logged: bool


def path(environment: Environment) -> Path:
    """Where the environment's trusted roots are."""
    return trust.path(environment).with_suffix(".jsonl")


def read(environment: Environment) -> list[Root]:
    """The environment's roots. Raises InputError for a file that is missing, empty, or no such roots."""
    file = path(environment)
    where = file.relative_to(settings.ROOT)
    mend = f"gh attestation trusted-root > {where}, and read what it says"
    if not file.exists():
        raise InputError(f"{where}: there is no such file: no attestation of GitHub's counts", mend)
    lines = enumerate(file.read_bytes().splitlines(), 1)
    found = [_root(line, f"{where}:{number}", mend) for number, line in lines if line.strip()]
    if not found:
        raise InputError(f"{where}: it names nobody: no attestation of GitHub's counts", mend)
    return found


def repository(environment: Environment) -> Repository:
    """Whose workflow counts, as trust/ENV.toml says. Raises InputError where it does not."""
    where = trust.path(environment).relative_to(settings.ROOT)
    if not (settings.ROOT / where).exists():
        mend = f"./scripts/doctor {environment.name} says what belongs there"
        raise InputError(f"{where}: there is no such file: whose attestations count?", mend)
    found = trust.load(where, _Toml, "repository_id and owner_id, GitHub's numbers")
    return Repository(settings.load().repository, found.repository_id, found.owner_id)


def _root(line: bytes, where: str, mend: str) -> Root:
    try:
        found = msgspec.json.decode(line, type=_Json)
        lengths = [len(one.certificates) for one in found.certificate_authorities]
        stampers = [len(one.certificates) for one in found.timestamp_authorities]
    except (msgspec.MsgspecError, ValueError) as error:
        raise InputError(f"{where}: it is no trusted root of Sigstore's: {error}", mend) from None
    is_whole = lengths and min(lengths) >= 1 and min(stampers, default=2) >= 2
    if not found.media_type.startswith(FORM) or not is_whole:
        raise InputError(f"{where}: it is no trusted root with certificates: '{found.media_type}'", mend)
    return Root(line, found.certificate_authorities, found.timestamp_authorities, bool(found.tlogs))
