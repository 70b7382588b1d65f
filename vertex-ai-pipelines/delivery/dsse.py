"""Signed statements in their envelope (DSSE): what is signed, and whether a trusted key signed it."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

IN_TOTO = "application/vnd.in-toto+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
Key = Any  # a public key of `cryptography`: a curve's


class ForgedError(Exception):
    """An envelope that no trusted key has signed, or that is none."""


class Signature(msgspec.Struct, frozen=True):
    """A signature in base64, and the name that its maker gives the key."""

    sig: str
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """A payload in base64 with its type, and who signed both."""

    payload: str
    payload_type: str
    signatures: tuple[Signature, ...]


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """What is signed: the type and the payload, so that neither passes for the other."""
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind.encode(), b"%d" % len(payload), payload])


def sign(payload: bytes, key_id: str, signer: Callable[[bytes], bytes]) -> bytes:
    """An envelope around an in-toto statement; `signer` signs a SHA-256 digest."""
    digest = hashlib.sha256(signed_bytes(IN_TOTO, payload)).digest()
    signature = Signature(sig=_text(signer(digest)), keyid=key_id)
    return msgspec.json.encode(Envelope(_text(payload), IN_TOTO, (signature,)))


def opened(data: bytes, keys: Mapping[str, Key]) -> tuple[dict[str, Any], str]:
    """The statement that one of `keys` has signed, and that key's name. Raises ForgedError."""
    envelope = _envelope(data)
    payload = decoded(envelope.payload)
    for signature in envelope.signatures:
        for name, key in keys.items():
            if _signed(key, decoded(signature.sig), signed_bytes(envelope.payload_type, payload)):
                return statement(envelope.payload_type, payload), name
    named = ", ".join(one.keyid or "no name" for one in envelope.signatures) or "nobody"
    raise ForgedError(f"no trusted key has signed it; it says: {named}")


def _signed(key: Key, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _envelope(data: bytes) -> Envelope:
    try:
        return msgspec.json.decode(data, type=Envelope)
    except msgspec.MsgspecError as error:
        raise ForgedError(f"it is no DSSE envelope: {error}") from None


def statement(kind: str, payload: bytes) -> dict[str, Any]:
    """The statement that a signed payload of that type is. Raises ForgedError."""
    if kind != IN_TOTO:
        raise ForgedError(f"its payload is '{kind}', not '{IN_TOTO}'")
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ForgedError(f"its payload is no statement: {error}") from None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decoded(text: str) -> bytes:
    """What base64 stands for. Raises ForgedError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ForgedError(f"it is not in base64: {error}") from None
