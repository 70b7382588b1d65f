"""channels/ENV/FLOW.json in the model store: what product servers take that ask no endpoint.

This module reads, compares and writes it; it is the one object there that is ever replaced.
"""

import json
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from delivery.releases import Entry, Release
from delivery.settings import Environment
from flows import s3
from flows.errors import InputError, RetrainError
from flows.manifest import Sha256, Version
from flows.storage import Address
from flows.tables import Table, decode_json

LIMIT = 1 << 16  # bytes


class Pointer(Table):
    """A model version by its manifest."""

    version: Version
    manifest: str
    sha256: Sha256


class Channel(Table):
    """What a flow's product servers serve; `traffic` is in percent, by version."""

    schema: Literal[1] = 1
    champion: Pointer | None  # none: nothing is released any more
    challenger: Pointer | None = None
    traffic: dict[str, int]
    updated: str


class Written(NamedTuple):
    """The channel as it is, None where what is there is none, and the tag of that state."""

    channel: Channel | None
    tag: str


def address(environment: Environment, flow: str) -> Address:
    """Where it is in the model store."""
    return Address.parse(f"{environment.model_store}/channels/{environment.name}/{flow}.json", "s3")


def of(release: Release) -> Channel:
    """The channel that a release declares, as of now."""
    return Channel(
        champion=_pointer(release.champion),
        challenger=_pointer(release.challenger) if release.challenger else None,
        traffic={entry.version: entry.traffic for entry in release.entries},
        updated=_now(),
    )


def nothing() -> Channel:
    """The channel of a flow that nothing declares any more, as of now."""
    return Channel(champion=None, traffic={}, updated=_now())


def same(one: Channel | None, other: Channel | None) -> bool:
    """Whether both say the same, whenever they were written."""
    if one is None or other is None:
        return one is other
    return msgspec.structs.replace(one, updated="") == msgspec.structs.replace(other, updated="")


def read(client: Any, address: Address) -> Written | None:
    """The channel; None where there is none, or where S3 does not say.

    Who may not list the bucket gets 403 for what is not there: writing shows which it was.
    """
    found = s3.find(client, address, LIMIT)
    if found is None:
        return None
    data, tag = found
    try:
        return Written(decode_json(data, Channel, str(address)), tag)
    except (InputError, UnicodeDecodeError):  # deploy alone writes there: its own takes that place
        return Written(None, tag)


def write(client: Any, address: Address, wanted: Channel, before: Written | None) -> None:
    """Put `wanted` in the place of `before`, or where there is none.

    Raises RetrainError where somebody else has written meanwhile.
    """
    data = json.dumps(msgspec.to_builtins(wanted), indent=2).encode() + b"\n"
    if s3.swap(client, address, data, before.tag if before else None):
        return
    now = read(client, address)  # perhaps our own first attempt's, whose answer was lost
    if now is None or not same(now.channel, wanted):
        raise RetrainError(f"{address}: somebody else has written it meanwhile", "deploy again")


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _pointer(entry: Entry) -> Pointer:
    return Pointer(version=entry.version, manifest=entry.manifest, sha256=entry.sha256)
