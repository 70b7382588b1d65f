"""trust/ENV.toml: the keys whose word on an image counts. It is reviewed, as code is."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from delivery import settings
from delivery.settings import Environment
from flows.errors import InputError
from flows.tables import Table, convert, load_toml

T = TypeVar("T")


class TrustedKey(Table):
    """One version of a key in Cloud KMS, by its resource name, and its public half as PEM.

    After `until`, nothing that it signed counts any more.
    """

    name: str
    public: str
    until: datetime | None = None


class _Toml(Table):
    schema: Literal[1]
    keys: list[TrustedKey]


def path(environment: Environment) -> Path:
    """Where the environment's trust root is."""
    return settings.ROOT / "trust" / f"{environment.name}.toml"


def read(environment: Environment) -> list[TrustedKey]:
    """The environment's keys. Raises InputError for a file that is missing, or is not of its form."""
    where = path(environment).relative_to(settings.ROOT)
    if not (settings.ROOT / where).exists():
        mend = f"./scripts/doctor {environment.name} says what belongs there"
        raise InputError(f"{where}: there is no such file: no signature on an image counts", mend)
    keys = load(where, _Toml, "[[keys]], each with name and public").keys
    names = [key.name for key in keys]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(
            f"{where}: it names {twice.pop()} twice", "a version of a key has one public key"
        )
    for key in keys:
        public_key(key, str(where))
        if key.until and key.until.tzinfo is None:
            raise InputError(f"{where}: until = {key.until} has no time zone", "end it with Z")
    return keys


def load(where: Path, kind: type[T], belongs: str) -> T:
    """A trust root, from the repository's root. Raises InputError that says what `belongs` there."""
    try:
        return convert(load_toml(settings.ROOT / where), kind, str(where))
    except InputError as error:
        mend = f"with this environment's attest, schema = 1 and {belongs}, belong there"
        raise InputError(error.what, mend) from None


def publics(keys: list[TrustedKey]) -> Mapping[str, Any]:
    """The public halves by name, of those that count no more, too."""
    return {key.name: public_key(key, key.name) for key in keys}


def expired(keys: list[TrustedKey], name: str, present: datetime | None = None) -> datetime | None:
    """Since when the key of that name counts no more; None as long as it does."""
    now = present or datetime.now(UTC)
    ends = next(key.until for key in keys if key.name == name)
    return ends if ends and ends <= now else None


def public_key(key: TrustedKey, where: str) -> Any:
    """The key's public half. Raises InputError where it is no key of the curve P-256."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(key.public.encode())
    except ValueError:
        found = None
    if isinstance(found, ec.EllipticCurvePublicKey) and isinstance(found.curve, ec.SECP256R1):
        return found
    raise InputError(
        f"{where}: {key.name} has no public key of the curve P-256",
        "put in what gcloud kms keys versions get-public-key prints of a key of ec-sign-p256-sha256",
    )
