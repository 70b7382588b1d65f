"""What Cloud KMS's clients ask for and get: keys of an algorithm, digests to sign, and their shapes."""

from datetime import datetime, timedelta
from typing import Any, TypeAlias

import google_crc32c
from google.cloud.kms_v1 import types

from localcloud.errors import ApiError
from localcloud.kms_keys import ALGORITHMS

Version: TypeAlias = types.CryptoKeyVersion
State: TypeAlias = types.CryptoKeyVersion.CryptoKeyVersionState
KEPT = timedelta(days=30)  # how long a version that is to be destroyed can be restored
SIGNS = types.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN


def algorithm_of(asked: types.CryptoKey) -> str:
    """The algorithm of a key that is to be made. Raises INVALID_ARGUMENT for what is not served."""
    template, algorithms = asked.version_template, Version.CryptoKeyVersionAlgorithm
    name = str(algorithms(template.algorithm).name)
    level = types.ProtectionLevel(template.protection_level).name
    wrong = asked.purpose != SIGNS or name not in ALGORITHMS
    if wrong or level not in ("PROTECTION_LEVEL_UNSPECIFIED", "SOFTWARE"):
        asked_for = f"{types.CryptoKey.CryptoKeyPurpose(asked.purpose).name}, {name}, {level}"
        served = f"ASYMMETRIC_SIGN with SOFTWARE keys: {', '.join(ALGORITHMS)}"
        words = f"the local cloud does not serve keys of {asked_for}; it serves {served}"
        raise ApiError("INVALID_ARGUMENT", words)
    return name


def digest_of(request: types.AsymmetricSignRequest, kind: str) -> bytes:
    """The digest that is to be signed. Raises INVALID_ARGUMENT where it is not of `kind`."""
    given = types.Digest.pb(request.digest)
    if given.WhichOneof("digest") != kind or request.data:
        raise ApiError("INVALID_ARGUMENT", f"The key's algorithm signs a digest of {kind}.")
    digest = bytes(getattr(given, kind))
    if len(digest) != int(kind.removeprefix("sha")) // 8:
        raise ApiError("INVALID_ARGUMENT", f"The digest has {len(digest)} bytes, which {kind} has not.")
    if "digest_crc32c" in request and request.digest_crc32c != google_crc32c.value(digest):
        raise ApiError("INVALID_ARGUMENT", "The checksum in digest_crc32c does not match the digest.")
    return digest


def numbered(algorithm: str) -> Any:
    """An algorithm by its name."""
    return Version.CryptoKeyVersionAlgorithm[algorithm]


def shown_ring(row: dict[str, Any]) -> types.KeyRing:
    """A key ring as a client sees it."""
    return types.KeyRing(name=row["name"], create_time=datetime.fromisoformat(row["created"]))


def shown_key(row: dict[str, Any]) -> types.CryptoKey:
    """A key as a client sees it."""
    template = {
        "algorithm": numbered(row["algorithm"]),
        "protection_level": types.ProtectionLevel.SOFTWARE,
    }
    return types.CryptoKey(
        name=row["name"],
        purpose=SIGNS,
        create_time=datetime.fromisoformat(row["created"]),
        version_template=template,
        labels=row["labels"],
        destroy_scheduled_duration=KEPT,
    )


def shown_version(row: dict[str, Any]) -> Version:
    """A key's version as a client sees it: never its private half."""
    made = datetime.fromisoformat(row["created"])
    ends = row.get("destroyed")
    return Version(
        name=row["name"],
        state=State(row["state"]),
        protection_level=types.ProtectionLevel.SOFTWARE,
        algorithm=numbered(row["algorithm"]),
        create_time=made,
        generate_time=made,
        destroy_time=datetime.fromisoformat(ends) if ends else None,
    )
